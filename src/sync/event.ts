/** Something that happens, and that many wait for. */

import { admission, immediate, type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";

const syscall = "event";
const waiting: Operation = { syscall };

/**
 * A flag to wait for. It hides the DOM's `Event` only where it is imported; `import { Event as Flag }`
 * has both.
 */
export class Event {
  readonly #waiting = new WaitQueue<void>();
  #isSet = false;

  get isSet(): boolean {
    return this.#isSet;
  }

  /** Wakes all that wait, in the order in which they came; `wait` returns at once until `clear`. */
  set(): void {
    this.#isSet = true;
    for (let wait = this.#waiting.shift(); wait !== undefined; wait = this.#waiting.shift()) {
      wait.finish();
    }
  }

  /** From now on `wait` waits again. Those that `set` has woken stay awake. */
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
    const until = admission(syscall, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#isSet) return immediate(undefined, syscall);
    return new Wait<void>(waiting).begin(until, this.#waiting);
  }
}
