/** Fibers: how they start, end and are joined, and what they show of themselves. */

import { describe, expect, test } from "bun:test";
import {
  CancelledError,
  current,
  deadline,
  dump,
  type Fiber,
  Mutex,
  now,
  park,
  type SpawnOptions,
  scope,
  shield,
  sleep,
  spawn,
  stats,
  TimeoutError,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";

describe("spawn", () => {
  test("runs the body at once, up to its first await", async () => {
    const steps: string[] = [];
    const fiber = spawn(async () => {
      steps.push("begun");
      await yieldNow();
      steps.push("resumed");
    });
    steps.push("spawned");
    await fiber.join();
    expect(steps).toEqual(["begun", "spawned", "resumed"]);
  });

  test("of a body that does not suspend returns a fiber that has ended, unless the body failed", async () => {
    const value = { any: "thing" };
    const synchronous = spawn(() => value);
    const asynchronous = spawn(async () => value);
    expect([synchronous.state, asynchronous.state]).toEqual(["done", "done"]);
    expect(await synchronous.join()).toBe(value);
    expect(await asynchronous.join()).toBe(value);
    expect(await asynchronous.join(deadline(1000))).toBe(value);
    const failing = spawn(async () => {
      throw new Error("at once");
    });
    expect((await failureOf(failing.join())).message).toBe("at once");
    expect(failing.state).toBe("failed");
  });

  test("refuses a body that is not a function, and options that are unknown or wrong", () => {
    const before = stats().fibers;
    expect(thrownBy(() => spawn("body" as unknown as () => void))).toBeInstanceOf(TypeError);
    const misspelt = { nmae: "x" } as SpawnOptions;
    expect(thrownBy(() => spawn(() => {}, misspelt)).message).toContain("nmae");
    expect(thrownBy(() => spawn(() => {}, { deadline: Number.NaN }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => spawn(() => {}, { deadline: -1 }))).toBeInstanceOf(RangeError);
    expect(stats().fibers).toBe(before);
  });

  test("has no name if reading the name throws, wherever it is read", async () => {
    const unreadable = (value: PropertyDescriptor): (() => Promise<void>) =>
      Object.defineProperty(() => park(), "name", value);
    const bodies = [
      unreadable({ value: Symbol("name") }),
      unreadable({ value: { toString: () => 7 } }),
      unreadable({
        get: () => {
          throw new Error("no name");
        },
      }),
    ];
    for (const body of bodies) {
      const fiber = spawn(body, { deadline: deadline(1) });
      expect(dump()).toContain("(anonymous) waiting: park");
      // The deadline passes in a turn that also wakes others.
      const others = Array.from({ length: 10 }, () => spawn(() => sleep(1)));
      const inScope = scope(body, { deadline: deadline(1) });
      expect(await failureOf(fiber.join())).toMatchObject({ syscall: "fiber" });
      expect(await failureOf(inScope)).toMatchObject({ syscall: "scope" });
      for (const other of others) await other.join();
    }
  });

  test("gives ids that count up, and a name from the option or the body", async () => {
    const first = spawn(function fetcher() {});
    const second = spawn(() => {}, { name: "writer" });
    const third = spawn(() => {});
    expect(second.id).toBe(first.id + 1);
    expect(third.id).toBe(second.id + 1);
    expect([first.name, second.name, third.name]).toEqual(["fetcher", "writer", ""]);
  });
});

describe("state", () => {
  test("follows a fiber from its start to its end", async () => {
    const running = spawn(() => Bun.sleep(5));
    const waiting = spawn(() => park());
    expect([running.state, waiting.state]).toEqual(["running", "waiting"]);
    expect([running.hasEnded, waiting.hasEnded]).toEqual([false, false]);
    await running.join();
    waiting.cancel();
    await failureOf(waiting.join());
    expect([running.state, waiting.state]).toEqual(["done", "cancelled"]);
    expect([running.hasEnded, waiting.hasEnded]).toEqual([true, true]);
    expect([running.isCancelled, waiting.isCancelled]).toEqual([false, true]);
  });

  test("is counted in stats(): live fibers and those that were started", async () => {
    const before = stats();
    const fibers = Array.from({ length: 10 }, () => spawn(() => park()));
    expect(stats().fibers).toBe(before.fibers + 10);
    for (const fiber of fibers) unpark(fiber);
    await Promise.all(fibers.map((fiber) => fiber.join()));
    expect(stats().fibers).toBe(before.fibers);
    expect(stats().fibersStarted).toBe(before.fibersStarted + 10);
  });
});

describe("current", () => {
  test("survives plait's waits and everything else that a fiber awaits", async () => {
    await using server = Bun.serve({ port: 0, fetch: () => new Response("fetched") });
    const url = `http://127.0.0.1:${server.port}/`;
    const waits: Record<string, () => PromiseLike<unknown>> = {
      nothing: async () => {},
      yieldNow,
      sleep: () => sleep(1),
      "Bun.sleep": () => Bun.sleep(1),
      setTimeout: () => new Promise((resolve) => setTimeout(resolve, 1)),
      setImmediate: () => new Promise((resolve) => setImmediate(resolve)),
      fetch: () => fetch(url).then((response) => response.text()),
      file: () => Bun.file(import.meta.path).text(),
      join: () => spawn(yieldNow).join(),
    };
    const fibers = Object.entries(waits).map(([name, wait]) =>
      spawn(
        async () => {
          const names = [current()?.name];
          await wait();
          names.push(current()?.name);
          setTimeout(() => names.push(current()?.name), 0);
          await Bun.sleep(1);
          return names;
        },
        { name },
      ),
    );
    for (const fiber of fibers) expect(await fiber.join()).toEqual(Array(3).fill(fiber.name));
    expect(current()).toBeUndefined();
  });

  test("is the inner fiber within a nested body, and the outer one after it", async () => {
    const outer: Fiber = spawn(async () => {
      const before = current();
      const inner: Fiber = spawn(async () => {
        await yieldNow();
        return current();
      });
      const after = current();
      expect(await inner.join()).toBe(inner);
      return [before, after, current()];
    });
    expect(await outer.join()).toEqual([outer, outer, outer]);
  });
});

describe("spawn's signal and deadline", () => {
  test("an aborted signal cancels, with its reason as the cause", async () => {
    const controller = new AbortController();
    const fiber = spawn(() => park(), { signal: controller.signal });
    controller.abort("enough");
    expect(fiber.isCancelled).toBe(true);
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.cause).toBe("enough");
    expect(fiber.state).toBe("cancelled");
  });

  test("a signal that is aborted already cancels the first wait", async () => {
    let hasBegun = false;
    const fiber = spawn(
      async () => {
        hasBegun = true;
        await yieldNow();
      },
      { signal: AbortSignal.abort("early") },
    );
    expect((await failureOf(fiber.join())).cause).toBe("early");
    expect(hasBegun).toBe(true);
  });

  test("a signal that is aborted after the end does nothing", async () => {
    const controller = new AbortController();
    const fiber = spawn(() => 1, { signal: controller.signal });
    controller.abort();
    expect(fiber.isCancelled).toBe(false);
    expect(await fiber.join()).toBe(1);
  });

  test("a deadline cancels, and join throws a TimeoutError", async () => {
    const fiber = spawn(() => park(), { name: "slow", deadline: deadline(3) });
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toContain("slow");
    expect(fiber.state).toBe("cancelled");
    expect(await failureOf(fiber.join())).toBe(error);
  });

  test("the body of a fiber past its deadline gets a CancelledError and may return a value all the same", async () => {
    const fiber = spawn(
      async () => {
        const error = await failureOf(park());
        return [error.name, (error.cause as Error).name];
      },
      { deadline: deadline(2) },
    );
    expect(await fiber.join()).toEqual(["CancelledError", "TimeoutError"]);
    expect(fiber.state).toBe("done");
  });

  test("a deadline that has passed cancels the first wait, even one that could end at once", async () => {
    const fiber = spawn(() => sleep(60_000), { deadline: now() - 5 });
    expect(await failureOf(fiber.join())).toBeInstanceOf(TimeoutError);
    const mutex = new Mutex();
    const prompt = spawn(() => mutex.lock(), { deadline: now() - 5 });
    expect(await failureOf(prompt.join())).toBeInstanceOf(TimeoutError);
    expect(mutex.isLocked).toBe(false);
    const aborted = spawn(() => mutex.lock(), {
      deadline: now() - 5,
      signal: AbortSignal.abort("early"),
    });
    expect((await failureOf(aborted.join())).cause).toBe("early");
  });

  test("a deadline that is not reached leaves no waiter behind", async () => {
    const before = stats().waiters;
    expect(await spawn(() => 1, { deadline: deadline(60_000) }).join()).toBe(1);
    expect(await spawn(() => sleep(1), { deadline: Number.POSITIVE_INFINITY }).join()).toBe(
      undefined,
    );
    expect(stats().waiters).toBe(before);
  });
});

describe("a cancelled fiber that disposes of a resource", () => {
  /** A resource whose disposal waits, and may then fail by itself. */
  function disposable(error?: Error): AsyncDisposable {
    return {
      async [Symbol.asyncDispose]() {
        await yieldNow().catch((cancelled) => {
          throw error ?? cancelled;
        });
      },
    };
  }

  test("is cancelled if only its cancellation has disturbed the disposal", async () => {
    const fiber = spawn(async () => {
      await using _first = disposable();
      await using _second = disposable();
      await park();
    });
    fiber.cancel("the end");
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.cause).toBe("the end");
    expect(error.syscall).toBe("park");
    expect(fiber.state).toBe("cancelled");
  });

  test("has failed if the disposal failed by itself", async () => {
    const failure = new Error("not disposed of");
    const fiber = spawn(async () => {
      await using _first = disposable();
      await using _second = disposable(failure);
      await park();
    });
    fiber.cancel("the end");
    const error = (await failureOf(fiber.join())) as unknown as SuppressedError;
    expect(error).toBeInstanceOf(SuppressedError);
    expect(error.suppressed.error).toBe(failure);
    expect(fiber.state).toBe("failed");
  });
});

