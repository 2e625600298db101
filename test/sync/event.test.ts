/** Event. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  deadline,
  Event,
  now,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { untilHeldUp } from "../support/turns.ts";

async function wakeAll(): Promise<void> {
  const event = new Event();
  const order: number[] = [];
  const fibers = Array.from({ length: 1000 }, (_, index) =>
    spawn(async () => {
      await event.wait();
      order.push(index);
    }),
  );
  event.set();
  for (const fiber of fibers) await fiber.join();
  expect(order).toEqual(Array.from({ length: 1000 }, (_, index) => index));
}

describe("an event", () => {
  test("wakes a thousand fibers that wait, in their order", wakeAll);

  test("does so in the blocking driver", () => {
    block(wakeAll);
  });

  test("that is set needs no turn to wait for, until it is cleared", async () => {
    const event = new Event();
    expect(event.isSet).toBe(false);
    event.set();
    event.set();
    expect(event.isSet).toBe(true);
    const { polls } = stats();
    await event.wait();
    await event.wait(deadline(1000));
    expect(stats().polls).toBe(polls);
    event.clear();
    event.clear();
    expect(event.isSet).toBe(false);
    expect(await failureOf(event.wait(deadline(1)))).toBeInstanceOf(TimeoutError);
  });

  test("that is set and cleared at once wakes only the fibers that waited", async () => {
    const event = new Event();
    const woken = Array.from({ length: 600 }, () => spawn(() => event.wait()));
    event.set();
    event.clear();
    const later = spawn(() => event.wait());
    for (const fiber of woken) await fiber.join(deadline(4000));
    await yieldNow();
    expect(later.state).toBe("waiting");
    event.set();
    await later.join();
  });

  test("wakes the others when some fibers are cancelled or late", async () => {
    const before = stats();
    const event = new Event();
    const until = deadline(5);
    const order: number[] = [];
    const fibers = Array.from({ length: 1000 }, (_, index) =>
      spawn(async () => {
        await event.wait(index % 3 === 1 ? until : undefined);
        order.push(index);
      }),
    );
    fibers.forEach((fiber, index) => {
      if (index % 3 === 2) fiber.cancel();
    });
    const ends = Promise.allSettled(fibers.map((fiber) => fiber.join()));
    await pollUntil("their time is up", () => stats().waiters === before.waiters);
    event.set();
    const results = await ends;
    results.forEach((result, index) => {
      const error = result.status === "rejected" ? result.reason : undefined;
      expect(error?.constructor).toBe([undefined, TimeoutError, CancelledError][index % 3]);
    });
    expect(order).toEqual(Array.from({ length: 334 }, (_, index) => 3 * index));
    expect(stats().waiters).toBe(before.waiters);
    expect(stats().fibers).toBe(before.fibers);
  });

  test("has woken fibers whose deadline was not noticed before", async () => {
    const event = new Event();
    const until = deadline(1);
    const waiting = spawn(() => event.wait(until));
    while (now() < until + 1) {
      // The scheduler has no turn in which it could notice the deadline.
    }
    event.set();
    await waiting.join();
  });

  test("that is set does not let a cancelled fiber pass", async () => {
    const event = new Event();
    event.set();
    const fiber = spawn(async () => {
      for (;;) await event.wait();
    });
    await untilHeldUp(fiber);
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
  });

  test("that is set still fails a wait whose deadline has passed", async () => {
    const event = new Event();
    event.set();
    expect(await failureOf(event.wait(now() - 1))).toBeInstanceOf(TimeoutError);
    expectMistake(await mistakeIn(() => event.wait(Number.NaN)), RangeError, /deadline/);
  });

  test("can be waited for outside of fibers", async () => {
    const event = new Event();
    const waiting = event.wait();
    event.set();
    await waiting;
  });
});
