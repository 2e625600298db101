/**
 * Lines that are decoded together. One string for many short lines, which is then split, takes a third of
 * the time that a string for each takes. A line that the program keeps holds the others of its batch: so
 * a batch is small.
 */

import type { Unread } from "./unread.ts";

/** No batch is longer, and so no line of one. */
export const mostBatchBytes = 4096;
/** A batch is as long as so many lines of the first one's length. */
const linesInBatch = 32;
const leastLinesInBatch = 8;
const noLines: string[] = [];

export class DecodedLines {
  #lines = noLines;
  #next = 0;
  /** The position in the stream where the next line begins. */
  #position = -1;
  /** The position behind the last lines that were looked at. */
  #lineEnd = -1;
  /** The position behind lines that are not ASCII. */
  #nextTry = 0;

  /**
   * The line at the start of the unread bytes without its newline, if it is decoded. The caller consumes
   * it.
   */
  take(unread: Unread, newline: string): string | undefined {
    if (this.#position < 0) return undefined;
    if (this.#position !== unread.position) {
      // Another call has consumed what these lines were decoded from.
      this.#drop();
      return undefined;
    }
    const line = this.#lines[this.#next++]!;
    this.#position += line.length + newline.length;
    if (this.#next === this.#lines.length) this.#drop();
    return line;
  }

  #drop(): void {
    this.#lines = noLines;
    this.#position = -1;
  }

  /**
   * Decodes the lines at the start if there are many and all are ASCII, where a character is a byte.
   * `length` is that of the first one with its newline. Returns whether that one can be taken. Where
   * something else stands between two lines, as in Redis's protocol, a batch would be in vain.
   */
  decode(unread: Unread, length: number, newline: string): boolean {
    const { position } = unread;
    const followsLine = position === this.#lineEnd;
    this.#lineEnd = position + length;
    const bytes = Math.min(linesInBatch * length, mostBatchBytes);
    const isWorthIt = bytes >= leastLinesInBatch * length && bytes <= unread.length;
    if (!followsLine || !isWorthIt || position < this.#nextTry) return false;
    const end = unread.lastIndexOf(newline, bytes - newline.length);
    const text = unread.text(end, false);
    // A byte that is invalid by itself becomes one character too.
    if (text.length !== end || text.includes("\ufffd")) {
      this.#nextTry = position + end;
      return false;
    }
    this.#lineEnd = position + end + newline.length;
    this.#lines = text.split(newline);
    this.#next = 0;
    this.#position = position;
    return true;
  }
}
