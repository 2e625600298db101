/** Mutual exclusion. */

import { Fiber } from "../runtime/fiber.ts";
import {
  admission,
  immediate,
  type Operation,
  outside,
  running,
  Wait,
  type WaitOwner,
} from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import type { ErrorDetails } from "../values/errors.ts";

const syscall = "mutex";

/**
 * A lock on a mutex, as `lock` and `tryLock` return it. It belongs to no fiber: every fiber that
 * has this object can unlock. A fiber that ends without unlocking leaves the mutex locked for ever.
 * `using` prevents that, and `dump()` shows it.
 */
export class MutexLock implements Disposable {
  #mutex: Mutex | undefined;
  /** @internal The fiber that has taken it, or `outside`. */
  readonly holder: WaitOwner;

  /** @internal Locks come from a mutex. */
  constructor(mutex: Mutex, holder: WaitOwner) {
    this.#mutex = mutex;
    this.holder = holder;
  }

  /**
   * Unlocks. The mutex goes to the fiber that has waited longest.
   *
   * @throws {Error} when it was unlocked before
   */
  unlock(): void {
    const mutex = this.#mutex;
    if (mutex === undefined) throw new Error("this lock was unlocked before");
    this.#mutex = undefined;
    mutex.handOver();
  }

  /** Unlocks, unless it was unlocked before. */
  [Symbol.dispose](): void {
    if (this.#mutex !== undefined) this.unlock();
  }
}

/**
 * A lock with one holder at a time. Fibers that wait get it in the order in which they came. It is
 * handed to them directly, so that no other `lock` or `tryLock` comes before them. It is not
 * reentrant: a holder that locks again waits for itself.
 *
 *     using lock = await mutex.lock(deadline(1000));
 */
export class Mutex {
  readonly #waiting = new WaitQueue<MutexLock>();
  readonly #locking: Operation = {
    syscall,
    details: (): ErrorDetails => {
      const { holder } = this;
      return { syscall, reason: holder && `the deadline has passed, ${holder}` };
    },
    place: () => this.holder ?? "",
  };
  #lock: MutexLock | undefined = undefined;

  /** Whether there is a lock on it. */
  get isLocked(): boolean {
    return this.#lock !== undefined;
  }

  /**
   * Waits until the mutex is free, and locks it.
   *
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  lock(deadline?: number): Promise<MutexLock> {
    const until = admission(this.#locking, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#lock === undefined) return immediate(this.#take(), syscall);
    return new Wait<MutexLock>(this.#locking).begin(until, this.#waiting);
  }

  /** Locks the mutex if it is free; returns undefined otherwise. */
  tryLock(): MutexLock | undefined {
    return this.#lock === undefined ? this.#take() : undefined;
  }

  /** @internal */
  handOver(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#lock = undefined;
      return;
    }
    this.#lock = new MutexLock(this, next.owner);
    next.finish(this.#lock);
  }

  /** @internal The holder in words; undefined while the mutex is free. */
  get holder(): string | undefined {
    const holder = this.#lock?.holder;
    if (holder === undefined) return undefined;
    if (!(holder instanceof Fiber)) return "held outside of fibers";
    const ended = holder.hasEnded ? ", which has ended" : "";
    return `held by ${`#${holder.id} ${holder.name}`.trimEnd()}${ended}`;
  }

  #take(): MutexLock {
    this.#lock = new MutexLock(this, running.getStore() ?? outside);
    return this.#lock;
  }
}
