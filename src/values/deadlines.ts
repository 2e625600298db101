/** Deadlines inside plait: points in time, which the compiler does not let a duration stand for. */

import { core } from "../core/native.ts";
import { rangeMistake, typeMistake } from "./checks.ts";

declare const brand: unique symbol;

/**
 * A point on the monotonic clock in milliseconds, as the core takes it. The public functions take a plain
 * number, and `checkedDeadline` makes a deadline of it.
 */
export type Deadline = number & { readonly [brand]: true };

/** The deadline that never passes. */
export const never = 0 as Deadline;

/** The deadline so many milliseconds after a point in time, which is now if none is given. */
export function after(milliseconds: number, start = core.now()): Deadline {
  return milliseconds === Number.POSITIVE_INFINITY ? never : ((start + milliseconds) as Deadline);
}

export function hasPassed(deadline: Deadline): boolean {
  return deadline !== never && deadline <= core.now();
}

/**
 * A deadline lies at most a minute before plait's first use in the process, in any thread. A
 * smaller number is a duration that was given by mistake. On a machine that was started only
 * minutes ago the clock may be too young to tell the two apart.
 */
const oldestDeadline = core.firstOpened() - 60_000;

/** The deadline of a caller: 0, `Infinity` and undefined never pass. */
export function checkedDeadline(deadline: number | undefined): Deadline {
  if (deadline === undefined || deadline === 0) return never;
  if (typeof deadline !== "number") {
    throw typeMistake(
      "a deadline is a number of milliseconds, as now() and deadline(ms) return it",
    );
  }
  if (!(deadline > 0)) {
    throw rangeMistake(
      `a deadline is a point in time as now() returns it, or 0 for none, not ${deadline}`,
    );
  }
  if (deadline < oldestDeadline) {
    throw rangeMistake(
      `a deadline is a point in time as now() returns it, and ${deadline} is long ago: deadline(${deadline}) is in ${deadline} ms`,
    );
  }
  return deadline === Number.POSITIVE_INFINITY ? never : (deadline as Deadline);
}
