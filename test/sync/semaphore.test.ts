/** Semaphore. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  deadline,
  type Fiber,
  now,
  Semaphore,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { untilHeldUp } from "../support/turns.ts";

/** A thousand fibers that each acquire one to seven of seven permits, several times. */
async function contend(): Promise<void> {
  const semaphore = new Semaphore(7);
  let held = 0;
  let most = 0;
  const order: number[] = [];
  const fibers = Array.from({ length: 1000 }, (_, index) =>
    spawn(async () => {
      for (let round = 0; round < 5; round++) {
        using permit = await semaphore.acquire(1 + (index % 7));
        if (round === 0) order.push(index);
        held += permit.count;
        most = Math.max(most, held);
        await yieldNow();
        held -= permit.count;
      }
    }),
  );
  for (const fiber of fibers) await fiber.join();
  expect(most).toBe(7);
  expect(held).toBe(0);
  expect(semaphore.available).toBe(7);
  expect(order).toEqual(Array.from({ length: 1000 }, (_, index) => index));
}

/** A fiber that acquires permits, writes down its name, and keeps them until it is released. */
class Taker {
  readonly fiber: Fiber<void>;
  readonly #done = Promise.withResolvers<void>();

  constructor(semaphore: Semaphore, name: string, count: number, order: string[], until?: number) {
    this.fiber = spawn(async () => {
      using _permit = await semaphore.acquire(count, until);
      order.push(name);
      await this.#done.promise;
    });
  }

  finish(): Promise<void> {
    this.#done.resolve();
    return this.fiber.join();
  }
}

