/** The triggers that cancel a fiber or a scope from outside: a signal and a deadline. */

import {
  type AbortListener,
  abortReason,
  ignoreAbort,
  isAborted,
  listenToAbort,
} from "../values/abort_signals.ts";
import { type Deadline, hasPassed, never } from "../values/deadlines.ts";
import { TimeoutError } from "../values/errors.ts";
import { expect } from "./scheduler.ts";
import { Timer } from "./timer.ts";

export interface Triggered {
  /** The `syscall` of its `TimeoutError`. */
  readonly title: string;
  /** Called when the signal is aborted, or else when the deadline passes. */
  triggered(reason: unknown, isLate: boolean): void;
}

export class CancelTriggers implements AbortListener {
  readonly #subject: Triggered;
  readonly #signal: AbortSignal | undefined;
  #timer: Timer | undefined = undefined;
  /** The reason of the cancellation, if the deadline was its trigger. */
  lateness: TimeoutError | undefined = undefined;

  constructor(subject: Triggered, signal: AbortSignal | undefined, deadline: Deadline) {
    this.#subject = subject;
    this.#signal = signal;
    if (signal !== undefined) {
      if (isAborted(signal)) this.aborted(abortReason(signal));
      else listenToAbort(signal, this);
    }
    if (deadline !== never) this.#startTimer(deadline);
  }

  #startTimer(deadline: Deadline): void {
    this.#timer = new Timer(() => {
      expect(-1);
      this.#expire();
    });
    // A deadline that has passed cancels at once, not in the next turn.
    if (hasPassed(deadline) || this.#timer.start(deadline) < 0) this.#expire();
    else expect(1);
  }

  aborted(reason: unknown): void {
    this.#subject.triggered(reason, false);
  }

  #expire(): void {
    this.lateness = new TimeoutError({ syscall: this.#subject.title });
    this.#subject.triggered(this.lateness, true);
  }

  lift(): void {
    if (this.#signal !== undefined) ignoreAbort(this.#signal, this);
    if (this.#timer?.stop()) expect(-1);
  }
}
