/** The primitives with models of a few lines. Random operations are done to both. */

import { expect } from "bun:test";
import {
  Channel,
  deadline,
  Event,
  Mutex,
  type MutexLock,
  now,
  Semaphore,
  type SemaphorePermit,
} from "../../index.ts";
import { Contender, Contest, microtasks } from "./contenders.ts";
import type { Random } from "./random.ts";

/** Operations between two comparisons at most: some use up the budget of a turn. */
const batches = [4, 24, 24, 24, 1500];

/** A primitive with its model, for random operations. */
export abstract class Game {
  readonly contest = new Contest();
  readonly random: Random;
  /** The fibers that wait, in the model. */
  protected waiting: Contender<unknown>[] = [];
  operations = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** Does one operation, if it is possible now, on the primitive and on the model. */
  protected abstract move(): boolean | Promise<boolean>;
  /** Ends all that still wait. */
  protected abstract finish(): Promise<void>;

  async play(operations: number): Promise<void> {
    while (this.operations < operations) {
      for (let left = 1 + this.random.below(this.random.pick(batches)); left > 0; left--) {
        if (await this.move()) this.operations++;
      }
      await this.contest.settle();
      this.compare();
    }
    await this.finish();
    await this.contest.settle();
    this.compare();
    expect(this.waiting).toHaveLength(0);
  }

  /** Compares the visible state of the primitive with the model. */
  protected abstract compare(): void;

  /** Mostly no deadline, sometimes a close one, rarely one that has passed. */
  protected deadline(): number | undefined {
    const kind = this.random.below(20);
    if (kind < 14) return undefined;
    return kind < 19 ? deadline(this.random.fraction()) : now() - 1;
  }

  /** Starts a wait, and returns it unless it has failed at once by a deadline that has passed. */
  protected async start<T>(
    call: () => Promise<T>,
    until: number | undefined,
  ): Promise<Contender<T> | undefined> {
    const contender = new Contender<T>(this.contest, call, (late) => this.leave(late));
    // Only the call knows whether a deadline passed before it or after it.
    if (until !== undefined && until <= now()) await microtasks();
    contender.hasBegun = true;
    if (contender.ending !== "late") return contender;
    this.contest.expect(contender, "late");
    return undefined;
  }

  protected cancelOne(): boolean {
    if (this.random.below(3) === 0) return this.contest.cancelServed(this.random);
    if (this.waiting.length === 0) return false;
    const contender = this.random.pick(this.waiting);
    contender.fiber.cancel();
    this.contest.expect(contender, "cancelled");
    this.leave(contender);
    return true;
  }

  protected leave(contender: Contender<never> | Contender<unknown>): void {
    const index = this.waiting.indexOf(contender as Contender<unknown>);
    if (index < 0) throw new Error("one that does not wait has left");
    this.waiting.splice(index, 1);
  }
}

/** A lock or permit that is held: the result of a `try`, or of a wait that has ended. */
type Held<T> = T | Contender<T>;

function valueIn<T>(held: Held<T> | undefined): T | undefined {
  return held instanceof Contender ? held.value : held;
}

export class MutexGame extends Game {
  readonly #mutex = new Mutex();
  #holder: Held<MutexLock> | undefined;

  protected override move(): boolean | Promise<boolean> {
    const kind = this.random.below(10);
    if (kind < 4) return this.#lock();
    if (kind < 5) return this.#tryLock();
    if (kind < 6) return this.cancelOne();
    return this.#unlock();
  }

