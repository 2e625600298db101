/** Mutex. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  deadline,
  dump,
  type Fiber,
  Mutex,
  type MutexLock,
  now,
  sleep,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { untilHeldUp } from "../support/turns.ts";

/** Fibers that wait for the mutex, and write down their names when they get it. */
function queue(mutex: Mutex, names: Iterable<string>, order: string[]): Map<string, Fiber<void>> {
  const fibers = new Map<string, Fiber<void>>();
  for (const name of names) {
    const fiber = spawn(async () => {
      using _lock = await mutex.lock();
      order.push(name);
      await yieldNow();
    });
    fibers.set(name, fiber);
  }
  return fibers;
}

/** A thousand fibers that each lock and unlock several times. */
async function contend(): Promise<void> {
  const mutex = new Mutex();
  let inside = 0;
  const order: number[] = [];
  const contenders = Array.from({ length: 1000 }, (_, index) =>
    spawn(async () => {
      for (let round = 0; round < 5; round++) {
        using _lock = await mutex.lock();
        expect(++inside).toBe(1);
        order.push(index);
        if (index % 10 === 0) await yieldNow();
        expect(--inside).toBe(0);
      }
    }),
  );
  for (const contender of contenders) await contender.join();
  expect(mutex.isLocked).toBe(false);
  // A fiber that has had it goes to the end of the queue.
  expect(order).toEqual(Array.from({ length: 5000 }, (_, index) => index % 1000));
}

describe("a mutex", () => {
  test("has one holder at a time among a thousand fibers, in their order", contend);

  test("does so in the blocking driver", () => {
    block(contend);
  });

  test("that is free is locked without a turn of the scheduler and without a waiter in the core", async () => {
    const mutex = new Mutex();
    const { polls, waiters } = stats();
    const lock = await mutex.lock(deadline(1000));
    expect(mutex.isLocked).toBe(true);
    const waiting = spawn(() => mutex.lock());
    expect(stats().waiters).toBe(waiters);
    lock.unlock();
    (await waiting.join()).unlock();
    expect(mutex.isLocked).toBe(false);
    expect(stats().polls).toBe(polls);
  });

  test("is handed over: neither tryLock nor lock overtakes a fiber that waits", async () => {
    const mutex = new Mutex();
    const order: string[] = [];
    const lock = mutex.tryLock()!;
    const waiters = queue(mutex, ["waits"], order);
    lock.unlock();
    expect(mutex.isLocked).toBe(true);
    expect(mutex.tryLock()).toBeUndefined();
    using _later = await mutex.lock();
    expect(order).toEqual(["waits"]);
    await waiters.get("waits")!.join();
  });

  test("is unlocked at the end of the block, unless it was unlocked inside", async () => {
    const mutex = new Mutex();
    {
      using lock = await mutex.lock();
      expect(mutex.isLocked).toBe(true);
      lock.unlock();
      expect(mutex.isLocked).toBe(false);
    }
    expect(
      thrownBy(() => {
        using _lock = mutex.tryLock();
        throw new Error("within");
      }).message,
    ).toBe("within");
    expect(mutex.isLocked).toBe(false);
  });

  test("refuses a second unlock, and leaves the next holder alone", async () => {
    const mutex = new Mutex();
    const first = mutex.tryLock()!;
    first.unlock();
    using _second = await mutex.lock();
    expect(thrownBy(() => first.unlock()).message).toContain("unlocked before");
    first[Symbol.dispose]();
    expect(mutex.isLocked).toBe(true);
  });

  test("can be unlocked by another fiber, and outside of fibers", async () => {
    const mutex = new Mutex();
    const lock = await spawn(() => mutex.lock()).join();
    await spawn(() => lock.unlock()).join();
    const again = await mutex.lock();
    again.unlock();
    expect(mutex.isLocked).toBe(false);
  });

  test("stays locked when its holder ends, and dump shows that", async () => {
    const mutex = new Mutex();
    const holder = spawn(() => mutex.lock(), { name: "careless" });
    const lock = await holder.join();
    await using waiting = spawn(() => mutex.lock(), { name: "unlucky" });
    expect(dump()).toMatch(
      new RegExp(`unlucky waiting: mutex held by #${holder.id} careless, which has ended, \\d`),
    );
    const error = await failureOf(mutex.lock(deadline(1)));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toContain(`the deadline has passed, held by #${holder.id} careless`);
    expect(error).not.toHaveProperty("address", expect.anything());
    lock.unlock();
    (await waiting.join()).unlock();
  });

  test("shows its holder, also outside of fibers", async () => {
    const mutex = new Mutex();
    const lock = await mutex.lock();
    const fiber = spawn(() => mutex.lock(), { name: "second" });
    const outside = mutex.lock();
    expect(dump()).toContain("second waiting: mutex held outside of fibers");
    lock.unlock();
    expect(dump()).toContain(`outside of fibers: mutex held by #${fiber.id} second`);
    (await fiber.join()).unlock();
    (await outside).unlock();
  });
});

