/**
 * Waits: what `await` stands for in plait. A wait belongs to the fiber that made it, is parked in
 * the core under a waiter, and settles its promise once.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Status } from "./abi.ts";
import { checkedDeadline } from "./checks.ts";
import {
  CancelledError,
  codeOf,
  detail,
  type ErrorDetails,
  endpoint,
  SocketError,
  TimeoutError,
} from "./errors.ts";
import { core } from "./native.ts";
import { enlist, interrupt, notParked, type Parked, parkingTime } from "./scheduler.ts";
import { addSite, keepSite, keepsSites } from "./wait_sites.ts";

/** What waits belong to: a fiber, or whatever runs outside of all fibers. */
export interface WaitOwner {
  /** The first of its waits; more than one at a time is `Promise.all` within a fiber. */
  waits: Wait<unknown> | undefined;
  readonly isCancelled: boolean;
  readonly cancelReason: unknown;
  readonly hasEnded: boolean;
}

/** The fiber whose code is running, if any. */
export const running = new AsyncLocalStorage<WaitOwner>();

/** Owns the waits of code that runs in no fiber, such as a program's top level. */
export const outside: WaitOwner = {
  waits: undefined,
  isCancelled: false,
  cancelReason: undefined,
  hasEnded: false,
};

let cancelledOwners = 0;

/** Counts the live fibers that are cancelled: while there are none, nobody has to be asked. */
export function countCancelled(change: 1 | -1): void {
  cancelledOwners += change;
}

/**
 * A cancellation is over when its fiber has ended: what still runs in the fiber's asynchronous context, such
 * as a timer of Bun's that it has set, is no part of it any more.
 */
export function isBeingCancelled(owner: WaitOwner): boolean {
  return owner.isCancelled && !owner.hasEnded;
}

/** The running fiber, if it is being cancelled. */
export function cancelledRunning(): WaitOwner | undefined {
  if (cancelledOwners === 0) return undefined;
  const owner = running.getStore();
  return owner !== undefined && isBeingCancelled(owner) ? owner : undefined;
}

/** The error that every wait of the running fiber fails with, if it is being cancelled. */
export function cancellation(syscall: string): CancelledError | undefined {
  const owner = cancelledRunning();
  return owner && new CancelledError(owner.cancelReason, { syscall });
}

/** Why a call fails before it has done anything: its fiber is cancelled, or its time is up. */
export function refusal(syscall: string, deadline: number): Error | undefined {
  const cancelled = cancellation(syscall);
  if (cancelled !== undefined) return cancelled;
  if (deadline === 0 || deadline > core.now()) return undefined;
  return new TimeoutError({ syscall });
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

let captured: (value: unknown) => void;
// One function for all promises, and no `reject` of its own for any: a wait that fails resolves to a
// rejected promise, which costs two microtasks then and 64 bytes less for every parked wait.
const capture = (resolve: (value: unknown) => void): void => {
  captured = resolve;
};

export abstract class Wait<T> implements Parked {
  waiter = notParked;
  owner: WaitOwner = outside;
  /** The owner's next wait. */
  next: Wait<unknown> | undefined = undefined;
  /** The one before it, whose `next` it is. */
  previous: Wait<unknown> | undefined = undefined;
  /** When it was parked first, on the monotonic clock in milliseconds. */
  since = 0;
  #settle: ((value: T | PromiseLike<T>) => void) | undefined = undefined;

  get keepsAlive(): boolean {
    return true;
  }

  /** The call that waits, as errors and `dump` name it. */
  abstract get syscall(): string;
  /** What is known of the other end, for errors and `dump`. */
  details(): ErrorDetails {
    return { syscall: this.syscall };
  }

  /** The other end, as `dump` shows it. */
  get place(): string {
    const details = this.details();
    const address = detail(details, "address");
    return address ? endpoint(address, detail(details, "port")) : "";
  }

  abstract wake(status: number): void;

  /** Whether it is over: what ends a wait that is over changes nothing. */
  get isSettled(): boolean {
    return this.#settle === undefined;
  }

  /** Its owner is cancelled. Returns waits, if any, that are to be interrupted in its place. */
  interrupt(): Wait<unknown>[] | undefined {
    interrupt(this, Status.cancelled);
    return undefined;
  }

  /** Parks for the first time. The waiter may be a negated status instead: the call has failed. */
  park(waiter: number): Promise<T> {
    if (waiter < 0) return Promise.reject(this.errorOf(-waiter));
    const promise = this.begin();
    enlist(this, waiter);
    return promise;
  }

  /** Parks once more, for what was woken for was not enough. */
  parkAgain(waiter: number): void {
    if (waiter < 0) {
      this.fail(this.errorOf(-waiter));
      return;
    }
    enlist(this, waiter);
    // A cancellation that came when it was woken already has found nothing to interrupt.
    if (isBeingCancelled(this.owner)) interrupt(this, Status.cancelled);
  }

  /** Makes the promise and joins the owner's waits. */
  begin(): Promise<T> {
    const promise = new Promise<unknown>(capture) as Promise<T>;
    this.#settle = captured as (value: T | PromiseLike<T>) => void;
    const owner = running.getStore() ?? outside;
    this.owner = owner;
    const { waits } = owner;
    if (waits !== undefined) waits.previous = this as Wait<unknown>;
    this.next = waits;
    owner.waits = this as Wait<unknown>;
    this.since = parkingTime();
    if (keepsSites) keepSite(this);
    return promise;
  }

  succeed(value: T): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#settle = undefined;
    this.#leave();
    settle(value);
  }

  fail(error: unknown): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#settle = undefined;
    this.#leave();
    if (keepsSites) addSite(error, this);
    settle(Promise.reject(error));
  }

  /** The error that a status of the core stands for. */
  errorOf(status: number): Error {
    const details = this.details();
    if (status === Status.timedOut) return new TimeoutError(details);
    if (status === Status.cancelled) return new CancelledError(this.owner.cancelReason, details);
    return new SocketError(codeOf(status), details);
  }

  #leave(): void {
    const { owner, next, previous } = this;
    if (previous !== undefined) previous.next = next;
    else if (owner.waits === this) owner.waits = next;
    if (next !== undefined) next.previous = previous;
    this.next = undefined;
    this.previous = undefined;
  }
}

/** The waits of an owner, the newest first. */
export function waitsOf(owner: WaitOwner): Wait<unknown>[] {
  const waits: Wait<unknown>[] = [];
  for (let wait = owner.waits; wait !== undefined; wait = wait.next) waits.push(wait);
  return waits;
}

/**
 * Interrupts waits, in their order. That runs code of the program's, which may end those that are still to
 * come. Scopes in scopes may be deeper than the stack.
 */
export function interruptAll(waits: readonly Wait<unknown>[]): void {
  const remaining = waits.toReversed();
  for (let wait = remaining.pop(); wait !== undefined; wait = remaining.pop()) {
    if (wait.isSettled) continue;
    const further = wait.interrupt();
    if (further === undefined) continue;
    for (let next = further.pop(); next !== undefined; next = further.pop()) remaining.push(next);
  }
}

/** Waits for nothing but a status: `ok`, or an error. */
export abstract class StatusWait extends Wait<void> {
  override wake(status: number): void {
    if (status === Status.ok) this.succeed();
    else this.fail(this.errorOf(status));
  }
}
