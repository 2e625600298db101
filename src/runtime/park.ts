/** Suspending a fiber until another one resumes it: the base of synchronization primitives. */

import { current, type Fiber } from "./fiber.ts";
import { admission, type Operation, Wait } from "./wait.ts";

/** The wait of a fiber until `unpark`. */
const parking: Operation = { syscall: "park" };

function isPark(wait: Wait<unknown>): boolean {
  return wait.operation === parking && wait.isOpen;
}

/** The open park of a fiber. */
function parkOf({ waits }: Fiber): Wait<unknown> | undefined {
  if (waits instanceof Set) return [...waits].find(isPark);
  return waits !== undefined && isPark(waits) ? waits : undefined;
}

/**
 * Suspends the running fiber until another one calls `unpark` for it, and returns the value passed to
 * `unpark`. It is the base of synchronization primitives. They must call `unpark` only while this very
 * park waits: a later call ends the fiber's next park.
 *
 * @throws {TimeoutError} when the deadline passes first
 * @throws {CancelledError} when the fiber is cancelled
 * @throws {Error} outside of a fiber, and in a fiber that is parked already
 */
export function park<T = void>(deadline?: number): Promise<T> {
  const fiber = current();
  if (fiber === undefined) return Promise.reject(new Error("park() works only inside a fiber"));
  if (parkOf(fiber) !== undefined) return Promise.reject(new Error("this fiber is parked already"));
  const until = admission(parking, deadline);
  if (typeof until !== "number") return Promise.reject(until);
  return new Wait<T>(parking).begin(until);
}

/**
 * Ends the park of a fiber, which goes on with `value`. `unpark<T>` is the counterpart of `park<T>`.
 *
 * @returns false when the fiber is not parked; then the value is lost
 */
export function unpark<T = unknown>(fiber: Fiber, value?: T): boolean {
  const wait = parkOf(fiber);
  if (wait === undefined) return false;
  wait.finish(value);
  return true;
}
