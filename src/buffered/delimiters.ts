/** What ends a unit: one byte, or several. */

import { rangeMistake, typeMistake } from "../values/checks.ts";
import { bytesOfView } from "../values/views.ts";

/** A byte, or several of them that do not change. */
export type Delimiter = number | Uint8Array;

export const lf = 10;
export const cr = 13;
export const crlf = new Uint8Array([cr, lf]);
const encoder = new TextEncoder();

/** The delimiters that a program has given to a reader. */
export class Delimiters {
  /** The last one of several bytes. For the same object a search goes on where it stopped. */
  #last: Uint8Array = crlf;

  /** @throws {TypeError} for anything but text and bytes, {RangeError} for a delimiter of length 0 */
  of(delimiter: string | Uint8Array): Delimiter {
    if (typeof delimiter !== "string" && !(delimiter instanceof Uint8Array)) {
      throw typeMistake("a delimiter is a string or a Uint8Array");
    }
    const bytes =
      typeof delimiter === "string" ? encoder.encode(delimiter) : bytesOfView(delimiter);
    if (bytes.length === 0) throw rangeMistake("a delimiter has at least one byte");
    if (bytes.length === 1) return bytes[0]!;
    if (!isEqual(bytes, this.#last)) this.#last = bytes.slice();
    return this.#last;
  }
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

export function sizeOf(delimiter: Delimiter): number {
  return typeof delimiter === "number" ? 1 : delimiter.length;
}

/** How many bytes at the end may be the start of a delimiter. Its rest has not come then. */
export function partAtEnd(bytes: Uint8Array, delimiter: Delimiter): number {
  if (typeof delimiter === "number") return 0;
  const tail = bytes.subarray(Math.max(bytes.length - delimiter.length + 1, 0));
  const first = delimiter[0]!;
  for (let index = tail.indexOf(first); index >= 0; index = tail.indexOf(first, index + 1)) {
    const part = tail.subarray(index);
    if (Buffer.compare(part, delimiter.subarray(0, part.length)) === 0) return part.length;
  }
  return 0;
}
