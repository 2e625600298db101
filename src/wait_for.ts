/** Waiting for promises that are not plait's. */

import { checkedDeadline, typeMistake } from "./checks.ts";
import { ParkingWait } from "./parking.ts";
import { refusal } from "./wait.ts";

class PromiseWait<T> extends ParkingWait<T> {
  #isForgotten = false;

  override get syscall(): string {
    return "promise";
  }

  override forget(): void {
    this.#isForgotten = true;
  }

  follow(promise: PromiseLike<T>): void {
    Promise.resolve(promise).then(
      (value) => {
        if (!this.#isForgotten) this.finish(value);
      },
      (error: unknown) => {
        if (!this.#isForgotten) this.finish(Promise.reject(error));
      },
    );
  }
}

/**
 * Waits for a promise that is not plait's, such as one of `fetch`, as for anything else: the fiber's
 * cancellation and the deadline end the wait. What the promise stands for goes on, unheard; `Fiber.signal`
 * ends what takes a signal. Under `block` nothing of Bun's loop can fulfil a promise.
 *
 * @throws what the promise is rejected with
 * @throws {TimeoutError} when the deadline passes first, or has passed
 * @throws {CancelledError} when the fiber is cancelled
 * @throws {TypeError} for what is no promise
 */
export function waitFor<T>(promise: PromiseLike<T>, deadline?: number): Promise<T> {
  let until: number;
  try {
    if (typeof (promise as PromiseLike<T> | null)?.then !== "function") {
      throw typeMistake("waitFor takes a promise");
    }
    until = checkedDeadline(deadline);
  } catch (error) {
    return Promise.reject(error);
  }
  const refused = refusal("promise", until);
  const wait = new PromiseWait<T>();
  if (refused !== undefined) wait.forget();
  // Somebody listens in any case: an error that comes too late is nobody's.
  wait.follow(promise);
  return refused === undefined ? wait.startUntil(until) : Promise.reject(refused);
}
