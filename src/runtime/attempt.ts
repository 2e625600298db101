/** The limits of a call that waits for one thing after another. */

import { core } from "../core/native.ts";
import {
  type AbortListener,
  abortReason,
  ignoreAbort,
  isAborted,
  listenToAbort,
} from "../values/abort_signals.ts";
import { CancelledError, TimeoutError } from "../values/errors.ts";
import { cancellation } from "./wait.ts";

/** One call, with its deadline and its signal: it can be asked to end whatever it waits for. */
export class Attempt implements AbortListener, Disposable {
  readonly deadline: number;
  readonly #syscall: string;
  readonly #signal: AbortSignal | undefined;
  #giveUp: (() => void) | undefined = undefined;

  constructor(syscall: string, deadline: number, signal: AbortSignal | undefined) {
    this.#syscall = syscall;
    this.deadline = deadline;
    this.#signal = signal;
    if (signal !== undefined) listenToAbort(signal, this);
  }

  /** Sets what ends the wait that comes next. */
  readonly setGiveUp = (giveUp: () => void): void => {
    this.#giveUp = giveUp;
  };

  aborted(): void {
    this.#giveUp?.();
  }

  /** Throws when the call must not go on. */
  check(): void {
    const syscall = this.#syscall;
    const cancelled = cancellation(syscall);
    if (cancelled) throw cancelled;
    const signal = this.#signal;
    if (signal !== undefined && isAborted(signal)) {
      throw new CancelledError(abortReason(signal), { syscall });
    }
    if (this.deadline !== 0 && this.deadline <= core.now()) throw new TimeoutError({ syscall });
  }

  /** What an error of a wait is thrown as: only now is it known whether the signal has woken it. */
  thrown(error: unknown): unknown {
    if (error instanceof CancelledError) this.check();
    return error;
  }

  [Symbol.dispose](): void {
    if (this.#signal !== undefined) ignoreAbort(this.#signal, this);
  }
}
