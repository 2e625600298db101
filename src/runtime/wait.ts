/**
 * Waits: what `await` stands for in plait. A wait belongs to the fiber that made it, stands in a queue or
 * under a waiter of the core, and settles its promise once. The first of these to come ends it:
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
import { checkedDeadline } from "../values/checks.ts";
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
  parkingTime,
  proceedLater,
  type Sleeper,
  spend,
  spendFailure,
} from "./scheduler.ts";
import { addSite, keepSite, keepsSites } from "./wait_sites.ts";

/** Why something is cancelled. */
export interface Cancellation {
  readonly reason: unknown;
}

/** What waits belong to: a fiber, or whatever runs outside of all fibers. */
export interface WaitOwner {
  /** Its waits; more than one at a time is `Promise.all` within a fiber. */
  waits: Wait<unknown> | Set<Wait<unknown>> | undefined;
  /** Set while it is being cancelled, and after. */
  readonly cancellation: Cancellation | undefined;
  readonly hasEnded: boolean;
}

/** The fiber whose code is running, if any. */
export const running = new AsyncLocalStorage<WaitOwner>();

/** Owns the waits of code that runs in no fiber, such as a program's top level. */
export const outside: WaitOwner = {
  waits: undefined,
  cancellation: undefined,
  hasEnded: false,
};

let cancelledOwners = 0;

/** Counts the live fibers that are cancelled: while there are none, nobody has to be asked. */
export function countCancelled(change: 1 | -1): void {
  cancelledOwners += change;
}

/**
 * The running fiber, if it is being cancelled. A cancellation is over when its fiber has ended: what still
 * runs in the fiber's asynchronous context, such as a timer of Bun's that it has set, is no part of it.
 */
export function runningCancellation(): Cancellation | undefined {
  if (cancelledOwners === 0) return undefined;
  const owner = running.getStore();
  return owner?.cancellation && !owner.hasEnded ? owner.cancellation : undefined;
}

/** The error that every wait of the running fiber fails with, if it is being cancelled. */
export function cancellation(syscall: string): CancelledError | undefined {
  const cancelled = runningCancellation();
  return cancelled && new CancelledError(cancelled.reason, { syscall });
}

/** Why a call fails before it has done anything: its fiber is cancelled, or its time is up. */
export function refusal(syscall: string, deadline: number): Error | undefined {
  const cancelled = cancellation(syscall);
  if (cancelled !== undefined) return cancelled;
  if (deadline === 0 || deadline > core.now()) return undefined;
  return new TimeoutError({ syscall });
}

/** Throws why a call fails before it has done anything. */
export function checkAdmission(syscall: string, deadline: number): void {
  const refused = refusal(syscall, deadline);
  if (refused !== undefined) throw refused;
}

/**
 * The deadline for the core of a call that has not done anything yet, or why it fails: a mistake, or a
 * refusal. For functions that return a promise and are too hot to be async.
 */
export function admission(syscall: string, deadline: number | undefined): number | Error {
  try {
    const until = checkedDeadline(deadline);
    return refusal(syscall, until) ?? until;
  } catch (error) {
    return error as Error;
  }
}

/** What is waited for: how errors and `dump` name it, and what an end before its time means. */
export interface Operation {
  /** The call that waits. */
  readonly syscall: string;
  /** Whether something outside of the thread's own code ends the wait: then it keeps the process alive. */
  readonly isExternal?: boolean;
  /** What is known of the other end, for errors and `dump`. */
  details?(): ErrorDetails;
  /** The other end, as `dump` shows it, if `details` does not tell. */
  place?(): string;
  /** The error that a status stands for, if it is another one than for all operations. */
  errorOf?(status: number): Error | undefined;
  /** The core has woken the wait; without this the status is one that it fails with. */
  woken?(wait: Wait<unknown>, status: number, waiter: number): void;
  /** The wait's fiber is cancelled; without this it fails at once. Returns waits to be cancelled in its place. */
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
// One function for all promises, and no `reject` of its own for any: a wait that fails resolves to a
// rejected promise, which costs two microtasks then and 64 bytes less for every parked wait.
const capture = (resolve: (value: unknown) => void): void => {
  captured = resolve;
};

const noWaiter = -1;

/** The operation of a wait that has ended and is kept for the next one. */
const resting: Operation = { syscall: "wait" };

export class Wait<T> implements Sleeper {
  operation: Operation;
  owner: WaitOwner = outside;
  /** The queue that it stands in, and its neighbours there; both belong to the queue. */
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

