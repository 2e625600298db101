/**
 * Waits: everything that a fiber awaits in plait. A wait belongs to the fiber that made it, stands in a
 * queue or has a waiter of the core, and settles its promise once. The first of these to come ends it:
 *
 *     succeed            the thread, with what the kernel or the core had
 *     finish             another fiber, with a value; draws on the budget
 *     finishWithError    another fiber, with an error; draws on the budget
 *     fail               the thread, with an error of its own making
 *     interrupt          close, cancellation or the deadline, with the error of a status
 *
 * What a turn reports is bounded by its portions. Fibers that end each other's waits are not: so those two
 * draw on the budget, and above it their wait ends in the next turn. Calls that succeed without a wait draw on
 * it too (`immediate`), and calls of a socket or a listener that fail at once (`rejected`).
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { checkedDeadline, type Deadline, hasPassed, never } from "../values/deadlines.ts";
import {
  CancelledError,
  codeOf,
  detail,
  type ErrorDetails,
  endpoint,
  SocketError,
  TimeoutError,
} from "../values/errors.ts";
import {
  attendDeadline,
  beginExternal,
  drop,
  endExternal,
  enlist,
  noWaiter,
  parkingTime,
  proceedLater,
  type Sleeper,
  spend,
  spendFailure,
} from "./scheduler.ts";
import { addSite, keepSite, keepsSites } from "./wait_sites.ts";

/** The reason of a cancellation. */
export interface Cancellation {
  readonly reason: unknown;
}

/** The owner of waits: a fiber, or all code outside of fibers. */
export interface WaitOwner {
  /** Its waits. There are several with `Promise.all` inside a fiber. */
  waits: Wait<unknown> | Set<Wait<unknown>> | undefined;
  /** Set from the start of its cancellation on. */
  readonly cancellation: Cancellation | undefined;
  readonly hasEnded: boolean;
}

/** The fiber whose code is running, if any. */
export const running = new AsyncLocalStorage<WaitOwner>();

/**
 * Calls a function outside of the fiber that runs, if there is one: for what outlives that fiber, so that its
 * cancellation does not end the waits of the call.
 */
export function outsideOfFibers<Result>(call: () => Result): Result {
  return running.getStore() === undefined ? call() : running.exit(call);
}

/** The owner of the waits of code outside of fibers, such as a program's top level. */
export const outside: WaitOwner = {
  waits: undefined,
  cancellation: undefined,
  hasEnded: false,
};

let cancelledOwners = 0;

/** Counts the live fibers that are cancelled. While there are none, no call has to look. */
export function countCancelled(change: 1 | -1): void {
  cancelledOwners += change;
}

/**
 * The running fiber, if it is being cancelled. A cancellation is over when its fiber has ended: code that
 * still runs in the fiber's asynchronous context, such as a timer of Bun's, is not cancelled.
 */
export function runningCancellation(): Cancellation | undefined {
  if (cancelledOwners === 0) return undefined;
  const owner = running.getStore();
  return owner?.cancellation && !owner.hasEnded ? owner.cancellation : undefined;
}

/**
 * Why a call fails before it does anything, as a status: its subject is closed, its fiber is cancelled,
 * or its deadline has passed. The first of these counts. `ok` if the call may begin.
 */
export function refusalStatus(deadline: Deadline, isClosed = false): number {
  if (isClosed) return Status.closed;
  if (runningCancellation() !== undefined) return Status.cancelled;
  return hasPassed(deadline) ? Status.timedOut : Status.ok;
}

/** The error of a status of the core, for the running fiber unless another cancellation is given. */
export function statusError(
  status: number,
  details: ErrorDetails,
  cancelled: Cancellation | undefined = runningCancellation(),
): Error {
  if (status === Status.timedOut) return new TimeoutError(details);
  if (status === Status.cancelled) return new CancelledError(cancelled?.reason, details);
  return new SocketError(codeOf(status), details);
}

/**
 * The error of a call that fails before it does anything, in the order of `refusalStatus`. It says as much
 * of the peer as the error of the call's wait.
 */
export function refusal(call: Call, deadline: Deadline, isClosed = false): Error | undefined {
  const status = refusalStatus(deadline, isClosed);
  return status === Status.ok ? undefined : statusError(status, detailsOf(call));
}

/** Throws that error, if there is one. */
export function checkAdmission(call: Call, deadline: Deadline, isClosed = false): void {
  const refused = refusal(call, deadline, isClosed);
  if (refused !== undefined) throw refused;
}

/**
 * The deadline of a call as the core takes it, or the error that the call fails with before it does
 * anything. For functions that return a promise and are too hot to be async.
 */
export function admission(call: Call, deadline: number | undefined): Deadline | Error {
  try {
    const until = checkedDeadline(deadline);
    return refusal(call, until) ?? until;
  } catch (error) {
    return error as Error;
  }
}

