/**
 * Fibers in every kind of wait, mostly in two at once, that are cancelled at random. Their abort
 * listeners interfere with the waits that are about to be cancelled: they hand over, close, unpark,
 * cancel. Only what is conserved is known of them.
 */

import {
  Channel,
  current,
  deadline,
  Event,
  type Fiber,
  Mutex,
  type MutexLock,
  park,
  Semaphore,
  type SemaphorePermit,
  scope,
  sleep,
  spawn,
  TimeoutError,
  unpark,
  yieldNow,
} from "../../index.ts";
import type { Random } from "./random.ts";

const permits = 5;
const capacities = [0, 1, 7];

export class Interference {
  readonly #random: Random;
  readonly #mutex = new Mutex();
  readonly #semaphore = new Semaphore(permits);
  readonly #event = new Event();
  readonly #channels = capacities.map((capacity) => new Channel<number>(capacity));
  readonly #fibers: Fiber[] = [];
  /** Fibers that may be cancelled. If the others lose a wake-up, nothing else ends their wait. */
  readonly #victims: Fiber[] = [];
  /** Locks and permits that any fiber may release. */
  readonly #locks: MutexLock[] = [];
  readonly #permits: SemaphorePermit[] = [];
  #sent = 0;
  #received = 0;
  #permitsHeld = 0;
  /** How often an abort listener has done something. */
  interferences = 0;
  readonly mistakes: string[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** Runs so many fibers that do so many things each, until all have ended. */
  async play(players: number, movesOfEach: number): Promise<void> {
    for (let count = 0; count < players; count++) {
      const fiber = spawn(() => this.#player(movesOfEach));
      this.#fibers.push(fiber);
      if (count % 2 === 0) this.#victims.push(fiber);
    }
    const janitor = spawn(async () => {
      while (!this.#fibers.every(({ hasEnded }) => hasEnded)) {
        this.#releaseAll();
        await sleep(0.2);
      }
    });
    for (const fiber of this.#fibers) {
      await fiber.join(deadline(10_000)).catch((error) => {
        if (fiber.state !== "cancelled") throw error;
      });
    }
    await janitor.join();
    this.#releaseAll();
    if (this.#mutex.isLocked) this.mistakes.push("the mutex is still held");
    if (this.#semaphore.available !== permits) this.mistakes.push("permits are missing");
    const lying = this.#channels.reduce((sum, { length }) => sum + length, 0);
    if (this.#sent !== this.#received + lying) this.mistakes.push("an item is missing");
  }

  async #player(moves: number): Promise<void> {
    await yieldNow();
    for (let count = 0; count < moves; count++) {
      try {
        if (this.#random.below(50) === 0) this.#random.pick(this.#victims).cancel();
        await this.#move();
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
      }
    }
  }

  #move(): Promise<unknown> {
    if (this.#random.below(10) === 0) return yieldNow();
    if (this.#random.below(3) === 0) return this.#wait();
    return this.#waitTwice();
  }

  /** Two waits of one fiber, and a scope that is cancelled before them. */
  async #waitTwice(): Promise<void> {
    const waits = Promise.allSettled([this.#wait(), this.#wait()]);
    try {
      await scope(
        async () => {
          current()!.signal.addEventListener("abort", () => this.#interfere());
          await park();
        },
        { deadline: deadline(this.#random.fraction() * 4) },
      );
    } finally {
      // What they get they keep, cancelled or not.
      await waits;
    }
  }

  /** One wait of its fiber, which others may serve. */
  async #wait(): Promise<void> {
    const random = this.#random;
    const soon = deadline(random.fraction() * 20);
    switch (random.below(6)) {
      case 0: {
        const lock = await this.#mutex.lock();
        if (this.#locks.push(lock) > 1) this.mistakes.push("two have the mutex");
        return;
      }
      case 1: {
        const permit = await this.#semaphore.acquire(1 + random.below(permits));
        this.#permits.push(permit);
        this.#permitsHeld += permit.count;
        if (this.#permitsHeld > permits) this.mistakes.push("more permits than there are");
        return;
      }
      case 2:
        return await this.#event.wait(soon);
      case 3:
        // A fiber that is parked already, or whose channel is closed, must try something else.
        return await park(soon).catch(unlessLate);
      case 4:
        return await this.#channel()
          .send(1, soon)
          .then(() => void this.#sent++, unlessLate);
      default:
        if ((await this.#channel().receive(soon)) !== null) this.#received++;
    }
  }

  #channel(): Channel<number> {
    return this.#random.pick(this.#channels);
  }

  #interfere(): void {
    this.interferences++;
    for (let count = 1 + this.#random.below(3); count > 0; count--) this.#disturb();
  }

  #disturb(): void {
    const random = this.#random;
    switch (random.below(8)) {
      case 0:
        this.#locks.pop()?.unlock();
        return;
      case 1:
        this.#releasePermit();
        return;
      case 2:
        this.#event.set();
        this.#event.clear();
        return;
      case 3:
        if (this.#channel().tryReceive() === 1) this.#received++;
        return;
      case 4: {
        const channel = this.#channel();
        if (!channel.isClosed && channel.trySend(1)) this.#sent++;
        return;
      }
      case 5:
        unpark(random.pick(this.#fibers));
        return;
      case 6:
        random.pick(this.#victims).cancel();
        return;
      default:
        this.#replaceChannel();
    }
  }

  /** Closes a channel, and puts a new one in its place. */
  #replaceChannel(): void {
    const index = this.#random.below(this.#channels.length);
    const channel = this.#channels[index]!;
    channel.close();
    while (channel.tryReceive() === 1) this.#received++;
    this.#channels[index] = new Channel<number>(channel.capacity);
  }

  #releasePermit(): boolean {
    const permit = this.#permits.pop();
    if (permit === undefined) return false;
    this.#permitsHeld -= permit.count;
    permit.release();
    return true;
  }

  #releaseAll(): void {
    this.#locks.pop()?.unlock();
    while (this.#releasePermit());
  }
}

/** The fiber is parked already, or the channel was closed. */
function unlessLate(error: Error): void {
  if (error instanceof TimeoutError || error.name === "CancelledError") throw error;
}
