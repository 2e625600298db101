/** The limits of a reader: how many bytes a unit may have. */

import { checkedInteger, rangeMistake } from "../values/checks.ts";
import { MessageTooLongError } from "../values/errors.ts";

/** The most bytes of a typed array. */
const mostBytes = 0xffff_ffff;

export function checkedCount(count: number): number {
  return checkedInteger(count, "a number of bytes", 0, mostBytes);
}

/** @throws {RangeError} also for NaN, which is not a limit either */
export function checkedLimit(maxLength: number): number {
  if (Number.isNaN(maxLength)) throw rangeMistake("maxLength is between 1 and 4294967295, not NaN");
  return checkedInteger(maxLength, "maxLength", 1, mostBytes);
}

export function tooLong(maxLength: number): MessageTooLongError {
  return new MessageTooLongError("read", maxLength);
}
