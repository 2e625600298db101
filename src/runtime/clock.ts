/** The monotonic clock, on which every deadline is a point in time. */

import { core } from "../core/native.ts";
import { rangeMistake, typeMistake } from "../values/checks.ts";

/** The monotonic clock in milliseconds, with a fraction. Only differences have a meaning. */
export function now(): number {
  return core.now();
}

/**
 * The point in time `milliseconds` from now, for any call that takes a deadline.
 *
 * @throws {RangeError} for NaN and negative numbers. `Infinity` gives a deadline that never passes.
 */
export function deadline(milliseconds: number): number {
  if (typeof milliseconds !== "number")
    throw typeMistake("deadline(ms) takes a number of milliseconds");
  if (!(milliseconds >= 0)) {
    throw rangeMistake(`deadline(ms) takes 0 or more milliseconds, not ${milliseconds}`);
  }
  return core.now() + milliseconds;
}
