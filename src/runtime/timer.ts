/** A deadline in the core that calls back. It keeps neither the process alive nor `block` waiting. */

import { Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import type { Deadline } from "../values/deadlines.ts";
import { attendDeadline, drop, enlist, noWaiter, type Sleeper } from "./scheduler.ts";

export class Timer implements Sleeper {
  #waiter = noWaiter;
  readonly #passed: () => void;

  /** `passed` is called when the deadline passes. */
  constructor(passed: () => void) {
    this.#passed = passed;
  }

  /** Returns a negated status if the core has no waiter left: then `passed` is not called. */
  start(deadline: Deadline): number {
    const waiter = core.sleep(deadline);
    if (waiter < 0) return waiter;
    this.#waiter = waiter;
    enlist(this, waiter);
    attendDeadline();
    return Status.ok;
  }

  /** Returns whether it was running. */
  stop(): boolean {
    if (this.#waiter === noWaiter) return false;
    drop(this.#waiter);
    this.#waiter = noWaiter;
    return true;
  }

  wake(): void {
    this.#waiter = noWaiter;
    this.#passed();
  }
}
