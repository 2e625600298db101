/** `block`: running a fiber to its end under the blocking driver. */

import { typeMistake } from "../values/checks.ts";
import { current, Fiber, nameOf, startFiber } from "./fiber.ts";
import { runUntil } from "./scheduler.ts";

/**
 * Runs a fiber to its end on the calling thread and returns its value: the blocking driver. Other fibers
 * run meanwhile, but Bun's own timers, I/O and signals do not. So `main` can await only plait's waits,
 * `AbortSignal.timeout` never aborts, and listeners of `process.on("SIGINT")` are called afterwards
 * (`signals` works).
 *
 * @throws what `main` throws; {Error} inside a fiber, and when nothing is left that could ever wake
 *   `main`
 */
export function block<T>(main: () => T | PromiseLike<T>): T {
  if (typeof main !== "function") throw typeMistake("block takes a function");
  if (current() !== undefined) {
    throw new Error(
      "block() would stop every fiber of this thread: it cannot be called inside one",
    );
  }
  let outcome: { value: T; hasFailed: false } | { error: unknown; hasFailed: true } | undefined;
  const supervise = async (): Promise<void> => {
    try {
      outcome = { value: await main(), hasFailed: false };
    } catch (error) {
      outcome = { error, hasFailed: true };
    }
  };
  const fiber = new Fiber<void>(nameOf(main) || "main");
  const hasEnded = runUntil(
    () => startFiber(fiber, supervise),
    () => outcome !== undefined,
  );
  if (!hasEnded || outcome === undefined) {
    fiber.cancel();
    throw new Error(
      "block(): nothing is left that could wake a fiber: they wait for each other, or for what needs Bun's event loop",
    );
  }
  if (outcome.hasFailed) throw outcome.error;
  return outcome.value;
}