  async #lock(): Promise<boolean> {
    const until = this.deadline();
    const contender = await this.start(() => this.#mutex.lock(until), until);
    if (contender === undefined) return true;
    this.waiting.push(contender);
    if (this.#holder === undefined) this.#serve();
    return true;
  }

  #tryLock(): boolean {
    const lock = this.#mutex.tryLock();
    if ((lock === undefined) !== (this.#holder !== undefined)) this.contest.mistake("tryLock");
    this.#holder ??= lock;
    return true;
  }

  #unlock(): boolean {
    const lock = valueIn(this.#holder);
    if (lock === undefined) return false;
    lock.unlock();
    this.#serve();
    return true;
  }

  #serve(): void {
    const next = this.waiting.shift() as Contender<MutexLock> | undefined;
    this.#holder = next;
    if (next !== undefined) this.contest.expect(next, "served");
  }

  protected override compare(): void {
    expect(this.#mutex.isLocked).toBe(this.#holder !== undefined);
  }

  protected override async finish(): Promise<void> {
    while (this.#holder !== undefined) {
      await this.contest.settle();
      this.#unlock();
    }
  }
}

const permits = 5;

export class SemaphoreGame extends Game {
  readonly #semaphore = new Semaphore(permits);
  readonly #counts = new Map<Contender<unknown>, number>();
  #held: Held<SemaphorePermit>[] = [];
  #available = permits;

  protected override move(): boolean | Promise<boolean> {
    const kind = this.random.below(10);
    if (kind < 4) return this.#acquire();
    if (kind < 5) return this.#tryAcquire();
    if (kind < 6) return this.cancelOne();
    return this.#release();
  }

  #count(): number {
    return 1 + this.random.below(permits);
  }

  async #acquire(): Promise<boolean> {
    const until = this.deadline();
    const count = this.#count();
    const contender = await this.start(() => this.#semaphore.acquire(count, until), until);
    if (contender === undefined) return true;
    this.#counts.set(contender as Contender<unknown>, count);
    this.waiting.push(contender);
    this.#serve();
    return true;
  }

  #tryAcquire(): boolean {
    const count = this.#count();
    const permit = this.#semaphore.tryAcquire(count);
    const isPossible = this.waiting.length === 0 && count <= this.#available;
    if ((permit !== undefined) !== isPossible) this.contest.mistake("tryAcquire");
    if (permit === undefined) return true;
    this.#available -= count;
    this.#held.push(permit);
    return true;
  }

