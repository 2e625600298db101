/** A flag that many fibers can wait for. */

import { admission, immediate, type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";

const syscall = "event";
const waiting: Operation = { syscall };

/**
 * A flag that fibers can wait for. Where it is imported it hides the DOM's `Event`; `import { Event
 * as Flag }` leaves both.
 */
export class Event {
  readonly #waiting = new WaitQueue<void>();
  #isSet = false;

  /** Whether `wait` returns at once. */
  get isSet(): boolean {
    return this.#isSet;
  }

  /** Wakes all that wait, in the order in which they came. Until `clear`, `wait` returns at once. */
  set(): void {
    this.#isSet = true;
    for (let wait = this.#waiting.shift(); wait !== undefined; wait = this.#waiting.shift()) {
      wait.finish();
    }
  }

  /** Lets `wait` wait again. Fibers that `set` has woken stay awake. */
  clear(): void {
    this.#isSet = false;
  }

  /**
   * Waits until the event is set.
   *
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  wait(deadline?: number): Promise<void> {
    const until = admission(waiting, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#isSet) return immediate(undefined, syscall);
    return new Wait<void>(waiting).begin(until, this.#waiting);
  }
}
