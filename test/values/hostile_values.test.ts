/** Errors, reasons and signals that throw when plait looks at them, or that have no end. */

import { describe, expect, test } from "bun:test";
import {
  all,
  any,
  block,
  CancelledError,
  connect,
  deadline,
  type Fiber,
  listen,
  park,
  race,
  resolve,
  type Socket,
  scope,
  shield,
  spawn,
  stats,
  TimeoutError,
} from "../../index.ts";
import { errorOf, reportOf } from "../../src/process/error_reports.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import {
  hostileValues,
  longChain,
  rejectionOf,
  suppressedChain,
  throwing,
  withThrowingGetters,
} from "../support/hostile_values.ts";
import { isInstalled } from "../support/installed_program.ts";
import { runProgram } from "../support/programs.ts";
import { dialTls, presenting } from "../support/tls_pair.ts";

const soon = (): number => deadline(4000);

describe.each(hostileValues)("%s", (_name, value) => {
  const isIt = (error: unknown): boolean => Object.is(error, value);
  const fail = async (): Promise<never> => {
    throw value;
  };
  /** A body that throws the value when it is cancelled. */
  const failLate = async (): Promise<never> => {
    try {
      return (await park()) as never;
    } catch {
      throw value;
    }
  };

  test("can be the error of a fiber", async () => {
    const fibers = [
      spawn(fail),
      spawn(() => {
        throw value;
      }),
    ];
    for (const fiber of fibers) {
      expect(isIt((await rejectionOf(fiber.join(soon()))).error)).toBe(true);
      expect(fiber.state).toBe("failed");
    }
  });

  test("can be the error of a cancelled fiber", async () => {
    const { fibers } = stats();
    const fiber = spawn(failLate);
    fiber.cancel("reason");
    expect(isIt((await rejectionOf(fiber.join(soon()))).error)).toBe(true);
    expect(fiber.state).toBe("failed");
    expect(stats().fibers).toBe(fibers);
  });

  test("can be a reason to cancel a fiber, and a scope", async () => {
    const fiber = spawn(() => park());
    fiber.cancel(value);
    const error = (await rejectionOf(fiber.join(soon()))).error as Error;
    expect(error).toBeInstanceOf(CancelledError);
    expect(isIt(error.cause)).toBe(true);
    expect(fiber.state).toBe("cancelled");

    const caller = spawn(() => scope((s) => void s.spawn(() => park())));
    caller.cancel(value);
    expect(isIt(((await rejectionOf(caller.join(soon()))).error as Error).cause)).toBe(true);
    expect(caller.state).toBe("cancelled");
  });

  test("can be a reason to abort a signal", async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const fibers = [
      spawn(() => park(), { signal }),
      spawn(() => scope(() => park(), { signal })),
      spawn(() => connect({ host: "127.0.0.1", port: 1, signal }).then(() => park())),
    ];
    abort.abort(value);
    for (const fiber of fibers) {
      const { error } = await rejectionOf(fiber.join(soon()));
      expect(error).toBeInstanceOf(CancelledError);
      // For undefined the runtime uses a reason of its own.
      expect(Object.is((error as Error).cause, signal.reason)).toBe(true);
    }
  });

  test("can be the error of a scope, and of all, race, any and shield", async () => {
    for (const failing of [
      scope((s) => void s.spawn(fail)),
      scope(fail),
      all([fail, () => park()]),
      race([fail, () => park()]),
      shield(fail, 0),
    ]) {
      expect(isIt((await rejectionOf(failing)).error)).toBe(true);
    }
    const { error } = await rejectionOf(any([fail]));
    expect((error as AggregateError).errors.map(isIt)).toEqual([true]);
  });

  test("can be one of several errors of a scope", async () => {
    const second = async (): Promise<never> => {
      await park().catch(() => {});
      throw "second";
    };
    const bodies = [second, fail];
    for (const failing of [
      scope((s) => {
        for (const body of bodies) s.spawn(body);
      }),
      all(bodies),
    ]) {
      const { error } = await rejectionOf(failing);
      if (isIt(error)) expect((error as { suppressed?: unknown }).suppressed).toEqual(["second"]);
      else expect((error as AggregateError).errors.map(isIt)).toEqual([true, false]);
      // It has a list from here on.
      if (isIt(error)) delete (error as { suppressed?: unknown }).suppressed;
    }
  });

  test("does not keep a scope open beyond its deadline", async () => {
    const { error } = await rejectionOf(
      scope((s) => void s.spawn(failLate), { deadline: deadline(5) }),
    );
    expect(error).toBeInstanceOf(TimeoutError);
    const { suppressed } = error as { suppressed?: unknown[] };
    expect(suppressed?.map(isIt)).toEqual([true]);

    const fiber = spawn(failLate, { deadline: deadline(5) });
    expect(isIt((await rejectionOf(fiber.join(soon()))).error)).toBe(true);
  });

  test("can be thrown by block", () => {
    let thrown: unknown = "nothing";
    try {
      block(fail);
    } catch (error) {
      thrown = error;
    }
    expect(isIt(thrown)).toBe(true);
  });

  test("reaches onError from a handler, and the next connection is served", async () => {
    const errors: unknown[] = [];
    const onError = (error: unknown, socket?: Socket): void => {
      errors.push(error);
      expect(socket?.closed).toBe(true);
    };
    await using listener = await listen({ host: "127.0.0.1", port: 0, onError }, (socket) =>
      errors.length < 2 ? fail() : socket.write("served"),
    );
    for (let count = 0; count < 2; count++) {
      await using client = await connect({ host: "127.0.0.1", port: listener.port });
      expect(await client.next(soon())).toBeNull();
    }
    expect(errors.map(isIt)).toEqual([true, true]);
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    expect(String(Buffer.from((await client.next(soon()))!))).toBe("served");
  });

  test("is cut to a bounded size on its way out of a cluster's worker", () => {
    const report = structuredClone(reportOf(value));
    expect(JSON.stringify(report, (_key, each) => each ?? null).length).toBeLessThan(1_000_000);
    errorOf(report);
  });
});

