/** One direction of a socket: its operations in the order in which they were begun. */

import { Status } from "../core/abi.ts";
import { type Due, mayProceed, proceedLater, spend } from "../runtime/scheduler.ts";
import { type Operation, rejected, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";

let fulfilled: Promise<unknown> = Promise.resolve(0);
let fulfilledValue: unknown = 0;

/** A promise of a number. Most are of the same number as the one before, and so the same promise. */
export function fulfilledWith(value: number): Promise<number> {
  if (value !== fulfilledValue) {
    fulfilledValue = value;
    fulfilled = Promise.resolve(value);
  }
  return fulfilled as Promise<number>;
}

/** An attempt's answer: the socket is not ready. The next attempt comes when it is. */
export const blocked = Symbol("blocked");
/** An attempt's answer: it has done its share of this turn. The next attempt comes in the next one. */
export const unfinished = Symbol("unfinished");

/** What is done on a socket in one direction. */
export interface Transfer<T> extends Operation {
  readonly isExternal: true;
  /**
   * Does it, or a part of it; throws what it fails with. It runs no code of the program's. After `isLast` it
   * fails if it is not done: then it looks at the socket itself, whose event may not be reported yet.
   */
  attempt(isLast: boolean): T | typeof blocked | typeof unfinished;
}

/**
 * Only the first operation is ever attempted: when it is begun if none stands before it, and then for one
 * of two reasons. An event reports the socket ready (`ready`), or the lane is due in the next turn
 * (`proceed`): the first operation has had its share of this turn, or has become the first in it, or the
 * turn's budget was spent when it was begun. A lane that is due takes no notice of events. So transfers never
 * interleave, and each lane has one attempt in a turn. Deadline, cancellation and close take an operation out
 * wherever it stands.
 */
export class Lane extends WaitQueue implements Due {
  /** Whether the first operation is attempted in the next turn. Otherwise it waits for an event. */
  #isDue = false;
  /** The last wait that succeeded, for the next operation: so a request makes no wait. */
  #resting: Wait<unknown> | undefined = undefined;

  /** Does an operation, now or when its turn has come. A deadline of 0 never comes. */
  run<T>(transfer: Transfer<T>, deadline: number): Promise<T> {
    // Behind another operation it waits for that one, not for the next turn.
    let isDue = this.first === undefined;
    if (this.first === undefined && mayProceed()) {
      try {
        const result = transfer.attempt(false);
        if (result !== blocked && result !== unfinished) {
          spend();
          return Promise.resolve(result as T);
        }
        isDue = result === unfinished;
      } catch (error) {
        transfer.failed?.();
        return rejected(error, transfer.syscall);
      }
    }
    return this.park(transfer, deadline, isDue);
  }

  /** Queues an operation. `isDue`: attempt it in the next turn; otherwise it waits for an event. */
  park<T>(transfer: Transfer<T>, deadline: number, isDue: boolean): Promise<T> {
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
   * Attempts the first operation, and says whether it has ended. The next one has its turn when the code that
   * waited for this one has run.
   */
  #attempt(isLast: boolean): boolean {
    const wait = this.first;
    if (wait === undefined) return false;
    let hasEnded = true;
    try {
      const result = (wait.operation as Transfer<unknown>).attempt(isLast);
      if (result === blocked) return false;
      if (result === unfinished) hasEnded = false;
      else {
        wait.succeed(result);
        wait.rest();
        this.#resting = wait;
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

  /** Ends all operations: the socket is closed. */
  close(): void {
    for (let wait = this.first; wait !== undefined; wait = this.first) {
      wait.interrupt(Status.closed);
    }
  }
}