describe("a semaphore", () => {
  test("admits a fixed number of a thousand fibers at a time, in their order", contend);

  test("does so in the blocking driver", () => {
    block(contend);
  });

  test("serves no small request before a large one in front of it", async () => {
    const semaphore = new Semaphore(5);
    const order: string[] = [];
    const first = new Taker(semaphore, "first", 3, order);
    const many = new Taker(semaphore, "many", 4, order);
    const one = new Taker(semaphore, "one", 1, order);
    expect(semaphore.available).toBe(2);
    expect(semaphore.tryAcquire()).toBeUndefined();
    await yieldNow();
    expect(order).toEqual(["first"]);
    await first.finish();
    await yieldNow();
    expect(order).toEqual(["first", "many", "one"]);
    await many.finish();
    await one.finish();
    expect(semaphore.available).toBe(5);
  });

  test("serves the next requests when the first one is cancelled or late", async () => {
    for (const until of [undefined, deadline(2)]) {
      const semaphore = new Semaphore(5);
      const order: string[] = [];
      const first = new Taker(semaphore, "first", 3, order);
      const many = new Taker(semaphore, "many", 4, order, until);
      const others = ["a", "b", "c"].map((name) => new Taker(semaphore, name, 1, order));
      if (until === undefined) many.fiber.cancel();
      const error = await failureOf(many.fiber.join());
      expect(error).toBeInstanceOf(until === undefined ? CancelledError : TimeoutError);
      await yieldNow();
      expect(order).toEqual(["first", "a", "b"]);
      await first.finish();
      for (const other of others) await other.finish();
      expect(order).toEqual(["first", "a", "b", "c"]);
      expect(semaphore.available).toBe(5);
    }
  });

  test("serves the queue when a fiber is cancelled that waits twice", async () => {
    const semaphore = new Semaphore(5);
    const first = semaphore.tryAcquire(3)!;
    const twice = spawn(async () => {
      const waits = [4, 1].map(async (count) => {
        using _permit = await semaphore.acquire(count);
      });
      return (await Promise.allSettled(waits)).map(({ status }) => status);
    });
    const order: string[] = [];
    const others = ["many", "few"].map((name, index) => {
      return new Taker(semaphore, name, 4 - 3 * index, order);
    });
    twice.cancel();
    // A fiber leaves its places from the last to the first: no place serves the next one of the
    // same fiber.
    expect(await twice.join()).toEqual(["rejected", "rejected"]);
    first.release();
    await pollUntil("the others are served", () => order.length === 2);
    expect(order).toEqual(["many", "few"]);
    for (const other of others) await other.finish();
    expect(semaphore.available).toBe(5);
  });

  test("refuses a second release, and gives no permit twice", async () => {
    const semaphore = new Semaphore(2);
    const permit = semaphore.tryAcquire(2)!;
    permit.release();
    using _other = semaphore.tryAcquire();
    expect(thrownBy(() => permit.release()).message).toContain("released before");
    permit[Symbol.dispose]();
    expect(semaphore.available).toBe(1);
  });

  test("with free permits gives them without a turn or a waiter in the core", async () => {
    const semaphore = new Semaphore(2);
    const { polls, waiters } = stats();
    const permit = await semaphore.acquire(2, deadline(1000));
    const waiting = spawn(() => semaphore.acquire());
    expect(stats().waiters).toBe(waiters);
    permit.release();
    (await waiting.join()).release();
    expect(stats().polls).toBe(polls);
    expect(semaphore.available).toBe(2);
  });

  test("loses no permit to a cancellation when the turn's budget is spent", async () => {
    const semaphore = new Semaphore(3);
    const fiber = spawn(async () => {
      for (;;) {
        using _permit = await semaphore.acquire(2);
      }
    });
    await untilHeldUp(fiber);
    expect(semaphore.available).toBe(1);
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    expect(semaphore.available).toBe(3);
  });

  test("gives permits that were released before a deadline was noticed", async () => {
    const semaphore = new Semaphore(1);
    const permit = semaphore.tryAcquire()!;
    const until = deadline(1);
    const waiting = spawn(() => semaphore.acquire(1, until));
    while (now() < until + 1) {
      // The scheduler has no turn in which it could notice the deadline.
    }
    permit.release();
    (await waiting.join()).release();
    expect(semaphore.available).toBe(1);
  });

  test("ends a thousand waits, by a cancellation, a deadline or a permit", async () => {
    const before = stats();
    const semaphore = new Semaphore(10);
    const all = semaphore.tryAcquire(10)!;
    const until = deadline(5);
    const fibers = Array.from({ length: 1000 }, (_, index) =>
      spawn(async () => {
        using _permit = await semaphore.acquire(
          1 + (index % 10),
          index % 3 === 1 ? until : undefined,
        );
        await yieldNow();
      }),
    );
    fibers.forEach((fiber, index) => {
      if (index % 3 === 2) fiber.cancel();
    });
    const ends = Promise.allSettled(fibers.map((fiber) => fiber.join()));
    await pollUntil("their time is up", () => stats().waiters === before.waiters);
    all.release();
    const results = await ends;
    results.forEach((result, index) => {
      const error = result.status === "rejected" ? result.reason : undefined;
      expect(error?.constructor).toBe([undefined, TimeoutError, CancelledError][index % 3]);
    });
    expect(semaphore.available).toBe(10);
    expect(stats().waiters).toBe(before.waiters);
    expect(stats().fibers).toBe(before.fibers);
  });

  test("reports mistakes", async () => {
    for (const permits of [0, -1]) {
      expectMistake(
        thrownBy(() => new Semaphore(permits)),
        RangeError,
        /permits/,
      );
    }
    expectMistake(
      thrownBy(() => new Semaphore(1.5)),
      TypeError,
      /permits/,
    );
    const semaphore = new Semaphore(3);
    for (const count of [0, -1, 4]) {
      expectMistake(await mistakeIn(() => semaphore.acquire(count)), RangeError, /permits/);
      expectMistake(
        thrownBy(() => semaphore.tryAcquire(count)),
        RangeError,
        /permits/,
      );
    }
    // A deadline in the place of the count.
    expectMistake(await mistakeIn(() => semaphore.acquire(1234.5)), TypeError, /permits/);
    expectMistake(await mistakeIn(() => semaphore.acquire(1, Number.NaN)), RangeError, /deadline/);
    expect(await failureOf(semaphore.acquire(1, now() - 1))).toBeInstanceOf(TimeoutError);
    expect(semaphore.available).toBe(3);
  });
});