  #release(): boolean {
    const index = this.random.below(this.#held.length);
    const permit = valueIn(this.#held[index]);
    if (permit === undefined) return false;
    this.#held.splice(index, 1);
    permit.release();
    this.#available += permit.count;
    this.#serve();
    return true;
  }

  #serve(): void {
    for (;;) {
      const first = this.waiting[0] as Contender<SemaphorePermit> | undefined;
      const count = first && this.#counts.get(first as Contender<unknown>)!;
      if (first === undefined || count! > this.#available) return;
      this.waiting.shift();
      this.#available -= count!;
      this.#held.push(first);
      this.contest.expect(first, "served");
    }
  }

  protected override leave(contender: Contender<unknown>): void {
    super.leave(contender);
    this.#serve();
  }

  protected override compare(): void {
    expect(this.#semaphore.available).toBe(this.#available);
    let held = 0;
    for (const permit of this.#held) held += valueIn(permit)!.count;
    expect(held + this.#available).toBe(permits);
  }

  protected override async finish(): Promise<void> {
    while (this.#held.length > 0) {
      await this.contest.settle();
      this.#release();
    }
  }
}

export class EventGame extends Game {
  readonly #event = new Event();
  #isSet = false;

  protected override move(): boolean | Promise<boolean> {
    const kind = this.random.below(20);
    if (kind < 12) return this.#wait();
    if (kind < 15) return this.cancelOne();
    if (kind < 17) return this.#set();
    this.#event.clear();
    this.#isSet = false;
    return true;
  }

  async #wait(): Promise<boolean> {
    const until = this.deadline();
    const contender = await this.start(() => this.#event.wait(until), until);
    if (contender === undefined) return true;
    if (this.#isSet) this.contest.expect(contender, "served");
    else this.waiting.push(contender);
    return true;
  }

  #set(): boolean {
    this.#event.set();
    this.#isSet = true;
    for (const contender of this.waiting) this.contest.expect(contender, "served");
    this.waiting = [];
    return true;
  }

  protected override compare(): void {
    expect(this.#event.isSet).toBe(this.#isSet);
  }

  protected override async finish(): Promise<void> {
    this.#set();
  }
}

export class ChannelGame extends Game {
  readonly #capacity: number;
  #channel: Channel<number>;
  #items: number[] = [];
  #isClosed = false;
  /** All that wait are of one kind; if they send, these are their items. */
  readonly #sent = new Map<Contender<unknown>, number>();
  #next = 1;

  constructor(random: Random, capacity: number) {
    super(random);
    this.#capacity = capacity;
    this.#channel = new Channel(capacity);
  }

  protected override move(): boolean | Promise<boolean> {
    if (this.#isClosed && this.random.below(20) === 0) return this.#replace();
    const kind = this.random.below(400);
    if (kind < 140) return this.#send();
    if (kind < 280) return this.#receive();
    if (kind < 320) return this.#trySend();
    if (kind < 360) return this.#tryReceive();
    if (kind < 397) return this.cancelOne();
    return !this.#isClosed && this.#close();
  }

  /** Fibers that the old channel has served may not know it yet; the model does. */
  #replace(): boolean {
    this.#channel = new Channel(this.#capacity);
    this.#items = [];
    this.#isClosed = false;
    return true;
  }

  get #sendersWait(): boolean {
    return this.waiting.length > 0 && this.#sent.has(this.waiting[0]!);
  }

  async #send(): Promise<boolean> {
    const until = this.deadline();
    const item = this.#next++;
    const channel = this.#channel;
    const contender = await this.start(() => channel.send(item, until), until);
    if (contender === undefined) return true;
    if (this.#isClosed) this.contest.expect(contender, "closed");
    else if (this.#give(item)) this.contest.expect(contender, "served");
    else {
      this.#sent.set(contender as Contender<unknown>, item);
      this.waiting.push(contender);
    }
    return true;
  }

  #trySend(): boolean {
    if (this.#isClosed) return false;
    const item = this.#next++;
    if (this.#channel.trySend(item) !== this.#give(item)) this.contest.mistake("trySend");
    return true;
  }

  async #receive(): Promise<boolean> {
    const until = this.deadline();
    const channel = this.#channel;
    const iterator = channel[Symbol.asyncIterator]();
    const iterate = async (): Promise<number | null> => (await iterator.next()).value ?? null;
    const isIteration = until === undefined && this.random.below(2) === 0;
    const call = isIteration ? iterate : () => channel.receive(until);
    const contender = await this.start<number | null>(call, until);
    if (contender === undefined) return true;
    const item = this.#take();
    if (item !== undefined) this.contest.expect(contender, "served", item);
    else if (this.#isClosed) this.contest.expect(contender, "served", null);
    else this.waiting.push(contender);
    return true;
  }

  #tryReceive(): boolean {
    const expected = this.#take() ?? (this.#isClosed ? null : undefined);
    if (this.#channel.tryReceive() !== expected) this.contest.mistake("tryReceive");
    return true;
  }

  #give(item: number): boolean {
    if (this.waiting.length > 0 && !this.#sendersWait) {
      this.contest.expect(this.waiting.shift()!, "served", item);
      return true;
    }
    if (this.#items.length === this.#capacity) return false;
    this.#items.push(item);
    return true;
  }

  #take(): number | undefined {
    if (this.#sendersWait) {
      const sender = this.waiting.shift()!;
      this.#items.push(this.#sent.get(sender)!);
      this.contest.expect(sender, "served");
    }
    return this.#items.shift();
  }

  #close(): boolean {
    this.#channel.close();
    for (const contender of this.waiting) {
      if (this.#sent.has(contender)) this.contest.expect(contender, "closed");
      else this.contest.expect(contender, "served", null);
    }
    this.waiting = [];
    this.#isClosed = true;
    return true;
  }

  protected override compare(): void {
    expect(this.#channel.isClosed).toBe(this.#isClosed);
    expect(this.#channel.length).toBe(this.#items.length);
  }

  protected override async finish(): Promise<void> {
    if (!this.#isClosed) this.#close();
  }
}