  /** Ready for another operation when it has ended. Keeps nothing of the one before. */
  rest(): void {
    this.operation = resting;
    this.owner = outside;
  }

  /** Whether it has not been settled yet, by success or by failure. */
  get isOpen(): boolean {
    return this.#settle !== undefined;
  }

  /** What is known of the other end. */
  details(): ErrorDetails {
    return this.operation.details?.() ?? { syscall: this.operation.syscall };
  }

  /** The other end, as `dump` shows it. */
  get place(): string {
    if (this.operation.place !== undefined) return this.operation.place();
    const details = this.details();
    const address = detail(details, "address");
    return address ? endpoint(address, detail(details, "port")) : "";
  }

  /** Begins to wait, in a queue if it has one. A deadline of 0 never comes. */
  begin(deadline: number, queue?: WaitPlace): Promise<T> {
    if (deadline === 0) return this.#open(queue);
    const waiter = core.sleep(deadline);
    return this.beginUnder(waiter, queue);
  }

  /** Begins to wait under a waiter of the core, or fails if that is a negated status. */
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

  /** Ends the wait in whichever way: it leaves everything that could end it once more. */
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
   * Ends with a value as `succeed` does, but draws on the turn's budget: fibers that wake each other must
   * let the sockets have their turn. From here on nothing else can end it.
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
    // Made only now: a reason whose words are asked for may be code of the program's.
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
    // It may be a turn until somebody hears of it.
    rejection.catch(ignore);
    this.finish(rejection);
  }

  /** Its fiber is cancelled. Returns waits that are to be cancelled in its place, if any. */
  cancel(): Wait<unknown>[] | undefined {
    // What was cancelled before it may have ended it, and its queue may have begun another wait with it.
    if (!this.isOpen || this.owner.cancellation === undefined) return undefined;
    if (this.operation.cancelled !== undefined) return this.operation.cancelled(this);
    this.interrupt(Status.cancelled);
    return undefined;
  }

  /** The core has woken it: its deadline has passed, or what it asked the core for is there. */
  wake(status: number, waiter: number): void {
    if (this.operation.woken === undefined) this.interrupt(status);
    else this.operation.woken(this, status, waiter);
  }

  /** The error that a status of the core stands for. */
  errorOf(status: number): Error {
    const special = this.operation.errorOf?.(status);
    if (special !== undefined) return special;
    const details = this.details();
    if (status === Status.timedOut) return new TimeoutError(details);
    if (status === Status.cancelled)
      return new CancelledError(this.owner.cancellation?.reason, details);
    return new SocketError(codeOf(status), details);
  }
}

function ignore(): void {}

/** The `woken` of an operation that has no value: it is done, or fails with the status. */
export function endWith(wait: Wait<unknown>, status: number): void {
  if (status === Status.ok) wait.succeed(undefined);
  else wait.interrupt(status);
}

/**
 * Cancels waits, in their order. That runs code of the program's, which may end those that are still to
 * come. Scopes in scopes may be deeper than the stack.
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

/** Waits for the next turn, with a result that is known already: nothing can interrupt it. */
export function nextTurn<T>(result: T | Promise<T>, syscall: string): Promise<T> {
  const wait = new Wait<T>({ syscall, isExternal: true, cancelled: () => undefined });
  const settled = wait.begin(0);
  proceedLater({ proceed: () => wait.succeed(result) });
  return settled;
}

/** What a call returns that has nothing to wait for: it draws on the turn's budget all the same. */
export function immediate<T>(result: T | Promise<T>, syscall: string): Promise<T> {
  if (!spend()) return nextTurn(result, syscall);
  try {
    return Promise.resolve(result);
  } catch (error) {
    // A promise of the program's own, in a channel for example, whose `constructor` has thrown.
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