describe("disposal", () => {
  test("cancels the fiber and waits for its end", async () => {
    const steps: string[] = [];
    {
      await using fiber = spawn(async () => {
        try {
          await park();
        } finally {
          steps.push("cleaned up");
        }
      });
      steps.push(fiber.state);
    }
    expect(steps).toEqual(["waiting", "cleaned up"]);
  });

  test("waits although its caller is cancelled, and the caller then ends by that cancellation", async () => {
    const steps: string[] = [];
    const caller = spawn(async () => {
      await using _child = spawn(async () => {
        try {
          await park();
        } finally {
          await shield(() => sleep(2), 0);
          steps.push("cleaned up");
        }
      });
      await park();
    });
    caller.cancel("the end");
    expect((await failureOf(caller.join())).cause).toBe("the end");
    expect(caller.state).toBe("cancelled");
    expect(steps).toEqual(["cleaned up"]);
  });

  test("does nothing for a fiber that has succeeded, and throws for one that has failed", async () => {
    const done = spawn(() => 1);
    await done[Symbol.asyncDispose]();
    expect(done.isCancelled).toBe(false);

    const failing = spawn(async () => {
      try {
        await park();
      } catch {
        throw new Error("while it was ended");
      }
    });
    const error = await failureOf(failing[Symbol.asyncDispose]());
    expect(error.message).toBe("while it was ended");
  });
});
