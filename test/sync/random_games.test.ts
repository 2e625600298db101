/** A million random operations, each compared with a model of a few lines. */

import { describe, expect, test } from "bun:test";
import {
  block,
  Channel,
  deadline,
  Event,
  Mutex,
  Semaphore,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { Interference } from "../support/interference.ts";
import { Random } from "../support/random.ts";
import {
  ChannelGame,
  EventGame,
  type Game,
  MutexGame,
  SemaphoreGame,
} from "../support/sync_games.ts";

const operationsOfEach = 170_000;
const games: Record<string, (random: Random) => Game> = {
  "a mutex": (random) => new MutexGame(random),
  "a semaphore": (random) => new SemaphoreGame(random),
  "an event": (random) => new EventGame(random),
  "a channel of capacity 0": (random) => new ChannelGame(random, 0),
  "a channel of capacity 1": (random) => new ChannelGame(random, 1),
  "a channel of capacity 7": (random) => new ChannelGame(random, 7),
};

/**
 * A failed game prints its seed. The seed repeats the game, except for the exact time of its
 * deadlines.
 */
async function withSeed(play: (random: Random) => Promise<void>, seed?: number): Promise<void> {
  const random = new Random(seed);
  const before = stats();
  try {
    await play(random);
    expect(stats().fibers).toBe(before.fibers);
    expect(stats().waiters).toBeLessThanOrEqual(before.waiters);
  } catch (error) {
    console.error(`seed ${random.seed}`);
    throw error;
  }
}

describe.each(Object.entries(games))("%s behaves as its model", (_name, start) => {
  test(
    `in ${operationsOfEach} random operations`,
    () =>
      withSeed(async (random) => {
        const game = start(random);
        await game.play(operationsOfEach);
        const { served, cancelled, late, closed } = game.contest.endings;
        for (const count of [served, cancelled, late]) expect(count).toBeGreaterThan(1000);
        if (game instanceof ChannelGame) expect(closed).toBeGreaterThan(100);
      }),
    20_000,
  );
});

const players = 1000;
const permits = 5;
const movesOfEach = 60;

/** A thousand fibers that run by themselves. Only what is conserved is known of them. */
async function free(random: Random): Promise<void> {
  const mutex = new Mutex();
  const semaphore = new Semaphore(permits);
  const event = new Event();
  const channel = new Channel<number>(3);
  let [holders, held, sent, received, moves] = [0, 0, 0, 0, 0];
  const until = (): number | undefined =>
    random.below(3) === 0 ? deadline(random.fraction() * 20) : undefined;
  const pause = (): Promise<void> => (random.below(2) === 0 ? yieldNow() : Promise.resolve());

  const move = async (): Promise<void> => {
    switch (random.below(5)) {
      case 0: {
        using _lock = await mutex.lock(until());
        if (++holders !== 1) throw new Error("two have the mutex");
        await pause().finally(() => holders--);
        return;
      }
      case 1: {
        using permit = await semaphore.acquire(1 + random.below(permits), until());
        if ((held += permit.count) > permits) throw new Error("more permits than there are");
        await pause().finally(() => (held -= permit.count));
        return;
      }
      case 2:
        if (random.below(10) > 0) return event.wait(deadline(2));
        event.set();
        return event.clear();
      case 3:
        await channel.send(1, until() ?? deadline(20));
        sent++;
        return;
      default:
        if ((await channel.receive(until() ?? deadline(20))) !== null) received++;
    }
  };
  const fibers = Array.from({ length: players }, () =>
    spawn(async () => {
      await yieldNow();
      for (let count = 0; count < movesOfEach; count++) {
        moves++;
        try {
          if (random.below(2000) === 0) random.pick(fibers).cancel();
          await move();
        } catch (error) {
          if (!(error instanceof TimeoutError)) throw error;
        }
      }
    }),
  );
  // A lost wake-up leaves a fiber waiting without a deadline.
  for (const fiber of fibers) {
    await fiber.join(deadline(15_000)).catch((error) => {
      if (fiber.state !== "cancelled") throw error;
    });
  }
  expect([mutex.isLocked, semaphore.available, holders, held]).toEqual([false, permits, 0, 0]);
  expect(received + channel.length).toBe(sent);
  expect(moves).toBeGreaterThan(players * (movesOfEach / 3));
}

describe("a thousand fibers that do random things with all of them", () => {
  test("lose nothing and all end", () => withSeed(free), 20_000);

  test("do so in the blocking driver too", () => block(() => withSeed(free)), 20_000);
});

/**
 * Few fibers at a time, so that a listener often serves the fiber that is being cancelled. The
 * rounds run beside each other.
 */
async function interfered(random: Random): Promise<void> {
  const games = Array.from({ length: players / 10 }, () => new Interference(random));
  await Promise.all(games.map((game) => game.play(10, movesOfEach / 2)));
  expect(games.flatMap(({ mistakes }) => mistakes)).toEqual([]);
  expect(games.reduce((sum, game) => sum + game.interferences, 0)).toBeGreaterThan(200);
}

describe("a thousand fibers whose abort listeners interfere with each other", () => {
  test("lose nothing and all end", () => withSeed(interfered), 20_000);

  test("do so in the blocking driver too", () => block(() => withSeed(interfered)), 20_000);
});
