/** all, race and any: what they return, and that no fiber is left running. */

import { describe, expect, test } from "bun:test";
import {
  all,
  any,
  block,
  CancelledError,
  connect,
  current,
  deadline,
  dump,
  listen,
  now,
  park,
  race,
  type Socket,
  shield,
  sleep,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { quietStats } from "../support/quiet_stats.ts";

/** A body that waits until it is cancelled, and then takes a while to end. */
function loser(ended: string[], name: string): () => Promise<never> {
  return async () => {
    try {
      await park();
    } finally {
      await shield(() => sleep(2), 0);
      ended.push(name);
    }
    throw new Error("unreached");
  };
}

const failing =
  (error: unknown, milliseconds = 1): (() => Promise<never>) =>
  () =>
    sleep(milliseconds).then(() => Promise.reject(error));

describe.each([
  ["all", all],
  ["race", race],
  ["any", any],
] as const)("%s", (name, gather) => {
  test("refuses values that are not functions, and unknown options, before anything runs", async () => {
    const before = stats().fibersStarted;
    const body = (): void => {};
    const call = (bodies: unknown, options?: object): Promise<unknown> =>
      mistakeIn(() => gather(bodies as [], options as never));
    const mistakes: [unknown, object | undefined, RegExp][] = [
      [body, undefined, /array/],
      [[body, 1], undefined, /functions/],
      [[body], { limit: 5 }, /"limit"/],
      [[body], { discard: 1 }, /discard/],
      [[body], { signal: 1 }, /AbortSignal/],
    ];
    for (const [bodies, options, about] of mistakes) {
      expectMistake((await call(bodies, options)) as Error, TypeError, about);
    }
    expectMistake((await call([body], { deadline: -1 })) as Error, RangeError, /deadline/);
    expect(stats().fibersStarted).toBe(before);
  });

  test("ends all bodies when its caller is cancelled, its signal is aborted, or its deadline passes", async () => {
    const before = stats();
    const ended: string[] = [];
    const bodies = [loser(ended, "first"), loser(ended, "second")];
    const caller = spawn(() => gather(bodies, { name: "crawl" }));
    expect(dump()).toContain(` waiting: ${name} crawl, `);
    caller.cancel("shutting down");
    expect((await failureOf(caller.join())).cause).toBe("shutting down");
    expect(caller.state).toBe("cancelled");
    expect(ended.splice(0)).toEqual(["first", "second"]);

    const abort = new AbortController();
    const aborted = failureOf(gather(bodies, { signal: abort.signal }));
    abort.abort("enough");
    expect((await aborted).cause).toBe("enough");
    expect(ended.splice(0)).toEqual(["first", "second"]);

    const late = await failureOf(gather(bodies, { deadline: deadline(30) }));
    expect(late).toBeInstanceOf(TimeoutError);
    expect(late.message).toStartWith(`${name} ETIMEDOUT`);
    expect(ended.splice(0)).toEqual(["first", "second"]);

    expect(await failureOf(gather(bodies, { deadline: now() - 1 }))).toBeInstanceOf(TimeoutError);
    expect(ended).toEqual([]);
    expect(stats()).toMatchObject({ fibers: before.fibers, waiters: before.waiters });
  });

  test("works in the blocking driver", () => {
    const value = block<unknown>(() => gather([() => sleep(1).then(() => "value")]));
    expect(value).toEqual(name === "all" ? ["value"] : "value");
  });

  test("counts a body that has cancelled itself as one that has failed", async () => {
    const error = await failureOf(
      gather([
        async () => {
          current()?.cancel("by itself");
          await yieldNow();
        },
      ]),
    );
    const [first] = error instanceof AggregateError ? error.errors : [error];
    expect(first).toBeInstanceOf(CancelledError);
    expect(first.cause).toBe("by itself");
  });

  test("runs a thousand bodies", async () => {
    const before = stats();
    const bodies = Array.from({ length: 1000 }, (_, index) => async () => {
      if (index === 500 || name === "all") await sleep(index % 7);
      else await park();
      return index;
    });
    const value: unknown = await gather(bodies);
    expect(value).toEqual(name === "all" ? Array.from(bodies.keys()) : 500);
    expect(stats()).toMatchObject({ fibers: before.fibers, waiters: before.waiters });
  });
});

describe("all", () => {
  test("returns the values in the order of the bodies, whichever ends first", async () => {
    const [text, number, nothing] = await all([
      () => sleep(3).then(() => "text"),
      () => 2,
      async () => {},
    ]);
    expect([text.length, number + 1, nothing]).toEqual([4, 3, undefined]);
    expect(await all([])).toEqual([]);
  });

  test("throws the first error when the others have ended, and starts no further body", async () => {
    const ended: string[] = [];
    const error = new Error("broken");
    expect(await failureOf(all([loser(ended, "waits"), failing(error)]))).toBe(error);
    expect(ended).toEqual(["waits"]);
    let started = false;
    const prompt = all([
      () => Promise.reject(new Error("late")),
      () => {
        throw error;
      },
      () => {
        started = true;
      },
    ]);
    expect(await failureOf(prompt)).toBe(error);
    expect(started).toBe(false);
  });

  test("lists the errors that came after the first", async () => {
    const second = new Error("second");
    const waits = () => park().catch(() => Promise.reject(second));
    const error = await failureOf(all([waits, failing(new Error("first"))]));
    expect(error.message).toBe("first");
    expect((error as unknown as { suppressed: unknown }).suppressed).toEqual([second]);
  });

  test("discards the values of bodies that had succeeded before another one failed", async () => {
    const discarded: number[] = [];
    const discard = (value: number): void => {
      discarded.push(value);
    };
    const error = new Error("broken");
    const bodies = [() => 1, failing(error), () => park().then(() => 2), () => 3];
    expect(await failureOf(all(bodies, { discard }))).toBe(error);
    expect(discarded).toEqual([1, 3]);
    expect(await all([() => 4], { discard })).toEqual([4]);
    expect(discarded).toEqual([1, 3]);
  });
});

describe("race", () => {
  test("returns the value of the first body to end, when the others have ended", async () => {
    const ended: string[] = [];
    const value = await race([
      loser(ended, "first"),
      () => sleep(1).then(() => 7),
      loser(ended, "last"),
    ]);
    expect(value).toBe(7);
    expect(ended).toEqual(["first", "last"]);
  });

  test("throws the error of the first body to end, if that has failed", async () => {
    const ended: string[] = [];
    const error = new Error("broken");
    expect(await failureOf(race([loser(ended, "waits"), failing(error)]))).toBe(error);
    expect(ended).toEqual(["waits"]);
  });

  test("does not start the bodies after one that has ended at once", async () => {
    let started = false;
    const value = await race([
      () => 1,
      () => {
        started = true;
        return 2;
      },
    ]);
    expect(value).toBe(1);
    expect(started).toBe(false);
  });

  test("ignores how the losers end, and discards their values", async () => {
    const discarded: unknown[] = [];
    const discard = (value: unknown): void => {
      discarded.push(value);
    };
    const unclean = () => park().catch(() => Promise.reject(new Error("clean-up failed")));
    const tolerant = () => park().catch(() => "late");
    const winner = () => sleep(1).then(() => "first");
    expect(await race([unclean, tolerant, winner], { discard })).toBe("first");
    expect(discarded).toEqual(["late"]);

    const failure = failureOf(race([tolerant, failing(new Error("first"))], { discard }));
    expect((await failure).message).toBe("first");
    expect(discarded).toEqual(["late", "late"]);
  });

  test("leaves no connection open when two are made in the same turn", async () => {
    const before = (await quietStats()).sockets;
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.next());
    const attempt = (): Promise<Socket> => connect({ host: "127.0.0.1", port: listener.port });
    const socket = await race([attempt, attempt, attempt], { discard: (lost) => lost.close() });
    socket.close();
    await listener.close();
    expect((await quietStats()).sockets).toBe(before);
  });

  test("throws the exception of discard, and then discards the winner's value as well", async () => {
    const discarded: unknown[] = [];
    const discard = (value: unknown): void => {
      discarded.push(value);
      if (value === "late") throw new Error("discard failed");
    };
    const tolerant = () => park().catch(() => "late");
    const error = await failureOf(
      race([tolerant, () => yieldNow().then(() => "first")], { discard }),
    );
    expect(error.message).toBe("discard failed");
    expect(discarded).toEqual(["late", "first"]);
  });

  test("discards a value that comes after its caller's cancellation", async () => {
    const discarded: unknown[] = [];
    const bodies = [() => park().catch(() => "late")];
    const caller = spawn(() => race(bodies, { discard: (value) => discarded.push(value) }));
    caller.cancel("shutting down");
    expect((await failureOf(caller.join())).cause).toBe("shutting down");
    expect(discarded).toEqual(["late"]);
  });

  test("keeps all errors of clean-ups when its caller is cancelled", async () => {
    const errors = [new Error("first"), new Error("second"), new Error("third")];
    const bodies = errors.map((error) => () => park().catch(() => Promise.reject(error)));
    for (const gather of [race, any]) {
      const caller = spawn(() => gather(bodies));
      caller.cancel("shutting down");
      const error = await failureOf(caller.join());
      expect(error).toBe(errors[0]!);
      const { suppressed, ...rest } = error as unknown as { suppressed: unknown };
      expect([suppressed, rest]).toEqual([errors.slice(1), {}]);
      delete (error as { suppressed?: unknown }).suppressed;
    }
  });

  test("of no bodies is refused", async () => {
    expectMistake(await mistakeIn(() => race([])), RangeError, /at least one/);
    expectMistake(await mistakeIn(() => any([])), RangeError, /at least one/);
  });
});

describe("any", () => {
  test("returns the first value although others fail before, and cancels the rest", async () => {
    const ended: string[] = [];
    const value = await any([
      failing(new Error("broken")),
      () => Promise.reject(new Error("at once")),
      loser(ended, "waits"),
      () => sleep(3).then(() => "value"),
    ]);
    expect(value).toBe("value");
    expect(ended).toEqual(["waits"]);
  });

  test("throws an AggregateError in the order of the bodies when all fail", async () => {
    const errors = [new Error("slow"), "text", new Error("fast")];
    const error = await failureOf(
      any([failing(errors[0], 3), failing(errors[1], 2), failing(errors[2], 1)], { name: "crawl" }),
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors).toEqual(errors);
    expect(error.message).toBe("every body of any crawl has failed");
  });

  test("past its deadline lists the errors so far", async () => {
    const error = await failureOf(
      any([failing(new Error("broken")), () => park()], { deadline: deadline(50) }),
    );
    expect(error).toBeInstanceOf(TimeoutError);
    const { suppressed } = error as unknown as { suppressed: Error[] };
    expect(suppressed.map(({ message }) => message)).toEqual(["broken"]);
  });
});
