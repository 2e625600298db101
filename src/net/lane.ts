/** One direction of a socket: its operations in the order in which they were begun. */

import { Status } from "../core/abi.ts";
import { type Due, mayProceed, proceedLater, spend } from "../runtime/scheduler.ts";
import { type Operation, Wait } from "../runtime/wait.ts";
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
  /** Does it, or a part of it; throws what it fails with. */
  attempt(): T | typeof blocked | typeof unfinished;
}

/**
 * Attempts of queued operations that are under way. There is more than one when a function of the program,
 * such as `onSession`, was called in the middle of one and blocks.
 */
let attempts = 0;

/**
 * Only the first operation is ever attempted: once when it is begun, if none stands before it, and then
 * whenever the socket is ready. So transfers never interleave. Deadline, cancellation and close take an
 * operation out wherever it stands.
 */
export class Lane extends WaitQueue implements Due {
  #isDue = false;
  /** The last wait that succeeded, for the next operation: so a request makes no wait. */
  #resting: Wait<unknown> | undefined = undefined;

  /** Does an operation, now or when its turn has come. A deadline of 0 never comes. */
  run<T>(transfer: Transfer<T>, deadline: number): Promise<T> {
    // Behind another operation it waits for that one, not for the next turn.
    let isReady = this.first === undefined;
    if (this.first === undefined && mayProceed()) {
      try {
        const result = transfer.attempt();
        if (result !== blocked && result !== unfinished) {
          spend();
          return Promise.resolve(result as T);
        }
        isReady = result === unfinished;
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.park(transfer, deadline, isReady);
  }

  /** Queues an operation. `isReady` says that it need not wait for the socket, only for its turn. */
  park<T>(transfer: Transfer<T>, deadline: number, isReady: boolean): Promise<T> {
    const wait = (this.#resting ?? new Wait(transfer)) as Wait<T>;
    this.#resting = undefined;
    wait.operation = transfer;
    const result = wait.begin(deadline, this);
    if (isReady) this.proceedLater();
    return result;
  }

  /** Attempts the first operation. The next one has its turn when the code that waited for this one has run. */
  proceed(): void {
    this.#isDue = false;
    const wait = this.first;
    if (wait === undefined) return;
    attempts++;
    try {
      const result = (wait.operation as Transfer<unknown>).attempt();
      if (result === blocked) return;
      if (result !== unfinished) {
        wait.succeed(result);
        if (attempts === 1) this.#keep(wait);
      }
    } catch (error) {
      wait.fail(error);
    } finally {
      attempts--;
    }
    this.proceedLater();
  }

  #keep(wait: Wait<unknown>): void {
    wait.rest();
    this.#resting = wait;
  }

  /** Has the first operation attempted in the next turn, whether or not the core tells of the socket. */
  proceedLater(): void {
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
