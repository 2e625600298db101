/** Scopes nested ten deep, with every kind of wait in them, that are cancelled at random points. */

import { describe, expect, test } from "bun:test";
import {
  all,
  block,
  CancelledError,
  Channel,
  connect,
  deadline,
  type Fiber,
  type Listener,
  listen,
  Mutex,
  race,
  type Scope,
  type ScopeOptions,
  Semaphore,
  SocketError,
  scope,
  shield,
  sleep,
  spawn,
  stats,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { Random } from "../support/random.ts";

const depth = 10;
const rounds = 15;
const permits = 5;

/** The error of a fiber that the game lets fail. */
class Mishap extends Error {
  override readonly name = "Mishap";
}

function isExpected(error: unknown): boolean {
  return (
    error instanceof CancelledError ||
    error instanceof TimeoutError ||
    error instanceof SocketError ||
    error instanceof Mishap
  );
}

function unlessLate(error: unknown): void {
  if (!(error instanceof TimeoutError)) throw error;
}

class Game {
  readonly #random: Random;
  readonly #listener: Listener;
  readonly #mutexes = [new Mutex(), new Mutex()];
  readonly #semaphore = new Semaphore(permits);
  readonly #channels = [new Channel<number>(), new Channel<number>(2)];
  #sent = 0;
  #received = 0;
  /** Everything that may be cancelled: scopes and fibers, also ended ones. */
  readonly #victims: (Scope | Fiber)[] = [];
  readonly #scopes: Scope[] = [];
  readonly mistakes: string[] = [];
  readonly outcomes = new Map<string, number>();
  deepest = 0;

  constructor(random: Random, listener: Listener) {
    this.#random = random;
    this.#listener = listener;
  }

  /** One tree of scopes. It ends by itself unless it is disturbed. */
  async play(isDisturbed: boolean): Promise<void> {
    const random = this.#random;
    const top = spawn(() => this.#nest(1));
    this.#victims.push(top);
    const canceller = spawn(async () => {
      if (!isDisturbed) return;
      for (let count = random.below(4); count > 0; count--) {
        await sleep(random.fraction() * 4);
        random.pick(this.#victims).cancel("picked");
      }
      await sleep(random.fraction() * 4);
      top.cancel("the end of the round");
    });
    const outcome = await top.join(deadline(4000)).then(
      () => "done",
      (error: unknown) => {
        if (!top.hasEnded) throw new Error("the scopes do not end");
        if (!isExpected(error)) throw error;
        return (error as Error).name;
      },
    );
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    await canceller.join();
    if (this.#mutexes.some((mutex) => mutex.isLocked)) this.mistakes.push("a mutex is still held");
    if (this.#semaphore.available !== permits) this.mistakes.push("permits are missing");
    const inChannels = this.#channels.reduce((sum, { length }) => sum + length, 0);
    if (this.#sent !== this.#received + inChannels) this.mistakes.push("an item is missing");
    if (!this.#scopes.every((each) => each.hasEnded)) this.mistakes.push("a scope has not ended");
    this.#victims.length = 0;
    this.#scopes.length = 0;
  }

  async #nest(level: number): Promise<void> {
    const random = this.#random;
    this.deepest = Math.max(this.deepest, level);
    const options: ScopeOptions = { name: `level ${level}` };
    if (random.below(20) === 0) options.deadline = deadline(random.fraction() * 8);
    const fibers: Fiber[] = [];
    try {
      await scope(async (s) => {
        this.#scopes.push(s);
        this.#victims.push(s);
        for (let count = 1 + random.below(4); count > 0; count--) {
          fibers.push(s.spawn(() => this.#work(s, fibers)));
        }
        if (level < depth) fibers.push(s.spawn(() => this.#nest(level + 1)));
        this.#victims.push(...fibers);
        if (random.below(2) === 0) await this.#work(s, fibers);
      }, options);
    } finally {
      if (!fibers.every((fiber) => fiber.hasEnded)) this.mistakes.push("a fiber has not ended");
    }
  }

  async #work(s: Scope, fibers: Fiber[]): Promise<void> {
    const random = this.#random;
    await yieldNow();
    try {
      for (let moves = random.below(20); moves > 0; moves--) await this.#move(s, fibers);
    } finally {
      // Some clean-ups wait, and some start a fiber in a scope that may be cancelled.
      if (random.below(4) === 0) await shield(() => sleep(random.fraction()), deadline(1000));
      if (random.below(8) === 0) fibers.push(s.spawn(() => yieldNow()));
    }
  }

  #move(s: Scope, fibers: Fiber[]): Promise<unknown> {
    const random = this.#random;
    switch (random.below(13)) {
      case 0:
      case 1:
        return sleep(random.fraction() * 2);
      case 2:
        return this.#lock();
      case 3:
        return this.#acquire();
      case 10:
        return this.#send().catch(unlessLate);
      case 11:
        return this.#receive().catch(unlessLate);
      case 4:
      case 5:
        return this.#echo();
      case 6:
        fibers.push(s.spawn(() => sleep(random.fraction())));
        return yieldNow();
      case 7:
        return race([() => sleep(random.fraction()), () => this.#echo()]);
      case 8:
        return all([() => sleep(random.fraction()), () => yieldNow()]);
      case 9:
        return random.below(30) === 0 ? Promise.reject(new Mishap()) : yieldNow();
      default:
        return random
          .pick(fibers)
          .join(deadline(random.fraction() * 3))
          .catch(unlessLate);
    }
  }

  async #lock(): Promise<void> {
    using _lock = await this.#random.pick(this.#mutexes).lock();
    await sleep(this.#random.fraction());
  }

  async #acquire(): Promise<void> {
    using _permit = await this.#semaphore.acquire(1 + this.#random.below(permits));
    await sleep(this.#random.fraction());
  }

  async #send(): Promise<void> {
    await this.#random.pick(this.#channels).send(1, deadline(this.#random.fraction() * 2));
    this.#sent++;
  }

  async #receive(): Promise<void> {
    await this.#random.pick(this.#channels).receive(deadline(this.#random.fraction() * 2));
    this.#received++;
  }

  async #echo(): Promise<void> {
    const { port } = this.#listener;
    await using socket = await connect({ host: "127.0.0.1", port, deadline: deadline(2000) });
    const length = 1 + this.#random.below(100);
    await socket.write(new Uint8Array(length));
    for (let received = 0; received < length; ) {
      const chunk = await socket.next(deadline(2000));
      received += chunk?.byteLength ?? length;
    }
  }
}

/** A failed game prints its seed. The seed repeats the game, except for its exact timing. */
async function play(seed?: number): Promise<Game> {
  const random = new Random(seed);
  const before = stats();
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const game = new Game(random, listener);
  try {
    for (let round = 0; round < rounds; round++) {
      await game.play(round % 3 !== 0);
      // Handlers run until their client's end has arrived. Everything else has ended already.
      expect(stats().fibers).toBeLessThanOrEqual(before.fibers + listener.connections);
    }
    await listener.close({ deadline: deadline(4000) });
    expect(game.mistakes).toEqual([]);
    expect(game.deepest).toBe(depth);
    expect(stats().fibers).toBeLessThanOrEqual(before.fibers);
  } catch (error) {
    console.error(`seed ${random.seed}`);
    throw error;
  } finally {
    await listener[Symbol.asyncDispose]();
  }
  return game;
}

describe("scopes nested ten deep, cancelled at random", () => {
  test.each([
    ["in the attached driver", play],
    ["in the blocking driver", async () => block(() => play())],
  ] as const)("leave no fiber, waiter, socket or descriptor behind %s", async (_driver, run) => {
    const before = await quietStats();
    const descriptors = openDescriptors();
    const { outcomes } = await run();
    // A game in which everything ends in the same way tests little.
    expect(outcomes.size).toBeGreaterThan(1);
    await pollUntil("nothing is left", () => {
      const { fibers, waiters, sockets, lingering } = stats();
      return (
        fibers <= before.fibers &&
        waiters <= before.waiters &&
        sockets + lingering <= before.sockets &&
        openDescriptors() <= descriptors
      );
    });
  });
});
