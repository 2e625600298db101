/** Joining fibers, and fibers that fail with and without a joiner. */

import { describe, expect, test } from "bun:test";
import {
  CancelledError,
  deadline,
  type Fiber,
  now,
  park,
  sleep,
  spawn,
  stats,
  TimeoutError,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";

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
