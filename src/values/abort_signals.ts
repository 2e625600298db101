/**
 * Listening to AbortSignals. The more listeners a signal has, the longer it takes to remove one,
 * and one signal may end all waits of a server: so plait adds a single listener to each signal,
 * which calls plait's own. Everything is read with the getters of AbortSignal itself. A property
 * that the program has put on a signal may throw, and must not end the waits of others.
 */

import { getterOf } from "./intrinsics.ts";

const isAbortedOf = getterOf(AbortSignal.prototype, "aborted");
const reasonOf = getterOf(AbortSignal.prototype, "reason");
const targetOf = getterOf(Event.prototype, "currentTarget");
const { addEventListener, removeEventListener } = EventTarget.prototype;

export interface AbortListener {
  /** Called when the signal is aborted. */
  aborted(reason: unknown): void;
}

/**
 * Whether a value is an AbortSignal of the runtime. An object that only looks like one has no listeners.
 */
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

/** plait's listeners of each signal that has some. */
const listened = new WeakMap<AbortSignal, Set<AbortListener>>();

/** The listener that is added to every signal. */
function tellListeners(event: Event): void {
  const signal = targetOf.call(event) as AbortSignal;
  // The program can dispatch an event of this name itself.
  if (!isAborted(signal)) return;
  for (const listener of listened.get(signal) ?? []) listener.aborted(abortReason(signal));
}

/** Calls `listener` when the signal is aborted from now on. */
export function listenToAbort(signal: AbortSignal, listener: AbortListener): void {
  const listeners = listened.get(signal);
  if (listeners !== undefined) {
    listeners.add(listener);
    return;
  }
  listened.set(signal, new Set([listener]));
  addEventListener.call(signal, "abort", tellListeners);
}

export function ignoreAbort(signal: AbortSignal, listener: AbortListener): void {
  const listeners = listened.get(signal);
  if (listeners === undefined) return;
  listeners.delete(listener);
  if (listeners.size > 0) return;
  listened.delete(signal);
  removeEventListener.call(signal, "abort", tellListeners);
}
