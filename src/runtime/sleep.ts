/** Suspending for a time, or for a turn. */

import { Status } from "../core/abi.ts";
import { rangeMistake, typeMistake } from "../values/checks.ts";
import { after, checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import { type Call, nextTurn, type Operation, refusal, Wait } from "./wait.ts";

const sleeping: Operation = {
  syscall: "sleep",
  isExternal: true,
  woken(wait, status) {
    if (status === Status.timedOut) wait.succeed(undefined);
    else wait.interrupt(status);
  },
};

const yielding: Call = { syscall: "yield" };

/**
 * Suspends the fiber for so many milliseconds.
 *
 * @throws {RangeError} for NaN and negative numbers
 */
export function sleep(milliseconds: number): Promise<void> {
  if (typeof milliseconds !== "number") {
    return Promise.reject(typeMistake("sleep takes a number of milliseconds"));
  }
  if (!(milliseconds >= 0)) {
    return Promise.reject(rangeMistake(`sleep takes 0 or more milliseconds, not ${milliseconds}`));
  }
  return pause(after(milliseconds));
}

/** Suspends the fiber until a point in time. One that has passed is like `yieldNow`; 0 never passes. */
export function sleepUntil(deadline: number): Promise<void> {
  try {
    return pause(checkedDeadline(deadline));
  } catch (error) {
    return Promise.reject(error);
  }
}

function pause(deadline: Deadline): Promise<void> {
  return refused(sleeping) ?? new Wait<void>(sleeping).begin(deadline);
}

/** Lets all other work that is ready run first: other fibers, and Bun's own events. */
export function yieldNow(): Promise<void> {
  return refused(yielding) ?? nextTurn(undefined, yielding.syscall);
}

/** Only a cancellation is a reason: with a deadline that has passed both wait for the next turn. */
function refused(call: Call): Promise<never> | undefined {
  const error = refusal(call, never);
  return error && Promise.reject(error);
}
