/** Which of several errors a scope rejects with, and where the others are. */

import { describe, expect, test } from "bun:test";
import {
  CancelledError,
  deadline,
  park,
  type Scope,
  scope,
  shield,
  sleep,
  spawn,
  TimeoutError,
  unpark,
  yieldNow,
} from "../../index.ts";
import { type Failure, failureOf } from "../support/failure.ts";

type WithSuppressed = Failure & { readonly suppressed?: unknown };

async function suppressing(promise: Promise<unknown>): Promise<WithSuppressed> {
  return await failureOf(promise);
}

/** Spawns a fiber that throws another error when it is cancelled. */
function spawnUnclean(s: Scope, error: unknown): void {
  s.spawn(async () => {
    await park().catch(() => {
      throw error;
    });
  });
}

describe("the first error of a scope", () => {
  test("is the one that it rejects with; the others are listed in their order", async () => {
    const first = new Error("first");
    const others = [new Error("second"), "third", undefined];
    const error = await suppressing(
      scope((s) => {
        for (const other of others) spawnUnclean(s, other);
        s.spawn(() => Promise.reject(first));
      }),
    );
    expect(error).toBe(first);
    expect(error.suppressed).toEqual(others);
  });

  test("may be that of the body", async () => {
    const second = new Error("second");
    const error = await suppressing(
      scope(async (s) => {
        spawnUnclean(s, second);
        await yieldNow();
        throw new Error("the body's");
      }),
    );
    expect(error.message).toBe("the body's");
    expect(error.suppressed).toEqual([second]);
  });

  test("collects the errors of the scopes around its own", async () => {
    const error = await suppressing(
      scope((outer) => {
        spawnUnclean(outer, "outer");
        outer.spawn(() =>
          scope((inner) => {
            spawnUnclean(inner, "inner");
            inner.spawn(() => Promise.reject(new Error("origin")));
          }),
        );
      }),
    );
    expect(error.message).toBe("origin");
    expect(error.suppressed).toEqual(["inner", "outer"]);
  });

  test("is the first of an AggregateError if a list cannot be added to it", async () => {
    const frozen = Object.freeze(new Error("frozen"));
    const disposal = new SuppressedError(new Error("newer"), new Error("older"), "disposal");
    class Odd extends Error {
      get suppressed(): undefined {
        return undefined;
      }
    }
    const sealed = Object.seal(new Odd("sealed"));
    class Hostile extends Error {
      get suppressed(): never {
        throw new Error("a getter that throws");
      }
    }
    for (const first of ["text", frozen, disposal, sealed, new Hostile("hostile")]) {
      const error = await failureOf(
        scope(
          (s) => {
            spawnUnclean(s, "second");
            s.spawn(() => Promise.reject(first));
          },
          { name: "crawl" },
        ),
      );
      expect(error).toBeInstanceOf(AggregateError);
      expect((error as AggregateError).errors).toEqual([first, "second"]);
      expect(error.message).toBe("several fibers of scope crawl have failed");
      const alone = scope(() => Promise.reject(first)).catch((thrown: unknown) => thrown);
      expect(await alone).toBe(first);
    }
    expect(disposal.suppressed.message).toBe("older");
  });
});

describe("when several things end a scope", () => {
  test("errors of clean-ups go before the caller's cancellation", async () => {
    const caller = spawn(() => scope((s) => spawnUnclean(s, new Error("clean-up failed"))));
    caller.cancel("shutting down");
    expect((await failureOf(caller.join())).message).toBe("clean-up failed");
    expect(caller.state).toBe("failed");
  });

  test("the deadline wins if it has passed first, a fiber's error if that came first", async () => {
    const cleanUp = new Error("clean-up failed");
    const late = await suppressing(
      scope((s) => spawnUnclean(s, cleanUp), { deadline: deadline(30) }),
    );
    expect(late).toBeInstanceOf(TimeoutError);
    expect(late.suppressed).toEqual([cleanUp]);

    const broken = new Error("broken");
    const early = await suppressing(
      scope(
        (s) => {
          s.spawn(() => park().catch(() => shield(() => sleep(40), 0)));
          s.spawn(() => Promise.reject(broken));
        },
        { deadline: deadline(30) },
      ),
    );
    expect(early).toBe(broken);
    expect(early).not.toHaveProperty("suppressed");
  });

  test("a cancellation that comes after the error does not replace the error", async () => {
    const caller = spawn(() =>
      scope((s) => {
        s.spawn(() => park().catch(() => shield(() => sleep(2), 0)));
        s.spawn(() => Promise.reject(new Error("broken")));
      }),
    );
    caller.cancel("too late");
    expect((await failureOf(caller.join())).message).toBe("broken");
    expect(caller.state).toBe("failed");
  });

  test("a deadline after the caller's cancellation changes nothing", async () => {
    const caller = spawn(() =>
      scope((s) => void s.spawn(() => park().catch(() => shield(() => sleep(40), 0))), {
        deadline: deadline(30),
      }),
    );
    caller.cancel("shutting down");
    const error = await failureOf(caller.join());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.cause).toBe("shutting down");
    expect(caller.state).toBe("cancelled");
  });

  test("fibers that swallow their cancellation do not hide the reason", async () => {
    const tolerant = (s: Scope): void => {
      s.spawn(() => park().catch(() => {}));
    };
    const late = scope(tolerant, { deadline: deadline(30) });
    expect(await failureOf(late)).toBeInstanceOf(TimeoutError);

    const abort = new AbortController();
    const aborted = failureOf(scope(tolerant, { signal: abort.signal }));
    abort.abort("enough");
    expect((await aborted).cause).toBe("enough");

    const caller = spawn(() => scope(tolerant));
    caller.cancel("shutting down");
    expect((await failureOf(caller.join())).cause).toBe("shutting down");
    expect(caller.state).toBe("cancelled");
  });

  test("a cancellation of another origin that a fiber throws is an error", async () => {
    const stranger = spawn(() => park());
    const error = scope((s) => void s.spawn(() => stranger.join()));
    stranger.cancel("elsewhere");
    expect((await failureOf(error)).cause).toBe("elsewhere");
  });

  test("a scope that has ended already keeps its value", async () => {
    const gate = spawn(() => park());
    const caller = spawn(() =>
      scope(async () => {
        await gate.join();
        return "value";
      }),
    );
    unpark(gate);
    await caller.join();
    caller.cancel("too late");
    expect(await caller.join()).toBe("value");
  });
});
