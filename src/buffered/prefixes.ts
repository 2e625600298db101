/** How the length of a message stands before it. */

import { checkedInteger, checkedSwitch, ownOptions } from "../values/checks.ts";
import { checkedLimit } from "./limits.ts";
import { type Decode, lengthDecoder, mostLengthBytes } from "./numbers.ts";

/** Options of `readPrefixed`. */
export interface PrefixedOptions {
  /** Whether the least significant byte of the prefix comes first. */
  littleEndian?: boolean | undefined;
  /** The most bytes of this message; the reader's `maxLength` if not given. */
  maxLength?: number | undefined;
}

const prefixedOptions: ReadonlySet<string> = new Set(["littleEndian", "maxLength"]);

export interface Prefix {
  readonly lengthBytes: number;
  readonly decode: Decode<number>;
  /** The most bytes of the message. */
  readonly maxLength: number;
}

/** @throws {TypeError} {RangeError} for a number of bytes that is not 1 to 6, and for wrong options */
export function prefixOf(
  lengthBytes: number,
  options: PrefixedOptions | undefined,
  maxLength: number,
): Prefix {
  checkLengthBytes(lengthBytes);
  if (options === undefined) {
    return { lengthBytes, decode: lengthDecoder(lengthBytes, false), maxLength };
  }
  const own = ownOptions(options, prefixedOptions, "readPrefixed");
  return {
    lengthBytes,
    decode: lengthDecoder(lengthBytes, checkedSwitch(own.littleEndian, "littleEndian", false)),
    maxLength: own.maxLength === undefined ? maxLength : checkedLimit(own.maxLength),
  };
}

export function checkLengthBytes(lengthBytes: number): void {
  checkedInteger(lengthBytes, "lengthBytes", 1, mostLengthBytes);
}
