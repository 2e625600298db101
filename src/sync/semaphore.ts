/** So many at a time. */

import { admission, immediate, type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { checkedInteger } from "../values/checks.ts";

const syscall = "semaphore";

/**
 * Permits that are held, as `acquire` and `tryAcquire` return them. They belong to whoever has this
 * object, not to a fiber. If nobody releases them they are missing for ever, which `using` prevents.
 */
export class SemaphorePermit implements Disposable {
  /** How many permits it stands for. */
  readonly count: number;
  #semaphore: Semaphore | undefined;

  /** @internal Permits come from a semaphore. */
  constructor(semaphore: Semaphore, count: number) {
    this.#semaphore = semaphore;
    this.count = count;
  }

  /**
   * Gives the permits back, and to those that have waited longest.
   *
   * @throws {Error} when they were released before
   */
  release(): void {
    const semaphore = this.#semaphore;
    if (semaphore === undefined) throw new Error("this permit was released before");
    this.#semaphore = undefined;
    semaphore.giveBack(this.count);
  }

  /** Releases, unless that was done before. */
  [Symbol.dispose](): void {
    if (this.#semaphore !== undefined) this.release();
  }
}

/**
 * A fixed number of permits. Those that wait are served in the order in which they came: one that
 * wants many is not passed by those that want few, `tryAcquire` included, and so does not starve.
 *
 *     using permit = await semaphore.acquire();
 */
export class Semaphore {
  /** How many permits there are, free or held. */
  readonly permits: number;
  readonly #waiting = new WaitQueue<SemaphorePermit>();
  #available: number;

  /**
   * @throws {TypeError} for what is no whole number
   * @throws {RangeError} for less than one permit
   */
  constructor(permits: number) {
    this.permits = checkedInteger(permits, "permits", 1, Number.MAX_SAFE_INTEGER);
    this.#available = permits;
  }

  /** How many permits nobody holds. Those that wait in front of `tryAcquire` may want them. */
  get available(): number {
    return this.#available;
  }

  /**
   * Waits for so many permits at once.
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
    const until = admission(syscall, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#canTake(count)) return immediate(this.#take(count), syscall);
    return new Wait<SemaphorePermit>(new Acquire(this, count)).begin(until, this.#waiting);
  }

  /**
   * Takes so many permits if they are free and nobody waits, and returns undefined otherwise.
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

  /** @internal Serves those in front for whom there are enough permits. */
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

/** So many permits. */
class Acquire implements Operation {
  readonly syscall = syscall;
  readonly count: number;
  readonly #semaphore: Semaphore;

  constructor(semaphore: Semaphore, count: number) {
    this.#semaphore = semaphore;
    this.count = count;
  }

  abandoned(): void {
    // Those behind it may want less than it did.
    this.#semaphore.serve();
  }
}
