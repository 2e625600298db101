/** Limiting how many fibers do something at a time. */

import { admission, type Call, immediate, type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { checkedInteger } from "../values/checks.ts";

const syscall = "semaphore";
const acquiring: Call = { syscall };

/**
 * Permits that are held, as `acquire` and `tryAcquire` return them. They belong to no fiber: every
 * fiber that has this object can release them. Permits that are never released stay missing, which
 * `using` prevents.
 */
export class SemaphorePermit implements Disposable {
  /** How many permits these are. */
  readonly count: number;
  #semaphore: Semaphore | undefined;

  /** @internal Permits come from a semaphore. */
  constructor(semaphore: Semaphore, count: number) {
    this.#semaphore = semaphore;
    this.count = count;
  }

  /**
   * Gives the permits back. They go to those that have waited longest.
   *
   * @throws {Error} when they were released before
   */
  release(): void {
    const semaphore = this.#semaphore;
    if (semaphore === undefined) throw new Error("this permit was released before");
    this.#semaphore = undefined;
    semaphore.giveBack(this.count);
  }

  /** Releases, unless they were released before. */
  [Symbol.dispose](): void {
    if (this.#semaphore !== undefined) this.release();
  }
}

/**
 * A fixed number of permits. Fibers that wait are served in the order in which they came. A request for
 * many permits does not starve: neither a later request for few nor `tryAcquire` is served before it.
 *
 *     using permit = await semaphore.acquire();
 */
export class Semaphore {
  /** How many permits there are, free or held. */
  readonly permits: number;
  readonly #waiting = new WaitQueue<SemaphorePermit>();
  #available: number;

  /**
   * @throws {TypeError} for a number that is not whole
   * @throws {RangeError} for less than one permit
   */
  constructor(permits: number) {
    this.permits = checkedInteger(permits, "permits", 1, Number.MAX_SAFE_INTEGER);
    this.#available = permits;
  }

  /** How many permits are free. Fibers that wait may need them before `tryAcquire` gets them. */
  get available(): number {
    return this.#available;
  }

  /**
   * Waits until `count` permits are free, and takes them together.
   *
   * @throws {RangeError} for more permits than there are, and for less than one
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  acquire(count = 1, deadline?: number): Promise<SemaphorePermit> {
    try {
      this.#check(count);
    } catch (error) {
      return Promise.reject(error);
    }
    const until = admission(acquiring, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#canTake(count)) return immediate(this.#take(count), syscall);
    return new Wait<SemaphorePermit>(new Acquire(this, count)).begin(until, this.#waiting);
  }

  /**
   * Takes `count` permits if they are free and no fiber waits; returns undefined otherwise.
   *
   * @throws {RangeError} for more permits than there are, and for less than one
   */
  tryAcquire(count = 1): SemaphorePermit | undefined {
    this.#check(count);
    return this.#canTake(count) ? this.#take(count) : undefined;
  }

  /** @internal */
  giveBack(count: number): void {
    this.#available += count;
    this.serve();
  }

  /** @internal Serves the first waits, as long as there are enough permits. */
  serve(): void {
    for (;;) {
      const { first } = this.#waiting;
      if (first === undefined) return;
      const { count } = first.operation as Acquire;
      if (count > this.#available) return;
      first.finish(this.#take(count));
    }
  }

  #check(count: number): void {
    checkedInteger(count, "the number of permits", 1, this.permits);
  }

  #canTake(count: number): boolean {
    return count <= this.#available && this.#waiting.first === undefined;
  }

  #take(count: number): SemaphorePermit {
    this.#available -= count;
    return new SemaphorePermit(this, count);
  }
}

/** The wait for a number of permits. */
class Acquire implements Operation {
  readonly syscall = syscall;
  readonly count: number;
  readonly #semaphore: Semaphore;

  constructor(semaphore: Semaphore, count: number) {
    this.#semaphore = semaphore;
    this.count = count;
  }

  failed(): void {
    // Those behind it may need fewer permits.
    this.#semaphore.serve();
  }
}
