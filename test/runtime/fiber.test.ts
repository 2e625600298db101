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
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";

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

describe("join", () => {
  test("returns the value of a body that is synchronous, async or returns a thenable", async () => {
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested.
      then(resolve: (value: string) => void): void {
        resolve("thenable");
      },
    };
    expect(await spawn(() => 1).join()).toBe(1);
    expect(await spawn(async () => 2).join()).toBe(2);
    expect(await spawn(() => thenable as PromiseLike<string>).join()).toBe("thenable");
    expect(await spawn(() => undefined).join()).toBeUndefined();
    expect(await spawn(() => null).join()).toBeNull();
  });

  test("throws the exception of a thenable's getter, and the fiber has ended", async () => {
    const before = stats().fibers;
    const fiber = spawn(() => ({
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested.
      get then(): never {
        throw new Error("getter");
      },
    }));
    expect((await failureOf(fiber.join())).message).toBe("getter");
    expect(fiber.state).toBe("failed");
    expect(stats().fibers).toBe(before);
  });

  test("throws any value that the body has thrown", async () => {
    const error = new Error("broken");
    const throwing = spawn(() => {
      throw error;
    });
    expect(throwing.state).toBe("failed");
    expect(await failureOf(throwing.join())).toBe(error);

    const rejecting = spawn(async () => {
      await yieldNow();
      throw error;
    });
    expect(await failureOf(rejecting.join())).toBe(error);
    expect(await failureOf(rejecting.join())).toBe(error);

    const reason = await spawn(() => Promise.reject("text"))
      .join()
      .catch((thrown: unknown) => thrown);
    expect(reason).toBe("text");
  });

  test("serves several joiners in the order in which they came, also late ones", async () => {
    const target = spawn(async () => {
      await sleep(2);
      return "value";
    });
    const order: number[] = [];
    const joiners = [0, 1, 2].map((index) =>
      spawn(async () => {
        const value = await target.join();
        order.push(index);
        return value;
      }),
    );
    expect(await Promise.all(joiners.map((joiner) => joiner.join()))).toEqual(
      Array(3).fill("value"),
    );
    expect(order).toEqual([0, 1, 2]);
    expect(await target.join()).toBe("value");
  });

  test("gives up at its deadline, and the fiber goes on", async () => {
    const target = spawn(() => park<string>());
    const error = await failureOf(target.join(deadline(2)));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.syscall).toBe("join");
    expect(target.state).toBe("waiting");
    const patient = target.join(deadline(5000));
    expect(unpark(target, "late")).toBe(true);
    expect(await patient).toBe("late");
  });

  test("lets one of several joiners give up without disturbing the others", async () => {
    const target = spawn(() => park<number>());
    const joiners = [0, 1, 2, 3].map(() => spawn(() => target.join()));
    for (const index of [1, 3, 0]) {
      joiners[index]!.cancel();
      expect(await failureOf(joiners[index]!.join())).toBeInstanceOf(CancelledError);
    }
    unpark(target, 7);
    expect(await joiners[2]!.join()).toBe(7);
  });

  test("ends for a thousand joiners, by a cancellation, a deadline or the value", async () => {
    const before = stats();
    const target = spawn(() => park<string>());
    const until = deadline(5);
    const order: number[] = [];
    const joiners = Array.from({ length: 1000 }, (_, index) =>
      spawn(async () => {
        expect(await target.join(index % 3 === 1 ? until : undefined)).toBe("value");
        order.push(index);
      }),
    );
    joiners.forEach((joiner, index) => {
      if (index % 3 === 2) joiner.cancel();
    });
    const ends = Promise.allSettled(joiners.map((joiner) => joiner.join()));
    await pollUntil("their time is up", () => stats().waiters === before.waiters);
    unpark(target, "value");
    const results = await ends;
    results.forEach((result, index) => {
      const error = result.status === "rejected" ? result.reason : undefined;
      expect(error?.constructor).toBe([undefined, TimeoutError, CancelledError][index % 3]);
    });
    expect(order).toEqual(Array.from({ length: 334 }, (_, index) => 3 * index));
    expect(stats().fibers).toBe(before.fibers);
  });

  test("with a deadline that has passed fails at once, unless the fiber has ended", async () => {
    const waiting = spawn(() => park());
    expect(await failureOf(waiting.join(now() - 1))).toBeInstanceOf(TimeoutError);
    expect(await failureOf(waiting.join(Number.NaN))).toBeInstanceOf(RangeError);
    unpark(waiting);
    await waiting.join();
    expect(await spawn(() => 3).join(now() - 1)).toBe(3);
  });

  test("of the running fiber itself can be cancelled", async () => {
    const fiber: Fiber = spawn(async () => {
      await yieldNow();
      await fiber.join();
    });
    const outer = spawn(() => fiber.join());
    await yieldNow();
    fiber.cancel();
    expect(await failureOf(outer.join())).toBeInstanceOf(CancelledError);
  });
});

describe("a failed fiber", () => {
  test("that is never joined is an unhandled rejection", async () => {
    const { exitCode, stderr } = await runProgram(`
      spawn(async () => { await sleep(1); throw new Error("nobody looks"); });
      spawn(async () => { await sleep(60_000); console.log("unreached"); });
    `);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("nobody looks");
  });

  test("that is joined is not, nor is one that was cancelled", async () => {
    const { exitCode, stdout, stderr } = await runProgram(`
      const failing = spawn(async () => { await sleep(1); throw new Error("joined"); });
      const joined = await failing.join().catch((error) => error.message);
      const cancelled = spawn(() => sleep(60_000));
      cancelled.cancel();
      const prompt = spawn(() => { throw new Error("joined in the same turn"); });
      prompt.join().catch(() => {});
      await sleep(20);
      console.log(joined, cancelled.state, prompt.state);
    `);
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    expect(stdout).toBe("joined cancelled failed");
  });

  test("whose joiners have all given up, in any order, is an unhandled rejection again", async () => {
    const { exitCode, stderr } = await runProgram(`
      const failing = spawn(async () => { await park(); throw new Error("joiners are gone"); });
      const joiners = [0, 1, 2, 3].map(() => spawn(() => failing.join()));
      for (const index of [1, 3, 0, 2]) joiners[index].cancel();
      await Promise.allSettled(joiners.map((joiner) => joiner.join()));
      unpark(failing);
      spawn(() => sleep(60_000));
    `);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("joiners are gone");
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
