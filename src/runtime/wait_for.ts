/** Waiting for promises that are not plait's. */

import { typeMistake } from "../values/checks.ts";
import { checkedDeadline } from "../values/deadlines.ts";
import { follow, isInstance } from "../values/foreign_values.ts";
import { type Operation, refusal, Wait } from "./wait.ts";

const syscall = "promise";

const following: Operation = { syscall };

/**
 * Waits for a promise that is not plait's, such as that of `fetch`. The fiber's cancellation and the
 * deadline end the wait. The work behind the promise goes on, and its result is ignored; `Fiber.signal`
 * ends work that takes a signal. Under `block` nothing of Bun's loop can settle a promise.
 *
 * @throws the error that the promise is rejected with
 * @throws {TimeoutError} when the deadline passes first, or has passed
 * @throws {CancelledError} when the fiber is cancelled
 * @throws {TypeError} for a value that is not a promise
 */
export async function waitFor<T>(promise: PromiseLike<T>, deadline?: number): Promise<T> {
  if (typeof (promise as PromiseLike<T> | null)?.then !== "function") {
    throw typeMistake("waitFor takes a promise");
  }
  const until = checkedDeadline(deadline);
  const refused = refusal(following, until);
  if (refused !== undefined) {
    // A thenable that begins its work in `then` is not started. The error of a promise that goes on is
    // ignored.
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