/** A call: its name in errors and `dump`. */
export interface Call {
  readonly syscall: string;
  /** What is known of the peer, with the name. */
  details?(): ErrorDetails;
}

export function detailsOf(call: Call): ErrorDetails {
  return call.details?.() ?? { syscall: call.syscall };
}

/** The thing that a call waits for, and how the wait ends early. */
export interface Operation extends Call {
  /** Whether something outside of the thread ends the wait. Then it keeps the process alive. */
  readonly isExternal?: boolean;
  /** The peer, as `dump` shows it, if `details` does not have it. */
  place?(): string;
  /** The error of a status, if it is not the usual one. */
  errorOf?(status: number): Error | undefined;
  /** Called when the core wakes the wait. Without it, the wait fails with the status. */
  woken?(wait: Wait<unknown>, status: number, waiter: number): void;
  /**
   * Called when the fiber is cancelled. Without it, the wait fails at once. Returns waits to cancel in
   * its place.
   */
  cancelled?(wait: Wait<unknown>): Wait<unknown>[] | undefined;
  /** It has failed, for any reason, or could not begin. Its wait has left its queue. */
  failed?(): void;
}

/** A queue that a wait can stand in: a `WaitQueue`. */
export interface WaitPlace {
  push(wait: Wait<unknown>): void;
  remove(wait: Wait<unknown>): void;
}

let captured: (value: unknown) => void;
// One function serves all promises, without a `reject`: a wait fails by resolving to a rejected promise.
// That costs two microtasks then, and saves 64 bytes for every parked wait.
const capture = (resolve: (value: unknown) => void): void => {
  captured = resolve;
};

/** The operation of a wait that has ended and is kept for the next one. */
const resting: Operation = { syscall: "wait" };

export class Wait<T> implements Sleeper {
  operation: Operation;
  owner: WaitOwner = outside;
  /** The queue that it stands in, and its neighbours there. The queue sets them. */
  queue: WaitPlace | undefined = undefined;
  before: Wait<unknown> | undefined = undefined;
  after: Wait<unknown> | undefined = undefined;
  /** When it began, on the monotonic clock in milliseconds. */
  since = 0;
  /** The waiter of the core that can end it. */
  #waiter = noWaiter;
  #settle: ((value: unknown) => void) | undefined = undefined;

  constructor(operation: Operation) {
    this.operation = operation;
  }

  /** Makes a wait that has ended ready for another operation. It keeps nothing of the one before. */
  rest(): void {
    this.operation = resting;
    this.owner = outside;
  }

  /** Whether it was not settled yet. */
  get isOpen(): boolean {
    return this.#settle !== undefined;
  }

  /** What is known of the peer, for errors and `dump`. */
  details(): ErrorDetails {
    return detailsOf(this.operation);
  }

  /** The peer, as `dump` shows it. */
  get place(): string {
    if (this.operation.place !== undefined) return this.operation.place();
    const details = this.details();
    const address = detail(details, "address");
    return address ? endpoint(address, detail(details, "port")) : "";
  }

  /** Begins to wait, in a queue if one is given. */
  begin(deadline: Deadline, queue?: WaitPlace): Promise<T> {
    if (deadline === never) return this.#open(queue);
    const waiter = core.sleep(deadline);
    return this.beginUnder(waiter, queue);
  }

  /** Begins to wait with a waiter of the core. A negated status is an error. */
  beginUnder(waiter: number, queue?: WaitPlace): Promise<T> {
    if (waiter < 0) {
      this.operation.failed?.();
      return Promise.reject(this.errorOf(-waiter));
    }
    this.#waiter = waiter;
    enlist(this, waiter);
    const promise = this.#open(queue);
    attendDeadline();
    return promise;
  }

  #open(queue: WaitPlace | undefined): Promise<T> {
    const promise = new Promise<unknown>(capture) as Promise<T>;
    this.#settle = captured;
    const owner = running.getStore() ?? outside;
    this.owner = owner;
    const { waits } = owner;
    if (waits === undefined) owner.waits = this;
    else if (waits instanceof Set) waits.add(this);
    else owner.waits = new Set([waits, this]);
    queue?.push(this);
    this.since = parkingTime();
    if (this.#isExternal) beginExternal();
    if (keepsSites) keepSite(this);
    return promise;
  }

