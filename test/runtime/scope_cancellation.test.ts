/** Scopes that end early: by their caller, a signal, a deadline, or themselves. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  current,
  deadline,
  dump,
  type Fiber,
  now,
  park,
  scope,
  shield,
  sleep,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";

describe("a scope that is cancelled", () => {
  test("by s.cancel returns the body's value, if the body has one", async () => {
    let child: Fiber<void> | undefined;
    const value = await scope((s) => {
      child = s.spawn(() => park());
      s.cancel("found");
      s.cancel("once more");
      return "value";
    });
    expect(value).toBe("value");
    expect((await failureOf(child!.join())).cause).toBe("found");

    const failure = await failureOf(
      scope(async (s) => {
        s.spawn(() => yieldNow().then(() => s.cancel("enough")));
        await park();
      }),
    );
    expect(failure).toBeInstanceOf(CancelledError);
    expect(failure.cause).toBe("enough");
    expect(failure.syscall).toBe("scope");
  });

  test("is cancelled when the fiber of its body is", async () => {
    let child: Fiber<void> | undefined;
    const failure = await failureOf(
      scope(async (s) => {
        child = s.spawn(() => park());
        current()?.cancel("by itself");
        expect(s.isCancelled).toBe(true);
        await yieldNow();
      }),
    );
    expect(failure.cause).toBe("by itself");
    expect(child?.state).toBe("cancelled");
  });

  test("by its caller's cancellation waits for all fibers, and the caller fails with that reason", async () => {
    const reason = new Error("shutting down");
    const steps: string[] = [];
    const caller = spawn(async () => {
      try {
        await scope(async (s) => {
          s.spawn(async () => {
            await park().catch(() => {});
            await shield(() => sleep(3), 0);
            steps.push("child");
          });
          await park();
        });
      } finally {
        steps.push("after the scope");
      }
    });
    await yieldNow();
    caller.cancel(reason);
    const failure = await failureOf(caller.join());
    expect(failure).toBeInstanceOf(CancelledError);
    expect(failure.cause).toBe(reason);
    expect(caller.state).toBe("cancelled");
    expect(steps).toEqual(["child", "after the scope"]);
  });

  test("cancels all the scopes within it", async () => {
    const before = stats();
    let ended = 0;
    const nest = (depth: number): Promise<void> =>
      scope(async (s) => {
        s.spawn(() => park().finally(() => ended++));
        if (depth > 1) s.spawn(() => nest(depth - 1));
        await park();
      });
    const caller = spawn(() => nest(10));
    await yieldNow();
    expect(stats().fibers).toBe(before.fibers + 30);
    caller.cancel("all of it");
    expect((await failureOf(caller.join())).cause).toBe("all of it");
    expect(caller.state).toBe("cancelled");
    expect(ended).toBe(10);
    expect(stats().fibers).toBe(before.fibers);
  });

  test("cancels thousands of nested scopes, which dump shows with bounded indents", async () => {
    const before = stats().fibers;
    const depth = 3000;
    const nest = async (level: number): Promise<void> => {
      await yieldNow();
      await scope((s) => {
        if (level < depth) s.spawn(() => nest(level + 1));
        else s.spawn(() => park(), { name: "deepest" });
      });
    };
    const caller = spawn(() => nest(1));
    await pollUntil("the deepest one waits", () => dump().includes(" deepest waiting: park"));
    const lines = dump().split("\n");
    expect(lines.length).toBeGreaterThan(depth);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(200);
    caller.cancel("all of it");
    expect((await failureOf(caller.join())).cause).toBe("all of it");
    expect(stats().fibers).toBe(before);
  });

  test("by a signal has the signal's reason; a signal that is aborted already keeps it from running", async () => {
    const abort = new AbortController();
    const reason = new Error("stop");
    const ended = failureOf(
      scope(
        (s) => {
          s.spawn(() => park());
        },
        { signal: abort.signal },
      ),
    );
    abort.abort(reason);
    expect((await ended).cause).toBe(reason);
    let ran = false;
    const late = scope(
      () => {
        ran = true;
      },
      { signal: abort.signal },
    );
    expect(await failureOf(late)).toBeInstanceOf(CancelledError);
    expect(ran).toBe(false);
  });

  test("cancels fibers that are spawned in it meanwhile, from their start", async () => {
    const steps: string[] = [];
    await scope(async (s) => {
      s.spawn(async () => {
        try {
          await park();
        } finally {
          s.spawn(async () => {
            try {
              steps.push("begun");
              await yieldNow();
              steps.push("unreached");
            } finally {
              steps.push("cleaned up");
            }
          });
        }
      });
      s.cancel();
    });
    expect(steps).toEqual(["begun", "cleaned up"]);
  });

  test("ends all of a thousand fibers", async () => {
    const before = stats();
    const fibers: Fiber<void>[] = [];
    const caller = spawn(() =>
      scope((s) => {
        for (let count = 0; count < 1000; count++) {
          fibers.push(s.spawn(() => (count % 2 === 0 ? park() : sleep(60_000))));
        }
      }),
    );
    caller.cancel();
    await failureOf(caller.join());
    expect(fibers.every((fiber) => fiber.state === "cancelled")).toBe(true);
    expect(stats().fibers).toBe(before.fibers);
    expect(stats().waiters).toBe(before.waiters);
  });

  test("before it begins runs nothing", async () => {
    let ran = false;
    const caller = spawn(async () => {
      current()?.cancel("early");
      await scope(() => {
        ran = true;
      });
    });
    expect((await failureOf(caller.join())).cause).toBe("early");
    expect(ran).toBe(false);
  });
});

describe("a scope's deadline", () => {
  test("cancels all fibers, and the scope rejects with a TimeoutError when they have ended", async () => {
    const before = stats().waiters;
    const seen: unknown[] = [];
    let returned = false;
    const failure = await failureOf(
      scope(
        async (s) => {
          s.spawn(async () => {
            seen.push(await failureOf(park()));
            await shield(() => sleep(5), 0);
            returned = true;
          });
          await park();
        },
        { name: "crawl", deadline: deadline(30) },
      ),
    );
    expect(failure).toBeInstanceOf(TimeoutError);
    expect(failure.message).toBe("scope crawl ETIMEDOUT (the deadline has passed)");
    expect(seen[0]).toBeInstanceOf(CancelledError);
    expect((seen[0] as Error).cause).toBe(failure);
    expect(returned).toBe(true);
    expect(stats().waiters).toBe(before);
  });

  test("that has passed runs nothing; one that is not reached leaves nothing behind", async () => {
    const before = stats();
    const body = (): never => {
      throw new Error("it ran");
    };
    const failure = await failureOf(scope(body, { deadline: now() - 1 }));
    expect(failure).toBeInstanceOf(TimeoutError);
    expect(await scope(() => 1, { deadline: deadline(60_000) })).toBe(1);
    expect(await scope(() => 2, { deadline: 0 })).toBe(2);
    expect(stats().waiters).toBe(before.waiters);
  });

  test("works in the blocking driver", () => {
    const error = thrownBy(() =>
      block(() =>
        scope(
          (s) => {
            s.spawn(() => park());
          },
          { deadline: deadline(30) },
        ),
      ),
    );
    expect(error).toBeInstanceOf(TimeoutError);
  });
});

test("block finds a scope whose fibers can never be woken, and cancels it", async () => {
  const child = Promise.withResolvers<Error>();
  const error = thrownBy(() =>
    block(() =>
      scope((s) => {
        s.spawn(() => park().catch(child.resolve));
      }),
    ),
  );
  expect(error.message).toContain("nothing is left that could wake a fiber");
  expect(await child.promise).toBeInstanceOf(CancelledError);
});
