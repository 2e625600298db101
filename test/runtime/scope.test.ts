/** Scopes: when they end, what they return, which errors they throw, and how dump shows them. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  current,
  deadline,
  dump,
  type Fiber,
  park,
  type Scope,
  type ScopeOptions,
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
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { runProgram } from "../support/programs.ts";

describe("scope", () => {
  test("returns the body's value, promise or thenable", async () => {
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested.
      then(resolve: (value: string) => void): void {
        resolve("thenable");
      },
    };
    expect(await scope(() => 1)).toBe(1);
    expect(await scope(async () => 2)).toBe(2);
    expect(await scope(() => thenable as PromiseLike<string>)).toBe("thenable");
    expect(await spawn(() => scope(() => "within a fiber")).join()).toBe("within a fiber");
    expect(block(() => scope(() => sleep(1).then(() => "slept")))).toBe("slept");
  });

  test("runs the body at once, up to its first await, on a fiber of its own", async () => {
    const steps: string[] = [];
    const caller = spawn(async () => {
      const outside = current();
      const ended = scope(async function crawl(s) {
        steps.push(`${s.name} ${current()?.name} ${current() === outside}`);
        await yieldNow();
        steps.push("resumed");
      });
      steps.push("called");
      await ended;
    });
    await caller.join();
    expect(steps).toEqual(["crawl crawl false", "called", "resumed"]);
  });

  test("returns only when every fiber has ended, also those that its fibers spawn", async () => {
    const ended: string[] = [];
    await scope((s) => {
      s.spawn(async () => {
        await sleep(2);
        s.spawn(async () => {
          await sleep(2);
          s.spawn(() => sleep(1).then(() => ended.push("third")));
          ended.push("second");
        });
        ended.push("first");
      });
    });
    expect(ended).toEqual(["first", "second", "third"]);
  });

  test("waits for fibers that code outside of it has spawned in it", async () => {
    let inner: Scope | undefined;
    const gate = spawn(() => park());
    const ended = scope((s) => {
      inner = s;
      return gate.join();
    });
    const guest = inner!.spawn(() => park<string>());
    unpark(gate);
    await yieldNow();
    expect(inner?.hasEnded).toBe(false);
    unpark(guest, "guest");
    await ended;
    expect(await guest.join()).toBe("guest");
    expect(inner?.hasEnded).toBe(true);
  });

  test("spawns fibers that can be joined, inside the scope and after it", async () => {
    let fiber: Fiber<number> | undefined;
    const sum = await scope(async (s) => {
      fiber = s.spawn(() => yieldNow().then(() => 1), { name: "adder" });
      const other = s.spawn(() => 2);
      return (await fiber.join()) + (await other.join());
    });
    expect(sum).toBe(3);
    expect(fiber?.name).toBe("adder");
    expect(await fiber?.join()).toBe(1);
  });

  test("that has ended spawns nothing more", async () => {
    let ended: Scope | undefined;
    await scope((s) => {
      ended = s;
    });
    let ran = false;
    const error = thrownBy(() =>
      ended!.spawn(() => {
        ran = true;
      }),
    );
    expect(error.message).toContain("has ended");
    expect(ran).toBe(false);
    ended?.cancel("too late");
    expect(ended?.isCancelled).toBe(false);
  });

  test("runs a thousand fibers, and leaves nothing behind", async () => {
    const before = stats();
    let count = 0;
    await scope((s) => {
      for (let index = 0; index < 1000; index++) {
        s.spawn(async () => {
          await (index % 2 === 0 ? sleep(index % 7) : yieldNow());
          count++;
        });
      }
      // The body has a fiber as well.
      expect(stats().fibers).toBe(before.fibers + 1001);
    });
    expect(count).toBe(1000);
    expect(stats().fibers).toBe(before.fibers);
    expect(stats().waiters).toBe(before.waiters);
  });

  test("works without any fiber, in top-level code, and keeps the process alive", async () => {
    const { stdout, stderr, exitCode } = await runProgram(`
      const done: string[] = [];
      await scope((s) => {
        s.spawn(() => sleep(5).then(() => done.push("child")));
      }, { deadline: deadline(60_000) });
      console.log(done.join());
    `);
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: "child", stderr: "", exitCode: 0 });
  });

  test("refuses a body that is not a function, and options that are unknown or wrong", async () => {
    const before = stats().fibersStarted;
    const body = (): never => {
      throw new Error("it ran");
    };
    const mistakes: [unknown, typeof TypeError | typeof RangeError, RegExp][] = [
      [{ nmae: "x" }, TypeError, /scope.*"nmae"/],
      [null, TypeError, /options/],
      [{ deadline: -1 }, RangeError, /deadline/],
      [{ deadline: "1" }, TypeError, /deadline/],
      [{ signal: {} }, TypeError, /AbortSignal/],
    ];
    for (const [options, kind, about] of mistakes) {
      expectMistake(await mistakeIn(() => scope(body, options as ScopeOptions)), kind, about);
    }
    expectMistake(await mistakeIn(() => scope(1 as never)), TypeError, /function/);
    await scope((s) => {
      expectMistake(
        thrownBy(() => s.spawn("x" as never)),
        TypeError,
        /function/,
      );
      const misspelt = { dead: 1 } as SpawnOptions;
      expectMistake(
        thrownBy(() => s.spawn(() => {}, misspelt)),
        TypeError,
        /"dead"/,
      );
    });
    expect(stats().fibersStarted).toBe(before + 1);
  });
});

describe("a fiber that fails", () => {
  test("cancels its siblings and the body, and its error is the scope's", async () => {
    const error = new Error("broken");
    const seen: unknown[] = [];
    const witness = async (): Promise<void> => {
      try {
        await park();
      } catch (cancelled) {
        seen.push((cancelled as Error).cause);
        throw cancelled;
      }
    };
    const failure = await failureOf(
      scope(async (s) => {
        for (let count = 0; count < 3; count++) s.spawn(witness);
        s.spawn(async () => {
          await sleep(1);
          throw error;
        });
        await witness();
      }),
    );
    expect(failure).toBe(error);
    expect(failure).not.toHaveProperty("suppressed");
    expect(seen).toEqual(Array(4).fill(error));
  });

  test("lets the scope wait for clean-ups, for as long as they take", async () => {
    const steps: string[] = [];
    await failureOf(
      scope((s) => {
        s.spawn(async () => {
          try {
            await park();
          } finally {
            await shield(() => sleep(5), 0);
            steps.push("cleaned up");
          }
        });
        throw new Error("the body's own");
      }),
    );
    steps.push("returned");
    expect(steps).toEqual(["cleaned up", "returned"]);
  });

  test("fails its joiners with its error, and the scope too, once", async () => {
    const error = new Error("broken");
    const joined: unknown[] = [];
    const failure = await failureOf(
      scope(async (s) => {
        const failing = s.spawn(() => sleep(1).then(() => Promise.reject(error)));
        s.spawn(() => failing.join());
        await failing.join().catch((caught) => joined.push(caught));
        joined.push(await failureOf(yieldNow()));
      }),
    );
    expect(failure).toBe(error);
    expect(failure).not.toHaveProperty("suppressed");
    expect(joined[0]).toBe(error);
    expect(joined[1]).toBeInstanceOf(CancelledError);
    expect((joined[1] as Error).cause).toBe(error);
  });

  test("is not an unhandled rejection, joined or not; a scope that is never awaited is one", async () => {
    const taken = await runProgram(`
      const failing: any[] = [];
      const error = await scope((s) => {
        for (let index = 0; index < 3; index++) {
          failing.push(s.spawn(() => sleep(1).then(() => { throw new Error("child " + index); })));
        }
        failing.push(s.spawn(() => { throw new Error("prompt"); }));
      }).catch((error) => error);
      await sleep(20);
      console.log(error.message, failing.map((fiber) => fiber.state).join());
    `);
    expect(taken.stderr).toBe("");
    expect(taken.stdout).toBe("prompt cancelled,cancelled,cancelled,failed");
    const untaken = await runProgram(`
      void scope((s) => { s.spawn(() => sleep(1).then(() => { throw new Error("nobody looks"); })); });
      spawn(() => sleep(60_000));
    `);
    expect(untaken.exitCode).toBe(1);
    expect(untaken.stderr).toContain("nobody looks");
  });

  test("by its own deadline fails the scope with a TimeoutError; one that is cancelled does not fail it", async () => {
    const failure = await failureOf(
      scope((s) => {
        s.spawn(() => park(), { name: "slow", deadline: deadline(2) });
        s.spawn(() => park());
      }),
    );
    expect(failure).toBeInstanceOf(TimeoutError);
    expect(failure.syscall).toBe("fiber slow");

    const abort = new AbortController();
    const value = await scope(async (s) => {
      s.spawn(() => park()).cancel("not needed");
      s.spawn(() => park(), { signal: abort.signal });
      abort.abort();
      await sleep(1);
      return "well";
    });
    expect(value).toBe("well");
  });
});

describe("dump", () => {
  /** The lines of dump without the times of waits, and without lines of earlier tests. */
  const linesFrom = (id: number): string[] =>
    dump()
      .split("\n")
      .filter((line) => Number(/#(\d+)/.exec(line)?.[1] ?? id) >= id)
      .map((line) => line.replace(/, \d+\.\d{3} s/g, ""));

  test("shows the fibers of a scope below the one that waits for it", async () => {
    const caller = spawn(
      () =>
        scope(
          async (s) => {
            s.spawn(() => sleep(60_000), { name: "left" });
            s.spawn(
              () =>
                scope(function inner(t) {
                  t.spawn(() => park(), { name: "deep" });
                }),
              { name: "right" },
            );
            await park();
          },
          { name: "crawl" },
        ),
      { name: "caller" },
    );
    await using other = spawn(() => park(), { name: "other" });
    const { id } = caller;
    expect(linesFrom(id)).toEqual([
      `#${id} caller waiting: scope crawl`,
      `  #${id + 1} crawl waiting: park`,
      `  #${id + 2} left waiting: sleep`,
      `  #${id + 3} right waiting: scope inner`,
      `    #${id + 5} deep waiting: park`,
      `#${other.id} other waiting: park`,
    ]);
    caller.cancel();
    await failureOf(caller.join());
    expect(linesFrom(id)).toEqual([`#${other.id} other waiting: park`]);
  });

  test("shows the fibers of a scope that is outside of all fibers, and of one that is never awaited", async () => {
    const kept: Fiber<void>[] = [];
    const outer = scope(
      (s) => {
        kept.push(s.spawn(() => park(), { name: "child" }));
      },
      { name: "top" },
    );
    const gone = spawn(() => {
      void scope((s) => {
        kept.push(s.spawn(() => park(), { name: "orphan" }));
      });
    });
    expect(gone.hasEnded).toBe(true);
    const [child, orphan] = kept;
    const lines = linesFrom(child!.id);
    expect(lines).toEqual([
      `#${orphan!.id} orphan waiting: park`,
      lines.at(-2)!,
      `  #${child!.id} child waiting: park`,
    ]);
    expect(lines.at(-2)).toMatch(/^outside of fibers: .*scope top/);
    for (const fiber of kept) unpark(fiber);
    await outer;
  });
});
