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
 * A mutex that is held, as `lock` and `tryLock` return it. It belongs to whoever has this object, not
 * to a fiber: another fiber may be given it and unlock. A fiber that ends without unlocking leaves the
 * mutex locked for ever, which `using` prevents, and which `dump()` shows.
 */
export class MutexLock implements Disposable {
  #mutex: Mutex | undefined;
  /** @internal Whose lock it was when it was taken. */
  readonly holder: WaitOwner;

  /** @internal Locks come from a mutex. */
  constructor(mutex: Mutex, holder: WaitOwner) {
    this.#mutex = mutex;
    this.holder = holder;
  }

  /**
   * Hands the mutex over to the one that has waited longest.
   *
   * @throws {Error} when it was unlocked before
   */
  unlock(): void {
    const mutex = this.#mutex;
    if (mutex === undefined) throw new Error("this lock was unlocked before");
    this.#mutex = undefined;
    mutex.handOver();
  }

  /** Unlocks, unless that was done before. */
  [Symbol.dispose](): void {
    if (this.#mutex !== undefined) this.unlock();
  }
}

/**
 * One holder at a time. Those that wait get it in the order in which they came, handed over directly:
 * nobody passes them, `tryLock` included. It is not reentrant: a holder that locks again waits for itself.
 *
 *     using lock = await mutex.lock(deadline(1000));
 */
export class Mutex {
  readonly #waiting = new WaitQueue<MutexLock>();
  readonly #locking: Operation = {
    syscall,
    details: (): ErrorDetails => ({ syscall, reason: `the deadline has passed, ${this.holder}` }),
    place: () => this.holder ?? "",
  };
  #lock: MutexLock | undefined = undefined;

  get isLocked(): boolean {
    return this.#lock !== undefined;
  }

  /**
   * Waits until nobody else holds the mutex.
   *
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  lock(deadline?: number): Promise<MutexLock> {
    const until = admission(syscall, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#lock === undefined) return immediate(this.#take(), syscall);
    return new Wait<MutexLock>(this.#locking).begin(until, this.#waiting);
  }

  /** Takes the mutex if nobody holds it, and returns undefined otherwise. */
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

  /** @internal Who holds it, in words; undefined when nobody does. */
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
