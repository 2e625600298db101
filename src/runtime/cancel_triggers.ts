/** The triggers that cancel a fiber or a scope from outside: a signal and a deadline. */

import { core } from "../core/native.ts";
import {
  type AbortListener,
  abortReason,
  ignoreAbort,
  isAborted,
  listenToAbort,
} from "../values/abort_signals.ts";
import { TimeoutError } from "../values/errors.ts";
import { attendDeadline, drop, enlist, expect } from "./scheduler.ts";

export interface Triggered {
  /** The `syscall` of its `TimeoutError`. */
  readonly title: string;
  /** Called when the signal is aborted, or else when the deadline passes. */
  triggered(reason: unknown, isLate: boolean): void;
}

export class CancelTriggers implements AbortListener {
  readonly #subject: Triggered;
  readonly #signal: AbortSignal | undefined;
  #timer: DeadlineTimer | undefined = undefined;
  /** The reason of the cancellation, if the deadline was its trigger. */
  lateness: TimeoutError | undefined = undefined;

  constructor(subject: Triggered, signal: AbortSignal | undefined, deadline: number) {
    this.#subject = subject;
    this.#signal = signal;
    if (signal !== undefined) {
      if (isAborted(signal)) this.aborted(abortReason(signal));
      else listenToAbort(signal, this);
    }
    if (deadline !== 0) {
      this.#timer = new DeadlineTimer(this);
      this.#timer.start(deadline);
    }
  }

  aborted(reason: unknown): void {
    this.#subject.triggered(reason, false);
  }

  expire(): void {
    this.lateness = new TimeoutError({ syscall: this.#subject.title });
    this.#subject.triggered(this.lateness, true);
  }

  lift(): void {
    if (this.#signal !== undefined) ignoreAbort(this.#signal, this);
    this.#timer?.stop();
  }
}

const noWaiter = -1;

/** A deadline in the core. It does not keep the process alive: the waits of the fiber do. */
class DeadlineTimer {
  #waiter = noWaiter;
  readonly #triggers: CancelTriggers;

  constructor(triggers: CancelTriggers) {
    this.#triggers = triggers;
  }

  start(deadline: number): void {
    // A deadline that has passed cancels at once, not in the next turn.
    const waiter = deadline > core.now() ? core.sleep(deadline) : noWaiter;
    if (waiter < 0) {
      this.#triggers.expire();
      return;
    }
    this.#waiter = waiter;
    enlist(this, waiter);
    expect(1);
    attendDeadline();
  }

  stop(): void {
    if (this.#waiter === noWaiter) return;
    drop(this.#waiter);
    this.#waiter = noWaiter;
    expect(-1);
  }

  wake(): void {
    this.stop();
    this.#triggers.expire();
  }
}
