/**
 * A thread of a run: it connects its users, waits for the common start, lets them run, and drains. The same code runs
 * in a Worker under the blocking driver, in a Worker that is attached, and in the thread that has called `load`.
 */

import { Shared } from "../core/abi.ts";
import { core, sharedFloat64 } from "../core/native.ts";
import { type Fiber, spawn } from "../runtime/fiber.ts";
import { sleep, sleepUntil } from "../runtime/sleep.ts";
import { SocketError, TimeoutError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import { Connector } from "./connector.ts";
import type { Scenario } from "./context.ts";
import { exampleOf } from "./examples.ts";
import { Exchanges } from "./exchanges.ts";
import type { Extras } from "./extras.ts";
import { ForeignWaitError, ForeignWaits } from "./foreign_waits.ts";
import { type Meter, Wish } from "./memory.ts";
import { outcomeOf } from "./outcomes.ts";
import { ClosedPacer, OpenPacer, type Pacer } from "./pacer.ts";
import { isOpenLoop, type Plan, sendingMillisecondsOf } from "./plan.ts";
import type { Ages, FailureExample, Outcome } from "./report.ts";
import { User, Users } from "./user.ts";

/** What a thread says before the start. */
export interface ThreadReady {
  readonly resolveMilliseconds: number;
  readonly connectMilliseconds: number;
  /** How many connections were made, and how many could not be. */
  readonly connected: number;
  readonly failed: number;
  /** The first that could not be made. */
  readonly failure: { readonly outcome: Outcome; readonly example: FailureExample } | undefined;
}

/** What a thread says at its end. */
export interface ThreadEnd {
  /** From the start of the run: when no more was sent, and when all had ended. */
  readonly sendingMilliseconds: number;
  readonly milliseconds: number;
  readonly cpuMilliseconds: number;
  readonly unfinished: Ages | undefined;
  readonly unsent: Ages | undefined;
  /** Requests that were under way at the end. */
  readonly unfinishedRequests: number;
  /** Why it has ended before its time. */
  readonly givenUp: string | undefined;
}

/** What a thread tells the main thread. */
export interface ThreadHost {
  ready(ready: ThreadReady): void;
  failed(outcome: Outcome, example: FailureExample): void;
}

/** Connections that a thread makes at a time before the start. */
const connectsAtOnce = 64;
/** Milliseconds in which the threads begin, one after the other. */
const stagger = 2;
/** Milliseconds between two looks at what the main thread asks for. */
const tick = 10;

export class LoadThread {
  readonly #plan: Plan;
  readonly #thread: number;
  readonly #meter: Meter;
  readonly #connector: Connector;
  readonly #pacer: Pacer;
  readonly #users: Users;
  readonly #all: User[] = [];
  readonly #connections: Exchanges[] = [];
  readonly #fibers: Fiber<void>[] = [];
  readonly #foreignWaits: ForeignWaits | undefined;
  #intervalEnd = 0;
  readonly #host: ThreadHost;
  #running = 0;
  #givenUp: string | undefined = undefined;
  #cpuBefore = 0;
  #sentBefore = 0;
  #receivedBefore = 0;

  constructor(
    whole: Plan,
    thread: number,
    meter: Meter,
    scenario: Scenario | undefined,
    extras: Extras,
    host: ThreadHost,
  ) {
    const plan = { ...whole, iterations: Math.min(whole.iterations, rowsOf(extras)) };
    this.#plan = plan;
    this.#thread = thread;
    this.#meter = meter;
    this.#host = host;
    this.#connector = new Connector(plan, meter, thread);
    this.#pacer = isOpenLoop(plan)
      ? new OpenPacer(plan, thread, meter, () => this.#grow())
      : new ClosedPacer(plan, thread, meter);
    const parts = {
      plan,
      thread,
      pacer: this.#pacer,
      connector: this.#connector,
      meter,
      scenario,
      extras,
    };
    if (plan.driver === "blocking") this.#foreignWaits = new ForeignWaits(this.#fibers);
    this.#users = new Users(parts, (outcome, example) => host.failed(outcome, example));
  }

  /** Runs the thread's part of the run. */
  async run(): Promise<ThreadEnd> {
    this.#host.ready(await this.#prepare());
    const start = await this.#commonStart();
    if (start === undefined) return this.#endBefore();
    this.#begin(start);
    const end = start + this.#sendingMilliseconds;
    const stopped = await this.#watch(start, end);
    this.#pacer.stop();
    if (this.#foreignWaits?.areThere !== true) await this.#drain();
    const ended = this.#end(start, stopped);
    if (this.#foreignWaits?.areThere === true) throw new ForeignWaitError();
    return ended;
  }

  /** How long iterations are begun, at most. */
  get #sendingMilliseconds(): number {
    const plan = this.#plan;
    const { shape, iterations, sendsAll } = plan;
    const isCounted = shape.kind === "times" || iterations < Number.MAX_SAFE_INTEGER;
    return isOpenLoop(plan) && isCounted && sendsAll
      ? Number.POSITIVE_INFINITY
      : sendingMillisecondsOf(plan);
  }

  async #prepare(): Promise<ThreadReady> {
    const begin = core.now();
    const unknown = await this.#resolve();
    if (unknown !== undefined) return unknown;
    const resolved = core.now();
    this.#makeUsers();
    let failure: ThreadReady["failure"];
    let failed = 0;
    let next = 0;
    const connectSome = async (): Promise<void> => {
      while (next < this.#all.length && this.#meter.wish === Wish.run) {
        try {
          await this.#all[next++]!.connect();
        } catch (error) {
          failed++;
          failure ??= { outcome: outcomeOf(error), example: exampleOf(error, 0, 0) };
          // The others will hardly fare better.
          if (failed >= connectsAtOnce && failed === next) return;
        }
      }
    };
    const count = Math.min(connectsAtOnce, this.#all.length);
    const fibers = Array.from({ length: count }, () => spawn(connectSome, { name: "connect" }));
    if (!(await this.#joined(fibers))) failure = undefined;
    return {
      resolveMilliseconds: resolved - begin,
      connectMilliseconds: core.now() - resolved,
      connected: this.#connector.open,
      failed,
      failure,
    };
  }

  /** Waits for the fibers that connect. Returns false, and ends them, if the run is to end before. */
  async #joined(fibers: readonly Fiber<void>[]): Promise<boolean> {
    let left = fibers.length;
    const joined = Promise.all(fibers.map((fiber) => fiber.join().finally(() => left--)));
    while (left > 0 && this.#meter.wish === Wish.run) await Promise.race([joined, sleep(tick)]);
    const areAll = left === 0;
    if (!areAll) for (const fiber of fibers) fiber.cancel(new Error("the run has ended"));
    await joined;
    return areAll;
  }

  /** Looks up the target's name. A name that is not known is a target that is not reached. */
  async #resolve(): Promise<ThreadReady | undefined> {
    const begin = core.now();
    try {
      await this.#connector.resolve();
      return undefined;
    } catch (error) {
      const isCall = isInstance(error, SocketError) || isInstance(error, TimeoutError);
      if (!isCall || error.syscall !== "getaddrinfo") throw error;
      return {
        resolveMilliseconds: core.now() - begin,
        connectMilliseconds: 0,
        ...{ connected: 0, failed: 1 },
        failure: { outcome: outcomeOf(error), example: exampleOf(error, 0, 0) },
      };
    }
  }

  #makeUsers(): void {
    const { connections, threads, pipeline } = this.#plan;
    for (let index = this.#thread; index < connections; index += threads) {
      const exchanges = this.#newConnection();
      for (let depth = 0; depth < pipeline; depth++) this.#addUser(exchanges);
    }
  }

  #newConnection(): Exchanges {
    const exchanges = new Exchanges(this.#users.http);
    this.#connections.push(exchanges);
    return exchanges;
  }

  #addUser(exchanges: Exchanges): User {
    const user = new User(this.#users, this.#all.length, exchanges);
    this.#all.push(user);
    return user;
  }

  /** Adds a user while the run goes on, if there may be more. */
  #grow(): boolean {
    const { mostConnections, threads } = this.#plan;
    if (this.#all.length * threads + this.#thread >= mostConnections) return false;
    this.#startUser(this.#addUser(this.#newConnection()));
    return true;
  }

  /** The time at which all threads begin; undefined if the run ends before. */
  async #commonStart(): Promise<number | undefined> {
    while (this.#meter.start === 0) {
      if (this.#meter.wish !== Wish.run) return undefined;
      await sleep(1);
    }
    // Threads that begin at the same moment would send their first requests in one burst.
    await sleepUntil(this.#meter.start + (stagger * this.#thread) / this.#plan.threads);
    return this.#meter.wish === Wish.run ? this.#meter.start : undefined;
  }

  #begin(start: number): void {
    this.#cpuBefore = cpuMilliseconds();
    this.#sentBefore = sharedFloat64[Shared.bytesSentFloat64]!;
    this.#receivedBefore = sharedFloat64[Shared.bytesReceivedFloat64]!;
    this.#users.start = start;
    for (const user of this.#all) this.#startUser(user);
    this.#pacer.start(start);
  }

  #startUser(user: User): void {
    this.#running++;
    const run = async (): Promise<void> => {
      try {
        await user.run();
      } finally {
        this.#running--;
      }
    };
    this.#fibers.push(spawn(run, { name: "user" }));
  }

  /** Looks after the run until no more is to be begun. Returns when that was. */
  async #watch(start: number, end: number): Promise<number> {
    this.#intervalEnd = start + this.#plan.intervalMilliseconds;
    while (this.#running > 0) {
      const wanted = Math.min(core.now() + tick, end);
      await sleepUntil(wanted);
      const time = core.now();
      if (!this.#users.isOpenLoop) this.#users.lateness.record(time - wanted);
      this.#tick(time);
      if (time >= end || this.#meter.wish !== Wish.run || this.#isOver) break;
    }
    return core.now();
  }

  /** Whether the thread itself ends the run. */
  get #isOver(): boolean {
    if (this.#isDead()) return true;
    return this.#foreignWaits?.areThere === true;
  }

  #tick(time: number): void {
    if (time < this.#intervalEnd) return;
    this.#finishInterval(time);
    this.#foreignWaits?.look();
    const { intervalMilliseconds } = this.#plan;
    const missed = Math.floor((time - this.#intervalEnd) / intervalMilliseconds);
    this.#intervalEnd += (missed + 1) * intervalMilliseconds;
  }

  #isDead(): boolean {
    const { deadTargetMilliseconds } = this.#plan;
    if (this.#connector.open > 0 || this.#connector.deadMilliseconds < deadTargetMilliseconds) {
      return false;
    }
    const seconds = Math.round(this.#connector.deadMilliseconds / 1000);
    this.#givenUp = `no connection could be made for ${seconds} s`;
    return true;
  }

  #finishInterval(time: number): void {
    this.#show();
    this.#meter.finishInterval(time, cpuMilliseconds() - this.#cpuBefore);
  }

  #show(): void {
    this.#meter.show(this.#connector.open, this.#users.busy, this.#pacer.queued);
    this.#meter.moved(
      sharedFloat64[Shared.bytesSentFloat64]! - this.#sentBefore,
      sharedFloat64[Shared.bytesReceivedFloat64]! - this.#receivedBefore,
    );
  }

  /** Waits for what is under way, for the grace period at most. */
  async #drain(): Promise<void> {
    const end = core.now() + this.#plan.graceMilliseconds;
    while (this.#running > 0 && core.now() < end && this.#meter.wish !== Wish.end) {
      await sleep(Math.min(tick, Math.max(end - core.now(), 0)));
      this.#tick(core.now());
    }
    this.#users.cut();
  }

  /** The end of a run that has not begun. */
  #endBefore(): ThreadEnd {
    for (const user of this.#all) user.close();
    const none = { unfinished: undefined, unsent: undefined, unfinishedRequests: 0 };
    const times = { sendingMilliseconds: 0, milliseconds: 0, cpuMilliseconds: 0 };
    return { ...none, ...times, givenUp: undefined };
  }

  #end(start: number, stopped: number): ThreadEnd {
    const time = core.now();
    const cpu = cpuMilliseconds() - this.#cpuBefore;
    const ages = this.#all.filter(({ began }) => began > 0).map(({ began }) => time - began);
    const { waiting, queued } = this.#pacer;
    this.#show();
    this.#meter.finishInterval(time, cpu);
    let unfinishedRequests = 0;
    for (const { pending } of this.#connections) unfinishedRequests += pending;
    for (const fiber of this.#fibers) fiber.cancel(new Error("the run has ended"));
    for (const user of this.#all) user.close();
    return {
      sendingMilliseconds: stopped - start,
      milliseconds: time - start,
      cpuMilliseconds: cpu,
      unfinished:
        ages.length === 0
          ? undefined
          : { count: ages.length, least: Math.min(...ages), most: Math.max(...ages) },
      unsent: waiting && {
        count: queued,
        least: stopped - waiting.youngest,
        most: stopped - waiting.oldest,
      },
      unfinishedRequests,
      givenUp: this.#givenUp,
    };
  }
}

/** How many iterations have rows of each feeder. */
function rowsOf({ feeders }: Extras): number {
  return Math.min(...Array.from(feeders.values(), ({ limit }) => limit));
}

function cpuMilliseconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
