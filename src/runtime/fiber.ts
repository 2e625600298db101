/** Fibers: async functions with a name, which can be joined, cancelled and shown. */

import { checkedAbortSignal, ownOptions, typeMistake } from "../values/checks.ts";
import { checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import { CancelledError } from "../values/errors.ts";
import { follow, isInstance } from "../values/foreign_values.ts";
import { CancelTriggers, type Triggered } from "./cancel_triggers.ts";
import {
  type Cancellation,
  cancelAll,
  countCancelled,
  immediate,
  type Operation,
  refusal,
  running,
  Wait,
  type WaitOwner,
  waitsOf,
} from "./wait.ts";
import { WaitQueue } from "./wait_queue.ts";

/** Options of `spawn`. */
export interface SpawnOptions {
  /** Shown by `dump()`; the body function's name if not given. */
  name?: string | undefined;
  /** Cancels the fiber when it is aborted; its reason becomes the cancellation's. */
  signal?: AbortSignal | undefined;
  /** Cancels the fiber at this point in time; `join` then rejects with a `TimeoutError`. */
  deadline?: number | undefined;
}

/**
 * - `running`: its code runs, or awaits something that is not plait's
 * - `waiting`: it is parked in one of plait's waits
 * - `done`: its body has returned
 * - `failed`: its body has thrown
 * - `cancelled`: its body has ended by the error of its cancellation
 */
export type FiberState = "running" | "waiting" | "done" | "failed" | "cancelled";

/**
 * A name, or the function that has it. The name of a function is read only when it is shown: for a new
 * closure, reading it takes half as long as starting a fiber.
 */
export type Named = string | { readonly name: string };

/** @internal The name, or "" if reading it throws: a deadline reads it in the middle of a turn. */
export function nameOf(named: Named): string {
  if (typeof named === "string") return named;
  try {
    const { name } = named as { readonly name: unknown };
    return typeof name === "string" ? name : "";
  } catch {
    return "";
  }
}

type Outcome = "done" | "failed" | "cancelled";

let lastId = 0;
let liveFibers = 0;
let firstFiber: Fiber<unknown> | undefined;
let lastFiber: Fiber<unknown> | undefined;

/**
 * The controllers of fibers whose `signal` was read. Few are, and a field would cost each fiber 48 bytes.
 */
const abortControllers = new WeakMap<object, AbortController>();

/** A strand of straight-line code, started by `spawn`. */
export class Fiber<T = unknown> implements WaitOwner, Triggered {
  /** Counts up from 1 within a thread. */
  readonly id: number = ++lastId;
  readonly #named: Named;
  /** @internal */
  waits: Wait<unknown> | Set<Wait<unknown>> | undefined = undefined;
  /** @internal The neighbours in the list of live fibers, in the order of their start. */
  previousFiber: Fiber<unknown> | undefined = undefined;
  /** @internal */
  nextFiber: Fiber<unknown> | undefined = undefined;
  #cancellation: Cancellation | undefined = undefined;
  #outcome: Outcome | undefined = undefined;
  /** The value, or the rejected promise of the error. */
  #result: T | Promise<never> | undefined = undefined;
  #joiners: WaitQueue | undefined = undefined;
  #triggers: CancelTriggers | undefined = undefined;

  /** @internal Fibers come from `spawn`. */
  constructor(named: Named) {
    this.#named = named;
    this.previousFiber = lastFiber;
    if (lastFiber === undefined) firstFiber = this;
    else lastFiber.nextFiber = this;
    lastFiber = this;
    liveFibers++;
  }

  /** The name that `spawn` was given, or that of the body. */
  get name(): string {
    return nameOf(this.#named);
  }

  /** What it does now, or how it has ended. */
  get state(): FiberState {
    if (this.#outcome !== undefined) return this.#outcome;
    return this.waits === undefined ? "running" : "waiting";
  }

  /** Whether the body has ended, by success, failure or cancellation. */
  get hasEnded(): boolean {
    return this.#outcome !== undefined;
  }

  /** Whether `cancel` was called before the body ended. */
  get isCancelled(): boolean {
    return this.#cancellation !== undefined;
  }

  /**
   * Is aborted when the fiber is cancelled: for `fetch`, and other calls that take a signal. Its reason
   * is the `CancelledError` that plait's waits fail with.
   */
  get signal(): AbortSignal {
    let controller = abortControllers.get(this);
    if (controller === undefined) {
      controller = new AbortController();
      abortControllers.set(this, controller);
      if (this.#cancellation !== undefined) this.#abortSignal(this.#cancellation);
    }
    return controller.signal;
  }

  /** @internal */
  get cancellation(): Cancellation | undefined {
    return this.#cancellation;
  }

  /**
   * Waits until the body has ended, and returns its value or throws its error. A fiber that fails and is
   * never joined is reported as an unhandled rejection, as a promise would be.
   *
   * @throws {TimeoutError} when the deadline passes first; the fiber goes on. Also when the fiber ended
   *   because the deadline that `spawn` gave it has passed.
   * @throws {CancelledError} when the fiber ended by its cancellation, or the caller is cancelled
   */
  join(deadline?: number): Promise<T> {
    return this.#join(deadline, true) as Promise<T>;
  }

  /** @internal As `join`, but without the error, which is reported unless another joiner gets it. */
  joinUnheard(deadline: Deadline): Promise<unknown> {
    if (this.#outcome !== undefined) return immediate(undefined, "join");
    return this.#join(deadline, false);
  }

  #join(deadline: number | undefined, hearsFailure: boolean): Promise<unknown> {
    let until = never;
    try {
      if (deadline !== undefined) until = checkedDeadline(deadline);
    } catch (error) {
      return Promise.reject(error);
    }
    // A deadline that has passed does not matter when the outcome is there.
    const refused = refusal(joining, this.hasEnded ? never : until);
    if (refused !== undefined) return Promise.reject(refused);
    if (this.hasEnded) return immediate(this.#result as T | Promise<T>, "join");
    return this.#joinBy(hearsFailure ? joining : joiningUnheard, until);
  }

  /**
   * Cancels the fiber: its present wait, and each later one, fails with a `CancelledError` whose `cause`
   * is the reason. `finally` blocks run. A fiber that awaits something that is not plait's fails at its
   * next wait. Does nothing when the body has ended.
   */
  cancel(reason?: unknown): void {
    cancelAll(this.becomeCancelled(reason));
  }

  /**
   * Cancels the fiber and waits for its end, even if the caller is being cancelled as well. An error
   * other than that cancellation is thrown.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    try {
      await (this.#outcome === undefined ? this.#joinBy(ending, never) : this.#result);
    } catch (error) {
      if (this.#outcome !== "cancelled") throw error;
    }
  }

  /** @internal Begins the cancellation, and returns the waits to interrupt. */
  becomeCancelled(reason: unknown): Wait<unknown>[] {
    if (this.#outcome !== undefined || this.#cancellation !== undefined) return [];
    this.#cancellation = { reason };
    countCancelled(1);
    this.#abortSignal(this.#cancellation);
    // The newest wait first. If the oldest left a queue first, the queue could serve the fiber's next wait,
    // which is about to be cancelled too.
    return waitsOf(this).reverse();
  }

  /** @internal */
  setTriggers(signal: AbortSignal | undefined, deadline: Deadline): void {
    if (signal === undefined && deadline === never) return;
    this.#triggers = new CancelTriggers(this, signal, deadline);
  }

  /** @internal The peer that it serves, as `dump` shows it. */
  get place(): string {
    return "";
  }

  /** @internal */
  get title(): string {
    return `fiber ${this.name}`.trimEnd();
  }

  /** @internal */
  triggered(reason: unknown): void {
    this.cancel(reason);
  }

  /** @internal The value of the body, when the state is `done`. */
  get value(): T {
    return this.#result as T;
  }

  /** @internal The body has returned. */
  finish(value: T): void {
    if (this.#outcome !== undefined) return;
    this.#result = value;
    this.#end("done");
    this.#tellJoiners(value);
    this.onSettled(false, undefined);
  }

  /** @internal The body has thrown. */
  throw(error: unknown): void {
    if (this.#outcome !== undefined) return;
    const own = this.#cancellation;
    const cancelled = own && cancellationIn(error, own.reason);
    const byCancellation = cancelled !== undefined;
    const lateness = byCancellation ? this.#triggers?.lateness : undefined;
    const isLate = lateness !== undefined && lateness === own?.reason;
    const failure = isLate ? lateness : (cancelled ?? error);
    const rejection = Promise.reject(failure);
    this.#result = rejection;
    this.#end(byCancellation ? "cancelled" : "failed");
    const isHeard = this.#tellJoiners(rejection);
    // The code that cancels a fiber expects its end: the cancellation alone is not reported.
    if (byCancellation || isHeard || this.takesFailure(error)) rejection.catch(ignore);
    this.onSettled(!byCancellation || isLate, failure);
  }

  /** @internal Whether an error without a joiner is handled all the same. */
  protected takesFailure(_error: unknown): boolean {
    return false;
  }

  /** @internal Called when the body has ended, before joiners get the outcome. */
  protected onEnd(): void {}

  /**
   * @internal Called when the joiners have the outcome. A fiber that was cancelled has failed only by its
   *   deadline.
   */
  protected onSettled(_hasFailed: boolean, _error: unknown): void {}

  #abortSignal({ reason }: Cancellation): void {
    abortControllers.get(this)?.abort(new CancelledError(reason, { syscall: this.title }));
  }

  #joinBy(operation: Operation, until: Deadline): Promise<T> {
    this.#joiners ??= new WaitQueue();
    return new Wait(operation).begin(until, this.#joiners) as Promise<T>;
  }

  /** Returns whether a joiner gets the failure. */
  #tellJoiners(result: unknown): boolean {
    const joiners = this.#joiners;
    if (joiners === undefined) return false;
    this.#joiners = undefined;
    let isHeard = false;
    for (let wait = joiners.first; wait !== undefined; wait = joiners.first) {
      const hears = wait.operation !== joiningUnheard;
      isHeard ||= hears;
      wait.finish(hears ? result : undefined);
    }
    return isHeard;
  }

  #end(outcome: Outcome): void {
    this.#outcome = outcome;
    if (this.#cancellation !== undefined) countCancelled(-1);
    this.#triggers?.lift();
    this.onEnd();
    const { previousFiber, nextFiber } = this;
    if (previousFiber === undefined) firstFiber = nextFiber;
    else previousFiber.nextFiber = nextFiber;
    if (nextFiber === undefined) lastFiber = previousFiber;
    else nextFiber.previousFiber = previousFiber;
    this.previousFiber = undefined;
    this.nextFiber = undefined;
    liveFibers--;
  }
}

function ignore(): void {}

/** The error of a cancellation with that reason, if there is no other error in it. */
function cancellationIn(error: unknown, reason: unknown): CancelledError | undefined {
  let found: CancelledError | undefined;
  const remaining = [error];
  try {
    for (let count = 0; remaining.length > 0; count++) {
      const next = remaining.pop();
      if (isInstance(next, CancelledError) && Object.is(next.cause, reason)) found = next;
      else if (count === mostErrors || !isInstance(next, SuppressedError)) return undefined;
      // The disposal of an `await using` may wait, and is then cancelled as well.
      else remaining.push(next.suppressed, next.error);
    }
    return found;
  } catch {
    // An error whose properties throw is not a cancellation.
    return undefined;
  }
}

/** How many errors of a chain are looked at: it may have no end. */
const mostErrors = 250_000;

const joining: Operation = { syscall: "join" };
/** Waits only for the end. It does not count as a joiner that gets a failure. */
const joiningUnheard: Operation = { syscall: "join" };
/**
 * A disposed fiber must end before its joiner goes on: a cancellation of the joiner does not end this
 * wait.
 */
const ending: Operation = { syscall: "join", cancelled: () => undefined };

const spawnOptions: ReadonlySet<string> = new Set(["name", "signal", "deadline"]);

/**
 * Starts a fiber. The body runs at once, up to its first `await`; a body without one has then ended.
 *
 * @throws {TypeError} for a body that is not a function, and for unknown options
 */
export function spawn<T>(body: () => T | PromiseLike<T>, options?: SpawnOptions): Fiber<T> {
  const own = checkedSpawn(body, options);
  const fiber = new Fiber<T>(own?.name ?? body);
  if (own !== undefined) fiber.setTriggers(own.signal, checkedDeadline(own.deadline));
  return startFiber(fiber, body);
}

/** @internal Checks the options of `spawn`, before there is a fiber, and returns a copy. */
export function checkedSpawn(
  body: unknown,
  options: SpawnOptions | undefined,
): SpawnOptions | undefined {
  if (typeof body !== "function") throw typeMistake("spawn takes a function");
  if (options === undefined) return undefined;
  const own = ownOptions(options, spawnOptions, "spawn");
  checkedDeadline(own.deadline);
  checkedAbortSignal(own.signal);
  return own;
}

/** @internal Runs a body, with one argument if it takes one, as an existing fiber. */
export function startFiber<T, Argument = void>(
  fiber: Fiber<T>,
  body: (argument: Argument) => T | PromiseLike<T>,
  argument?: Argument,
): Fiber<T> {
  running.run(
    fiber as Fiber<unknown>,
    enter,
    fiber as Fiber<unknown>,
    body as (argument: unknown) => unknown,
    argument,
  );
  return fiber;
}

function enter(
  fiber: Fiber<unknown>,
  body: (argument: unknown) => unknown,
  argument: unknown,
): void {
  let result: unknown;
  let promise: PromiseLike<unknown> | undefined;
  try {
    result = body(argument);
    // The runtime's own check: the prototypes of a proxy may throw, or have no end.
    if (Bun.peek.status(result) !== "fulfilled") promise = result as Promise<unknown>;
    else {
      // A body that did not suspend has ended already.
      const value = Bun.peek(result);
      if (value === result && isThenable(result)) promise = result;
      else result = value;
    }
  } catch (error) {
    fiber.throw(error);
    return;
  }
  if (promise === undefined) fiber.finish(result);
  else follow(promise, returned, threw);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}

// Shared by all fibers: the storage knows the fiber, which saves two closures for each.
function returned(value: unknown): void {
  (running.getStore() as Fiber<unknown>).finish(value);
}

function threw(error: unknown): void {
  (running.getStore() as Fiber<unknown>).throw(error);
}

/** The fiber whose code is running, or undefined outside of all fibers. */
export function current(): Fiber | undefined {
  return running.getStore() as Fiber | undefined;
}

/** @internal The live fibers, the oldest first. */
export function* fibers(): Generator<Fiber<unknown>> {
  for (let fiber = firstFiber; fiber !== undefined; fiber = fiber.nextFiber) yield fiber;
}

/** @internal */
export function fiberCounts(): { started: number; live: number } {
  return { started: lastId, live: liveFibers };
}