describe("fibers that wait for a mutex", () => {
  test("may be cancelled anywhere in the queue, and the others keep their order", async () => {
    const mutex = new Mutex();
    const order: string[] = [];
    const lock = mutex.tryLock()!;
    const waiters = queue(mutex, "abcdefg", order);
    for (const name of "adg") {
      waiters.get(name)!.cancel();
      expect(await failureOf(waiters.get(name)!.join())).toBeInstanceOf(CancelledError);
    }
    lock.unlock();
    for (const name of "bcef") await waiters.get(name)!.join();
    expect(order.join("")).toBe("bcef");
    expect(mutex.isLocked).toBe(false);
  });

  test("may give up by their deadline, and the others keep their order", async () => {
    const mutex = new Mutex();
    const order: string[] = [];
    const lock = mutex.tryLock()!;
    const early = queue(mutex, "ab", order);
    const late = spawn(() => mutex.lock(deadline(1)));
    const rest = queue(mutex, "cd", order);
    expect(await failureOf(late.join())).toBeInstanceOf(TimeoutError);
    lock.unlock();
    for (const fiber of [...early.values(), ...rest.values()]) await fiber.join();
    expect(order.join("")).toBe("abcd");
    expect(mutex.isLocked).toBe(false);
  });

  test("get it when it was handed over before their deadline was noticed", async () => {
    const mutex = new Mutex();
    const lock = mutex.tryLock()!;
    const until = deadline(1);
    const waiting = spawn(() => mutex.lock(until));
    while (now() < until + 1) {
      // The scheduler has no turn in which it could notice the deadline.
    }
    lock.unlock();
    (await waiting.join()).unlock();
    expect(mutex.isLocked).toBe(false);
  });

  test("keep it when they are cancelled after it was handed over", async () => {
    const mutex = new Mutex();
    const lock = mutex.tryLock()!;
    const waiting = spawn(async () => {
      using _lock = await mutex.lock();
      await sleep(0);
    });
    lock.unlock();
    waiting.cancel();
    expect(await failureOf(waiting.join())).toBeInstanceOf(CancelledError);
    expect(mutex.isLocked).toBe(false);
  });

  test("lose no lock to a cancellation when the turn's budget is spent", async () => {
    const mutex = new Mutex();
    const fiber = spawn(async () => {
      for (;;) {
        using _lock = await mutex.lock();
      }
    });
    await untilHeldUp(fiber);
    expect(mutex.isLocked).toBe(true);
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    expect(mutex.isLocked).toBe(false);
  });

  test("fail at once with a deadline that has passed, although it is free", async () => {
    const mutex = new Mutex();
    expect(await failureOf(mutex.lock(now() - 1))).toBeInstanceOf(TimeoutError);
    expect(mutex.isLocked).toBe(false);
    expectMistake(await mistakeIn(() => mutex.lock(Number.NaN)), RangeError, /deadline/);
    expectMistake(
      await mistakeIn(() => mutex.lock("soon" as unknown as number)),
      TypeError,
      /deadline/,
    );
    expect(mutex.isLocked).toBe(false);
  });

  test("all end, a thousand of them, by a cancellation, a deadline or the lock", async () => {
    const before = stats();
    const mutex = new Mutex();
    const lock = mutex.tryLock()!;
    const until = deadline(5);
    const fibers = Array.from({ length: 1000 }, (_, index) =>
      spawn(async () => {
        using _lock = await mutex.lock(index % 3 === 1 ? until : undefined);
        await yieldNow();
      }),
    );
    fibers.forEach((fiber, index) => {
      if (index % 3 === 2) fiber.cancel();
    });
    const ends = Promise.allSettled(fibers.map((fiber) => fiber.join()));
    await pollUntil("their time is up", () => stats().waiters === before.waiters);
    lock.unlock();
    const results = await ends;
    results.forEach((result, index) => {
      const error = result.status === "rejected" ? result.reason : undefined;
      const expected = [undefined, TimeoutError, CancelledError][index % 3];
      expect(error?.constructor).toBe(expected);
    });
    expect(mutex.isLocked).toBe(false);
    expect(stats().waiters).toBe(before.waiters);
    expect(stats().fibers).toBe(before.fibers);
  });
});

test("a lock is typed, and tryLock's result works with using", () => {
  const mutex = new Mutex();
  const lock: MutexLock | undefined = mutex.tryLock();
  using none = mutex.tryLock();
  expect(none).toBeUndefined();
  lock?.unlock();
  expect(mutex.isLocked).toBe(false);
});