  get #isExternal(): boolean {
    return this.#waiter !== noWaiter || this.operation.isExternal === true;
  }

  /** Ends the wait: removes it from everything that could end it again. */
  #close(): ((value: unknown) => void) | undefined {
    const settle = this.#settle;
    if (settle === undefined) return undefined;
    this.#settle = undefined;
    if (this.#isExternal) endExternal();
    if (this.#waiter !== noWaiter) {
      drop(this.#waiter);
      this.#waiter = noWaiter;
    }
    this.queue?.remove(this);
    return settle;
  }

  #leaveOwner(): void {
    const { owner } = this;
    const { waits } = owner;
    if (waits === this) owner.waits = undefined;
    else if (waits instanceof Set && waits.delete(this) && waits.size === 0) {
      owner.waits = undefined;
    }
  }

  /** Ends with a value, in this turn. Does nothing when it has ended. */
  succeed(value: T | PromiseLike<T>): void {
    const settle = this.#close();
    if (settle === undefined) return;
    this.#leaveOwner();
    settle(value);
  }

  /**
   * Ends with a value as `succeed` does, but draws on the budget: fibers that wake each other must let
   * the sockets have their turn. From here on nothing else can end it.
   */
  finish(value: T | PromiseLike<T>): void {
    const settle = this.#close();
    if (settle === undefined) return;
    const deliver = (): void => {
      this.#leaveOwner();
      settle(value);
    };
    if (spend()) deliver();
    else proceedLater({ proceed: deliver });
  }

  /** Ends with an error. Does nothing when it has ended. */
  fail(error: unknown): void {
    const settle = this.#abandon();
    if (settle !== undefined) this.#reject(settle, error);
  }

  /** Ends with the error of a status. */
  interrupt(status: number): void {
    const settle = this.#abandon();
    // Made last: reading the message of a reason may run code of the program.
    if (settle !== undefined) this.#reject(settle, this.errorOf(status));
  }

  #abandon(): ((value: unknown) => void) | undefined {
    const settle = this.#close();
    if (settle === undefined) return undefined;
    this.#leaveOwner();
    this.operation.failed?.();
    return settle;
  }

  #reject(settle: (value: unknown) => void, error: unknown): void {
    if (keepsSites) addSite(error, this);
    settle(Promise.reject(error));
  }

  /** As `finish`, for an error. */
  finishWithError(error: unknown): void {
    if (!this.isOpen) return;
    const rejection = Promise.reject(error);
    // A turn may pass before it has a handler.
    rejection.catch(ignore);
    this.finish(rejection);
  }

  /** Called when its fiber is cancelled. Returns waits to cancel in its place, if any. */
  cancel(): Wait<unknown>[] | undefined {
    // Waits that were cancelled before it may have ended it, and its queue may have used it for another
    // wait.
    if (!this.isOpen || this.owner.cancellation === undefined) return undefined;
    if (this.operation.cancelled !== undefined) return this.operation.cancelled(this);
    this.interrupt(Status.cancelled);
    return undefined;
  }

  /** Called when the core wakes it: its deadline has passed, or its event has come. */
  wake(status: number, waiter: number): void {
    if (this.operation.woken === undefined) this.interrupt(status);
    else this.operation.woken(this, status, waiter);
  }

  /** The error of a status of the core. */
  errorOf(status: number): Error {
    const special = this.operation.errorOf?.(status);
    return special ?? statusError(status, this.details(), this.owner.cancellation);
  }
}

function ignore(): void {}

/** The `woken` of an operation without a value: it succeeds, or fails with the status. */
export function endWith(wait: Wait<unknown>, status: number): void {
  if (status === Status.ok) wait.succeed(undefined);
  else wait.interrupt(status);
}

/**
 * Cancels waits in their order. That runs code of the program, which may end waits that are still to
 * come. It does not recurse: scopes may nest deeper than the stack.
 */
export function cancelAll(waits: readonly Wait<unknown>[]): void {
  const remaining = waits.toReversed();
  for (let wait = remaining.pop(); wait !== undefined; wait = remaining.pop()) {
    const further = wait.cancel();
    if (further === undefined) continue;
    for (let next = further.pop(); next !== undefined; next = further.pop()) remaining.push(next);
  }
}

/** The waits of an owner, the oldest first. */
export function waitsOf(owner: WaitOwner): Wait<unknown>[] {
  const { waits } = owner;
  if (waits === undefined) return [];
  return waits instanceof Set ? [...waits] : [waits];
}

/** Waits for the next turn with a result that is known already. Nothing can interrupt it. */
export function nextTurn<T>(result: T | Promise<T>, syscall: string): Promise<T> {
  const wait = new Wait<T>({ syscall, isExternal: true, cancelled: () => undefined });
  const settled = wait.begin(never);
  proceedLater({ proceed: () => wait.succeed(result) });
  return settled;
}

/** The promise of a call that need not wait. It draws on the budget too. */
export function immediate<T>(result: T | Promise<T>, syscall: string): Promise<T> {
  if (!spend()) return nextTurn(result, syscall);
  try {
    return Promise.resolve(result);
  } catch (error) {
    // A promise of the program, in a channel for example, whose `constructor` throws.
    return Promise.reject(error);
  }
}

/** As `immediate`, for a call of a socket or a listener that fails at once. */
export function rejected(error: unknown, syscall: string): Promise<never> {
  const rejection = Promise.reject(error);
  if (spendFailure()) return rejection;
  // It is a turn until the caller hears of it.
  rejection.catch(ignore);
  return nextTurn(rejection, syscall);
}
