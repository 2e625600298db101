/** What a stream is doing: the calls of plait that are under way for it, and how long it may be idle. */

import { hold, unhold } from "../runtime/scheduler.ts";
import { IdleTimer } from "./idle_timer.ts";

export class Activity {
  /** Calls of plait that are under way. They keep the process alive, unless `unref` was called. */
  #calls = 0;
  #isReferenced = true;
  #timer: IdleTimer | undefined = undefined;

  /** A call of plait begins, which keeps the process alive by itself. */
  begin(): void {
    this.#calls++;
    if (!this.#isReferenced) unhold();
  }

  finish(): void {
    this.#calls--;
    if (!this.#isReferenced) hold();
  }

  ref(): void {
    if (!this.#isReferenced) for (let count = this.#calls; count > 0; count--) hold();
    this.#isReferenced = true;
  }

  unref(): void {
    if (this.#isReferenced) for (let count = this.#calls; count > 0; count--) unhold();
    this.#isReferenced = false;
  }

  /** Something was received, sent or connected. */
  note(): void {
    this.#timer?.active();
  }

  /** Calls `expired` after so many milliseconds without activity; with 0 never. */
  setIdleTime(milliseconds: number, expired: () => void): void {
    if (this.#timer === undefined) {
      if (milliseconds === 0) return;
      this.#timer = new IdleTimer(expired);
    }
    this.#timer.set(milliseconds);
  }

  stopTimer(): void {
    this.#timer?.stop();
  }
}
