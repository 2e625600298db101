/** park and unpark, and what can be built on them. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  current,
  deadline,
  type Fiber,
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
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

describe("park", () => {
  test("suspends until unpark, and returns the value passed to it", async () => {
    const value = { any: "thing" };
    const fiber = spawn(() => park<typeof value>());
    expect(unpark(fiber, value)).toBe(true);
    expect(await fiber.join()).toBe(value);
  });

  test("fails outside of fibers", async () => {
    expect((await failureOf(park())).message).toContain("fiber");
  });

  test("a second time in one fiber at the same time fails, and leaves the first park alone", async () => {
    const fiber = spawn(() => Promise.all([park<string>(), failureOf(park())]));
    expect(unpark(fiber, "first")).toBe(true);
    const [value, error] = await fiber.join();
    expect(value).toBe("first");
    expect(error.message).toContain("parked already");
  });

  test("makes no waiter in the core; with a deadline it makes one, which does not remain", async () => {
    const before = stats().waiters;
    const endless = spawn(() => park());
    expect(stats().waiters).toBe(before);
    const limited = spawn(() => park(deadline(60_000)));
    expect(stats().waiters).toBe(before + 1);
    unpark(limited);
    unpark(endless);
    await Promise.all([limited.join(), endless.join()]);
    expect(stats().waiters).toBe(before);
  });
});

describe("unpark", () => {
  test("returns false when the fiber is not parked, and the value is not kept", async () => {
    const fiber = spawn(async () => {
      await yieldNow();
      return park<string>();
    });
    expect(unpark(fiber, "lost")).toBe(false);
    await pollUntil("it is parked", () => unpark(fiber, "kept"));
    expect(unpark(fiber, "second")).toBe(false);
    expect(await fiber.join()).toBe("kept");
    expect(unpark(fiber, "ended")).toBe(false);
  });

  test("returns false after the park has timed out or was cancelled", async () => {
    const limited = spawn(() => park<string>(deadline(1)));
    expect(await failureOf(limited.join())).toBeInstanceOf(TimeoutError);
    expect(unpark(limited, "late")).toBe(false);

    let isParkedAgain = false;
    const again = spawn(async () => {
      await failureOf(park(deadline(1)));
      isParkedAgain = true;
      return park<string>();
    });
    await pollUntil("it is parked again", () => isParkedAgain);
    expect(unpark(again, "again")).toBe(true);
    expect(await again.join()).toBe("again");

    const cancelled = spawn(() => park<string>());
    cancelled.cancel();
    expect(unpark(cancelled, "late")).toBe(false);
    expect(await failureOf(cancelled.join())).toBeInstanceOf(CancelledError);
  });

  test("wakes any number of fibers in the order of the calls", async () => {
    const order: number[] = [];
    const fibers = Array.from({ length: 1000 }, (_, index) =>
      spawn(async () => {
        order.push(await park<number>());
        return index;
      }),
    );
    fibers.forEach((fiber, index) => {
      expect(unpark(fiber, index)).toBe(true);
    });
    await Promise.all(fibers.map((fiber) => fiber.join()));
    expect(order).toEqual(fibers.map((_, index) => index));
  });
});

/** A queue for one value at a time, whose consumers are served in the order in which they came. */
class Channel<T> {
  readonly #values: T[] = [];
  readonly #waiting: Fiber[] = [];

  put(value: T): void {
    for (let fiber = this.#waiting.shift(); fiber; fiber = this.#waiting.shift()) {
      if (unpark(fiber, value)) return;
    }
    this.#values.push(value);
  }

  async take(until?: number): Promise<T> {
    if (this.#values.length > 0) return this.#values.shift()!;
    this.#waiting.push(current()!);
    return park<T>(until);
  }
}

describe("a queue built on them", () => {
  test("serves its consumers in order", async () => {
    const channel = new Channel<number>();
    const taken: [string, number][] = [];
    const consumers = ["a", "b", "c"].map((name) =>
      spawn(async () => {
        for (let count = 0; count < 100; count++) taken.push([name, await channel.take()]);
      }),
    );
    for (let value = 0; value < 300; value++) {
      channel.put(value);
      await yieldNow();
    }
    await Promise.all(consumers.map((consumer) => consumer.join()));
    expect(taken.map(([, value]) => value)).toEqual(taken.map((_, index) => index));
    expect(taken.map(([name]) => name)).toEqual(taken.map((_, index) => "abc"[index % 3]!));
  });

  test("loses nothing when consumers give up", async () => {
    const channel = new Channel<number>();
    const taken: number[] = [];
    const impatient = Array.from({ length: 20 }, () => spawn(() => channel.take(deadline(1))));
    const cancelled = Array.from({ length: 20 }, () => spawn(() => channel.take()));
    for (const fiber of cancelled) fiber.cancel();
    const results = await Promise.allSettled([...impatient, ...cancelled].map((one) => one.join()));
    expect(results.every((result) => result.status === "rejected")).toBe(true);
    const consumer = spawn(async () => {
      for (let count = 0; count < 10; count++) taken.push(await channel.take());
    });
    for (let value = 0; value < 10; value++) channel.put(value);
    await consumer.join();
    expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

/** Five hundred pairs of fibers that unpark each other until they are stopped. */
class PingPong {
  readonly #fibers: Fiber<void>[] = [];
  #isOver = false;
  exchanges = 0;

  constructor(pairs: number) {
    for (let index = 0; index < pairs; index++) {
      const pair: Fiber<void>[] = [];
      for (const side of [0, 1]) pair.push(spawn(() => this.#play(pair, side)));
      this.#fibers.push(...pair);
    }
  }

  async #play(pair: Fiber<void>[], side: number): Promise<void> {
    // The first fiber has no other to unpark yet.
    if (side === 0) await park();
    while (!this.#isOver) {
      this.exchanges++;
      unpark(pair[1 - side]!);
      await park();
    }
    unpark(pair[1 - side]!);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#fibers.map((fiber) => fiber.join()));
  }
}

describe("a thousand fibers that unpark each other", () => {
  test("leave room for timers and for sockets", async () => {
    await using pair = await socketPair();
    await using _echo = spawn(async () => {
      for await (const chunk of pair.server) await pair.server.write(chunk);
    });
    const game = new PingPong(500);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const deadlineOfAll = deadline(4000);
    let echoes = 0;
    while (ticks < 10 || echoes < 50) {
      await pair.client.write("ping", deadlineOfAll);
      await readExactly(pair.client, 4);
      if (echoes % 10 === 0) await sleep(0.5);
      echoes++;
      expect(deadline(0)).toBeLessThan(deadlineOfAll);
    }
    clearInterval(timer);
    const { exchanges } = game;
    await game.stop();
    expect(exchanges).toBeGreaterThan(10_000);
  });

  test("leave room for sockets and sleeps in the blocking driver", () => {
    const exchanges = block(async () => {
      await using pair = await socketPair();
      const game = new PingPong(500);
      for (let round = 0; round < 50; round++) {
        await pair.client.write("ping", deadline(4000));
        await readExactly(pair.server, 4);
        if (round % 10 === 0) await sleep(0.5);
      }
      await game.stop();
      return game.exchanges;
    });
    expect(exchanges).toBeGreaterThan(10_000);
  });
});
