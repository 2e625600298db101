/** Waiting for promises that are not plait's. */

import { checkedDeadline, typeMistake } from "../values/checks.ts";
import { follow, isInstance } from "../values/foreign_values.ts";
import { type Operation, refusal, Wait } from "./wait.ts";

const syscall = "promise";

const following: Operation = { syscall };

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
export async function waitFor<T>(promise: PromiseLike<T>, deadline?: number): Promise<T> {
  if (typeof (promise as PromiseLike<T> | null)?.then !== "function") {
    throw typeMistake("waitFor takes a promise");
  }
  const until = checkedDeadline(deadline);
  const refused = refusal(syscall, until);
  if (refused !== undefined) {
    // What only begins when somebody listens to it is not begun; an error of what has begun is nobody's.
    if (isInstance(promise, Promise)) follow(promise, ignore, ignore);
    throw refused;
  }
  const wait = new Wait<unknown>(following);
  const settled = wait.begin(until) as Promise<T>;
  follow(
    promise,
    (value) => wait.finish(value),
    (error) => wait.finishWithError(error),
  );
  return await settled;
}

function ignore(): void {}
