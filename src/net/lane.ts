/** One direction of a socket: its operations in the order in which they were begun. */

import { Status } from "../core/abi.ts";
import { type Due, mayProceed, proceedLater, spend } from "../runtime/scheduler.ts";
import { type Operation, rejected, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import type { Deadline } from "../values/deadlines.ts";

let fulfilled: Promise<unknown> = Promise.resolve(0);
let fulfilledNumber = 0;

/** A fulfilled promise. Most numbers repeat the one before, and share its promise. */
function fulfilledWith<T>(value: T): Promise<T> {
  if (typeof value !== "number") return Promise.resolve(value);
  if (value !== fulfilledNumber) {
    fulfilledNumber = value;
    fulfilled = Promise.resolve(value);
  }
  return fulfilled as Promise<T>;
}

/** An attempt's answer: the socket is not ready. The next attempt comes when it is. */
export const blocked = Symbol("blocked");
/** An attempt's answer: it has done its share of this turn. The next attempt comes in the next turn. */
export const unfinished = Symbol("unfinished");

/** An operation on a socket in one direction. */
export interface Transfer<T> extends Operation {
  readonly isExternal: true;
  /** Does it, or a part of it. It throws the error that the operation fails with. */
  attempt(isLast: boolean): T | typeof blocked | typeof unfinished;
  /** It begins to wait: what it needs of its caller's data must last. */
  parked?(): void;
  /** It has succeeded, and is not used any more. */
  release?(): void;
}

/** Attempts an operation that is the first in its lane. It ends at once, or has to be parked there. */
export function begin<T>(transfer: Transfer<T>): Promise<T> | typeof blocked | typeof unfinished {
  if (!mayProceed()) return unfinished;
  try {
    const result = transfer.attempt(false);
    if (result === blocked) return blocked;
    if (result === unfinished) return unfinished;
    spend();
    transfer.release?.();
    return fulfilledWith(result as T);
  } catch (error) {
    transfer.failed?.();
    return rejected(error, transfer.syscall);
  }
}

/**
 * Only the first operation is ever attempted: once at its start, if it is the first, and then whenever
 * the socket is ready. So transfers never interleave. A deadline, a cancellation and a close remove an
 * operation from any place.
 */
export class Lane extends WaitQueue implements Due {
  /** Whether the first operation is attempted in the next turn. Otherwise it waits for an event. */
  #isDue = false;
  /** The last wait that succeeded. The next operation reuses it, so that a request makes no wait. */
  #resting: Wait<unknown> | undefined = undefined;

  /** Does an operation, now or when it is the first. */
  run<T>(transfer: Transfer<T>, deadline: Deadline): Promise<T> {
    // Behind another operation it waits for that one, not for the next turn.
    const answer = this.first === undefined ? begin(transfer) : blocked;
    if (typeof answer !== "symbol") return answer;
    return this.park(transfer, deadline, answer === unfinished);
  }

  /** Queues an operation. `isDue` says that it waits only for the next turn, not for the socket. */
  park<T>(transfer: Transfer<T>, deadline: Deadline, isDue: boolean): Promise<T> {
    transfer.parked?.();
    const wait = (this.#resting ?? new Wait(transfer)) as Wait<T>;
    this.#resting = undefined;
    wait.operation = transfer;
    const result = wait.begin(deadline, this);
    if (isDue) this.#proceedLater();
    return result;
  }

  /** An event reports that the socket is ready. */
  ready(): void {
    if (!this.#isDue) this.#attempt(false);
  }

  /** The lane is due. */
  proceed(): void {
    this.#isDue = false;
    this.#attempt(false);
  }

  /** The deadline of an operation has passed: it fails, unless it can be done now. */
  expire(wait: Wait<unknown>): void {
    if (wait !== this.first || !this.#attempt(true)) wait.interrupt(Status.timedOut);
  }

  /**
   * Attempts the first operation. The next one is attempted when the code that waited for this one has
   * run.
   */
  #attempt(isLast: boolean): boolean {
    const wait = this.first;
    if (wait === undefined) return false;
    const transfer = wait.operation as Transfer<unknown>;
    let hasEnded = true;
    try {
      const result = transfer.attempt(isLast);
      if (result === blocked) return false;
      if (result === unfinished) hasEnded = false;
      else {
        wait.succeed(result);
        wait.rest();
        this.#resting = wait;
        transfer.release?.();
      }
    } catch (error) {
      wait.fail(error);
    }
    this.#proceedLater();
    return hasEnded;
  }

  #proceedLater(): void {
    if (this.#isDue || this.first === undefined) return;
    this.#isDue = true;
    proceedLater(this);
  }

  /** Cancels an operation, if it waits. It takes and sends nothing more. */
  withdraw(transfer: Transfer<unknown>): void {
    const { first } = this;
    let wait = first;
    while (wait !== undefined && wait.operation !== transfer) {
      wait = wait.after === first ? undefined : wait.after;
    }
    wait?.interrupt(Status.cancelled);
  }

  /** Ends all operations: the socket is closed. */
  close(): void {
    for (let wait = this.first; wait !== undefined; wait = this.first) {
      wait.interrupt(Status.closed);
    }
  }
}
