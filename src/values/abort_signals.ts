/**
 * Listening to AbortSignals. Removing a listener takes a signal longer the more it has, and one signal may
 * end a whole server's waits: so each has one listener of ours. Whatever a signal has under
 * the names of AbortSignal's properties is passed over: an exception would end what others wait for.
 */

import { getterOf } from "./intrinsics.ts";

const isAbortedOf = getterOf(AbortSignal.prototype, "aborted");
const reasonOf = getterOf(AbortSignal.prototype, "reason");
const { addEventListener, removeEventListener } = EventTarget.prototype;

export interface AbortListener {
  /** The signal was aborted. */
  aborted(reason: unknown): void;
}

/** Whether it is a signal of the runtime's own. What only looks like one cannot be listened to. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  try {
    isAbortedOf.call(value);
    return true;
  } catch {
    return false;
  }
}

export function isAborted(signal: AbortSignal): boolean {
  return isAbortedOf.call(signal) as boolean;
}

export function abortReason(signal: AbortSignal): unknown {
  return reasonOf.call(signal);
}

class SignalListeners {
  readonly waiting = new Set<AbortListener>();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  handleEvent(): void {
    // Anybody can dispatch an event of that name.
    if (!isAborted(this.#signal)) return;
    const reason = abortReason(this.#signal);
    for (const listener of this.waiting) listener.aborted(reason);
  }
}

const listened = new WeakMap<AbortSignal, SignalListeners>();

/** Has a listener told when the signal is aborted, unless that has happened already. */
export function listenToAbort(signal: AbortSignal, listener: AbortListener): void {
  let listeners = listened.get(signal);
  if (listeners === undefined) {
    listeners = new SignalListeners(signal);
    listened.set(signal, listeners);
    addEventListener.call(signal, "abort", listeners);
  }
  listeners.waiting.add(listener);
}

export function ignoreAbort(signal: AbortSignal, listener: AbortListener): void {
  const listeners = listened.get(signal);
  if (listeners === undefined) return;
  listeners.waiting.delete(listener);
  if (listeners.waiting.size > 0) return;
  listened.delete(signal);
  removeEventListener.call(signal, "abort", listeners);
}