describe.skipIf(!isInstalled("openssl"))("an exception of an sni function", () => {
  const served = isInstalled("openssl") ? presenting(certificates().p256) : {};

  test.each(hostileValues)("reaches onError: %s", async (_name, value) => {
    const errors: unknown[] = [];
    const sni = (name: string): Promise<never> => {
      if (name === "later.example") return Promise.reject(value);
      throw value;
    };
    await using listener = await listen(
      {
        host: "127.0.0.1",
        port: 0,
        tls: { ...served, sni },
        onError: (error) => errors.push(error),
      },
      () => {},
    );
    for (const serverName of ["now.example", "later.example"]) {
      await failureOf(dialTls(listener.port, { serverName }, soon()));
    }
    expect(errors.map((error) => Object.is(error, value))).toEqual([true, true]);
  });
});

describe("a cancelled fiber", () => {
  /** The state of a fiber that ends by an error made of its cancellation. */
  async function stateAfter(change: (error: CancelledError) => unknown): Promise<string> {
    const fiber: Fiber = spawn(async () => {
      try {
        await park();
      } catch (error) {
        throw change(error as CancelledError);
      }
    });
    fiber.cancel("reason");
    await rejectionOf(fiber.join(soon()));
    return fiber.state;
  }

  test("has ended by its cancellation, however often the error suppresses itself", async () => {
    expect(await stateAfter((error) => suppressedChain(error, longChain))).toBe("cancelled");
    expect(await stateAfter((error) => new SuppressedError(suppressedChain(error, 3), error))).toBe(
      "cancelled",
    );
  });

  test("has failed if there is another error, even at the end of the chain", async () => {
    const other = new Error("other");
    const chain = (error: unknown, bottom: unknown): unknown => {
      let suppressed = bottom;
      for (let count = 0; count < longChain; count++) {
        suppressed = new SuppressedError(error, suppressed);
      }
      return suppressed;
    };
    expect(await stateAfter((error) => chain(error, other))).toBe("failed");
    expect(await stateAfter((error) => withThrowingGetters(error, "cause"))).toBe("failed");
  });
});

