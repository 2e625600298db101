/**
 * Listening to AbortSignals. Removing a listener takes a signal longer the more it has, and one signal may
 * end a whole server's waits: so each has one listener, whoever waits for it.
 */

export interface AbortListener {
  /** The signal was aborted. */
  aborted(signal: AbortSignal): void;
}

class SignalListeners {
  readonly waiting = new Set<AbortListener>();

  handleEvent({ target }: { target: unknown }): void {
    for (const listener of this.waiting) listener.aborted(target as AbortSignal);
  }
}

const listened = new WeakMap<AbortSignal, SignalListeners>();

/** Has a listener told when the signal is aborted, unless that has happened already. */
export function listenToAbort(signal: AbortSignal, listener: AbortListener): void {
  let listeners = listened.get(signal);
  if (listeners === undefined) {
    listeners = new SignalListeners();
    listened.set(signal, listeners);
    signal.addEventListener("abort", listeners);
  }
  listeners.waiting.add(listener);
}

export function ignoreAbort(signal: AbortSignal, listener: AbortListener): void {
  const listeners = listened.get(signal);
  if (listeners === undefined) return;
  listeners.waiting.delete(listener);
  if (listeners.waiting.size > 0) return;
  listened.delete(signal);
  signal.removeEventListener("abort", listeners);
}
