/** Waits that other fibers end: joins, parks, and whatever is built on them. */

import { Status } from "./abi.ts";
import { core } from "./native.ts";
import { delist, enlist, notParked, spend } from "./scheduler.ts";
import { Wait } from "./wait.ts";

/** Waits for a turn with a result that is known already. */
class TurnWait<T> extends Wait<T> {
  readonly #result: T | PromiseLike<T>;
  readonly #syscall: string;

  constructor(result: T | PromiseLike<T>, syscall: string) {
    super();
    this.#result = result;
    this.#syscall = syscall;
  }

  override get syscall(): string {
    return this.#syscall;
  }

  override wake(status: number): void {
    if (status === Status.ok) this.succeed(this.#result as T);
    else this.fail(this.errorOf(status));
  }
}

/**
 * What a call returns that has nothing to wait for: it draws on the turn's budget all the same. What
 * the caller has taken is not lost by that: a yield is a wake-up already, which nothing can interrupt.
 */
export function immediate<T>(result: T | Promise<T>, syscall: string): Promise<T> {
  const waiter = spend() ? notParked : core.yield();
  if (waiter >= 0) return new TurnWait(result, syscall).park(waiter);
  try {
    return Promise.resolve(result);
  } catch (error) {
    // A promise of the program's own, in a channel for example, whose `constructor` has thrown.
    return Promise.reject(error);
  }
}

function ignore(): void {}

/**
 * Waits for other fibers, not for the core: without a deadline it is no waiter there, for a trip
 * through the core costs more than the whole of `spawn` and `join`.
 */
export abstract class ParkingWait<T> extends Wait<T> {
  #result: T | PromiseLike<T> | undefined = undefined;
  #hasResult = false;

  abstract forget(): void;

  startUntil(deadline: number): Promise<T> {
    if (deadline === 0) return this.begin();
    const waiter = core.sleep(deadline);
    if (waiter < 0) this.forget();
    return this.park(waiter);
  }

  finish(result: T | PromiseLike<T>): void {
    if (this.#hasResult || this.isSettled) return;
    delist(this);
    if (spend()) {
      this.succeed(result as T);
      return;
    }
    // The turn's budget is spent: fibers that wake each other must let the sockets have theirs.
    const waiter = core.yield();
    if (waiter < 0) {
      this.succeed(result as T);
      return;
    }
    this.#result = result;
    this.#hasResult = true;
    enlist(this, waiter);
  }

  /** As `finish`, for an error. It may be a turn until somebody hears of it. */
  finishWithError(error: unknown): void {
    const rejection = Promise.reject(error);
    rejection.catch(ignore);
    this.finish(rejection);
  }

  override interrupt(): Wait<unknown>[] | undefined {
    this.failNow(Status.cancelled);
    return undefined;
  }

  failNow(status: number): void {
    if (this.#hasResult || this.isSettled) return;
    this.forget();
    delist(this);
    this.fail(this.errorOf(status));
  }

  override wake(status: number): void {
    if (this.#hasResult) {
      this.succeed(this.#result as T);
      return;
    }
    this.forget();
    // The only status that a sleep wakes with by itself is that its time has come.
    this.fail(this.errorOf(status));
  }
}
