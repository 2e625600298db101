/**
 * When iterations begin, and which. Iterations have numbers in the run as a whole, and thread t of n takes
 * those with number k where k mod n is t.
 */

import { core } from "../core/native.ts";
import { Timer } from "../runtime/timer.ts";
import { type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { type Deadline, never } from "../values/deadlines.ts";
import { Arrivals, Rate } from "./arrivals.ts";
import type { Meter, Series } from "./memory.ts";
import type { Plan } from "./plan.ts";
import { Random } from "./random.ts";

/** What `take` returns in place of a number. */
export const ended = -1;

/** The stream of random numbers that Poisson arrivals are made of. No iteration has its number. */
const arrivalStream = Number.MAX_SAFE_INTEGER;

const idling: Operation = { syscall: "idle", isExternal: true };

/** An iteration that a user takes. */
export interface Turn {
  /** Its number in the run; `ended` when there are no more. */
  number: number;
  /** When it was due, on the monotonic clock in milliseconds. In a closed loop it is due when it is taken. */
  due: number;
}

/** Deals out the iterations of a thread. */
export interface Pacer {
  /** Begins at a time on the monotonic clock. */
  start(time: number): void;
  /** Takes the next iteration, and waits until there is one. */
  take(turn: Turn, user: number): Promise<void> | undefined;
  /** Deals out no more. */
  stop(): void;
  /** How many iterations wait for a user. */
  readonly queued: number;
  /** When the oldest and the youngest one that waits were due; undefined if none waits. */
  readonly waiting: { readonly oldest: number; readonly youngest: number } | undefined;
}

/** A closed loop: an iteration is due when a user is free. */
export class ClosedPacer implements Pacer {
  readonly #dueCount: Series;
  readonly #threads: number;
  readonly #most: number;
  readonly #users: Rate | undefined;
  readonly #thread: number;
  readonly #idle = new WaitQueue<undefined>();
  readonly #timer = new Timer(() => this.#wakeUsers());
  #next: number;
  #start = 0;
  #hasEnded = false;

  constructor(plan: Plan, thread: number, meter: Meter) {
    this.#dueCount = meter.series("due");
    this.#threads = plan.threads;
    this.#most = plan.iterations;
    this.#thread = thread;
    this.#next = thread;
    if (plan.shape.kind === "connections") this.#users = new Rate(plan.shape.stages);
  }

  get queued(): number {
    return 0;
  }

  get waiting(): undefined {
    return undefined;
  }

  start(time: number): void {
    this.#start = time;
    if (this.#users !== undefined) this.#wakeUsers();
  }

  take(turn: Turn, user: number): Promise<void> | undefined {
    if (this.#hasEnded || this.#next >= this.#most) {
      turn.number = ended;
      return undefined;
    }
    if (this.#users !== undefined && !this.#isActive(user)) return this.#takeLater(turn, user);
    this.#dueCount.count();
    turn.number = this.#next;
    this.#next += this.#threads;
    return undefined;
  }

  async #takeLater(turn: Turn, user: number): Promise<void> {
    await new Wait<undefined>(idling).begin(never, this.#idle);
    await this.take(turn, user);
  }

  /** Whether a user of this thread is one of those that the stages want now. */
  #isActive(user: number): boolean {
    const wanted = Math.round(this.#users!.at(core.now() - this.#start));
    return user * this.#threads + this.#thread < wanted;
  }

  /** Lets users look again whether they are wanted. */
  #wakeUsers(): void {
    wakeAll(this.#idle);
    if (!this.#hasEnded) this.#timer.start((core.now() + userInterval) as Deadline);
  }

  stop(): void {
    this.#hasEnded = true;
    this.#timer.stop();
    wakeAll(this.#idle);
  }
}

/** Wakes all that wait. They run later, and may wait again. */
function wakeAll(idle: WaitQueue<undefined>): void {
  for (let wait = idle.shift(); wait !== undefined; wait = idle.shift()) wait.finish(undefined);
}

/** Milliseconds between two looks whether the stages want more users. */
const userInterval = 20;

/** The due times of a thread: every nth of those of the run. */
class DueTimes {
  readonly #arrivals: { next(): number };
  readonly #threads: number;
  /** The number of the next one in the run, and its time from the start. */
  number: number;
  time: number;
  readonly #most: number;

  constructor(plan: Plan, thread: number) {
    this.#arrivals = arrivalsOf(plan);
    this.#threads = plan.threads;
    this.#most = plan.iterations;
    this.number = thread;
    for (let skipped = 0; skipped < thread; skipped++) this.#arrivals.next();
    this.time = this.#timeOf();
  }

  step(): void {
    for (let skipped = 1; skipped < this.#threads; skipped++) this.#arrivals.next();
    this.number += this.#threads;
    this.time = this.#timeOf();
  }

  #timeOf(): number {
    return this.number >= this.#most ? Number.POSITIVE_INFINITY : this.#arrivals.next();
  }
}

function arrivalsOf({ shape, seed }: Plan): { next(): number } {
  if (shape.kind === "rate") {
    const random = shape.isPoisson ? new Random(seed, arrivalStream) : undefined;
    return new Arrivals(new Rate(shape.stages), random);
  }
  if (shape.kind !== "times") throw new Error(`a ${shape.kind} loop has no due times`);
  const { times } = shape;
  let index = 0;
  return { next: () => times[index++] ?? Number.POSITIVE_INFINITY };
}

/** A generator that is later than this has missed an iteration, and does not send it unless it is to catch up. */
export const mostLateness = 100;

/**
 * An open loop: iterations are due at given times, whether a user is free or not. Those that wait take no memory:
 * one cursor goes through the due times, and another one follows it as users take them.
 */
export class OpenPacer implements Pacer {
  readonly #dueCount: Series;
  readonly #droppedBusy: Series;
  readonly #droppedLate: Series;
  readonly #due: DueTimes;
  readonly #taken: DueTimes;
  readonly #plan: Plan;
  readonly #idle = new WaitQueue<undefined>();
  readonly #timer = new Timer(() => this.#wake());
  /** Adds a user, if there may be more. */
  readonly #grow: () => boolean;
  readonly #late: Series;
  /** Numbers that are dropped among those that wait: from the first up to, but not including, the second. */
  readonly #skipped: [from: number, to: number][] = [];
  #start = 0;
  #hasEnded = false;
  queued = 0;

  constructor(plan: Plan, thread: number, meter: Meter, grow: () => boolean) {
    this.#dueCount = meter.series("due");
    this.#droppedBusy = meter.series("dropped busy");
    this.#droppedLate = meter.series("dropped late");
    this.#plan = plan;
    this.#due = new DueTimes(plan, thread);
    this.#taken = new DueTimes(plan, thread);
    this.#grow = grow;
    this.#late = meter.series("lateness");
  }

  get waiting(): { readonly oldest: number; readonly youngest: number } | undefined {
    if (this.queued === 0) return undefined;
    this.#skip();
    return { oldest: this.#start + this.#taken.time, youngest: this.#lastDue };
  }

  #lastDue = 0;

  start(time: number): void {
    this.#start = time;
    this.#arm();
  }

  #arm(): void {
    const { time } = this.#due;
    if (this.#hasEnded || time === Number.POSITIVE_INFINITY) return;
    const status = this.#timer.start(Math.max(this.#start + time, 1) as Deadline);
    if (status < 0) throw new Error("plait load: no waiter is left for the arrivals");
  }

  /** Counts what has become due, and wakes users for it. */
  #wake(): void {
    if (this.#hasEnded) return;
    const time = core.now();
    const due = this.#due;
    while (this.#start + due.time <= time) {
      this.#dueCount.count();
      this.#lastDue = this.#start + due.time;
      const lateness = time - this.#lastDue;
      if (lateness > mostLateness && !this.#plan.catchesUp) this.#dropLate(lateness);
      else this.#deal();
      due.step();
    }
    this.#arm();
    if (this.#isOver) wakeAll(this.#idle);
  }

  /** Whether no more will be due, and none waits. */
  get #isOver(): boolean {
    return this.queued === 0 && this.#due.time === Number.POSITIVE_INFINITY;
  }

  #dropLate(lateness: number): void {
    this.#droppedLate.count();
    this.#late.record(lateness);
    this.#skipDue();
  }

  /** The one that is due is not sent. */
  #skipDue(): void {
    const { number } = this.#due;
    const last = this.#skipped.at(-1);
    const next = number + this.#plan.threads;
    if (last?.[1] === number) last[1] = next;
    else this.#skipped.push([number, next]);
  }

  #deal(): void {
    const wait = this.#idle.shift();
    if (wait === undefined) {
      if (this.#plan.overload === "drop") {
        this.#droppedBusy.count();
        this.#skipDue();
        return;
      }
      this.queued++;
      if (this.#plan.overload === "grow") this.#grow();
      return;
    }
    this.queued++;
    wait.finish(undefined);
  }

  take(turn: Turn): Promise<void> | undefined {
    if (this.#hasEnded || this.#isOver) {
      turn.number = ended;
      return undefined;
    }
    if (this.queued === 0) return this.#takeLater(turn);
    this.#skip();
    turn.number = this.#taken.number;
    turn.due = this.#start + this.#taken.time;
    this.#taken.step();
    this.queued--;
    if (this.#isOver) wakeAll(this.#idle);
    return undefined;
  }

  async #takeLater(turn: Turn): Promise<void> {
    await new Wait<undefined>(idling).begin(never, this.#idle);
    await this.take(turn);
  }

  /** Moves the second cursor over what is dropped. */
  #skip(): void {
    const taken = this.#taken;
    for (
      let first = this.#skipped[0];
      first !== undefined && taken.number >= first[0];
      first = this.#skipped[0]
    ) {
      while (taken.number < first[1]) taken.step();
      this.#skipped.shift();
    }
  }

  stop(): void {
    this.#hasEnded = true;
    this.#timer.stop();
    wakeAll(this.#idle);
  }
}