test("an error that is thrown repeatedly does not collect errors without end", async () => {
  const first = new Error("the same each time");
  let most = 0;
  for (let count = 0; count < 2000; count++) {
    const failing = scope((s) => {
      s.spawn(() => park().catch(() => Promise.reject(count)));
      s.spawn(() => Promise.reject(first));
    });
    const { error } = await rejectionOf(failing);
    const { suppressed } = first as { suppressed?: unknown[] };
    most = Math.max(most, suppressed?.length ?? 0);
    // Still none is lost.
    if (error !== first) expect((error as AggregateError).errors).toEqual([first, count]);
    else expect(suppressed?.at(-1)).toBe(count);
  }
  expect(most).toBeLessThan(1500);
});

describe("an AbortSignal", () => {
  function overridden(): AbortController {
    const abort = new AbortController();
    for (const name of [
      "aborted",
      "reason",
      "addEventListener",
      "removeEventListener",
      "throwIfAborted",
      "dispatchEvent",
    ]) {
      Object.defineProperty(abort.signal, name, { get: throwing });
    }
    return abort;
  }

  test("whose properties throw ends the call that it was given to", async () => {
    const abort = overridden();
    const { signal } = abort;
    const { fibers } = stats();
    const running = Array.from({ length: 5 }, () => spawn(() => park(), { signal }));
    const ending = [
      ...running.map((fiber) => fiber.join(soon())),
      scope(() => park(), { signal }),
      all([() => park()], { signal }),
      connect({ host: "127.0.0.1", port: 1, signal }),
    ].map(rejectionOf);
    await spawn(() => 1, { signal }).join();
    expect(await resolve("127.0.0.1", { signal })).toEqual(["127.0.0.1"]);
    abort.abort("enough");
    for (const { error } of await Promise.all(ending)) {
      expect(error).toBeInstanceOf(CancelledError);
      expect((error as Error).cause).toBe("enough");
    }
    expect(stats().fibers).toBe(fibers);
    expect(rejectionOf(scope(() => park(), { signal }))).resolves.toMatchObject({
      error: { cause: "enough" },
    });
  });

  test("is refused if it only looks like one", async () => {
    const signal: AbortSignal = Object.create(AbortSignal.prototype);
    const { fibers } = stats();
    expect(() => spawn(() => park(), { signal })).toThrow("signal is an AbortSignal");
    expect(await failureOf(scope(() => park(), { signal }))).toBeInstanceOf(TypeError);
    expect(stats().fibers).toBe(fibers);
  });

  test("ends nothing by an event that the program has dispatched", async () => {
    const abort = new AbortController();
    const fiber = spawn(() => park(), { signal: abort.signal });
    abort.signal.dispatchEvent(new globalThis.Event("abort"));
    expect(fiber.isCancelled).toBe(false);
    abort.abort();
    expect(fiber.isCancelled).toBe(true);
    await failureOf(fiber.join());
  });
});

test.each(["throw new Error('stack')", "return sites", "return undefined"])(
  "waits that record their place end although prepareStackTrace would %s",
  async (body) => {
    const { stdout, stderr } = await runProgram(
      `
      Error.prepareStackTrace = (error, sites) => { ${body} };
      const fibers = [
        spawn(() => sleep(10_000)),
        spawn(() => park(deadline(5))),
        spawn(() => scope(() => sleep(10_000), { deadline: deadline(5) })),
      ];
      fibers[0].cancel();
      const ends = await Promise.all(fibers.map((fiber) => fiber.join().catch(({ name }) => name)));
      dump();
      console.log(ends.join());
      `,
      { env: { PLAIT_STACKS: "1" } },
    );
    expect([stdout, stderr]).toEqual(["CancelledError,TimeoutError,TimeoutError", ""]);
  },
);
