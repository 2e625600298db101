/**
 * The bytes that a reader has received and not returned yet.
 *
 * Data is received into a portion of 64 KiB. A thread keeps one portion for all its readers. A reader
 * keeps the portion only while much of it is unread. Otherwise the bytes move to a buffer of their own
 * size, so that a reader that waits for the rest of a line holds little more than that line, and one that
 * waits with nothing unread holds no buffer.
 */

import type { Delimiter } from "./delimiters.ts";

/** The source of a portion: one attempt to receive. */
export interface Receiver {
  /** Returns the number of bytes, 0 at the end of the stream, or a negated status. */
  receiveInto(buffer: Uint8Array, offset: number, length: number): number;
}

const portionBytes = 65_536;
/** With less room than this a call would bring too little. */
const leastRoom = 16_384;
/** So much is copied out of a portion, so that the portion is free for another reader. */
const shortBytes = 4096;

const noBytes = new Uint8Array(0);
let sparePortion: Uint8Array<ArrayBuffer> | undefined;

function takePortion(): Uint8Array<ArrayBuffer> {
  const portion = sparePortion ?? new Uint8Array(portionBytes);
  sparePortion = undefined;
  return portion;
}

function giveBack(buffer: Uint8Array<ArrayBuffer>): void {
  if (buffer.length === portionBytes) sparePortion = buffer;
}

type Slice = (this: Uint8Array, start: number, end: number) => string;
type IndexOfText = (this: Uint8Array, text: string, from: number) => number;
type IndexOf = (this: Uint8Array, needle: Uint8Array, from: number) => number;

/** Decodes without an object in between, 60 ns faster than a decoder with a subarray. */
const utf8Slice = (Buffer.prototype as unknown as { utf8Slice: Slice }).utf8Slice;
const indexOfBytes = Buffer.prototype.indexOf as unknown as IndexOf;
const lastIndexOfText = Buffer.prototype.lastIndexOf as unknown as IndexOfText;
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class Unread {
  #buffer: Uint8Array<ArrayBuffer> = noBytes;
  #start = 0;
  #end = 0;
  /** The last delimiter sought, and how many bytes are known not to begin it. */
  #sought: Delimiter = -1;
  #searched = 0;
  /** How many bytes were removed. What is put back does not count, so that no place is the same as another. */
  #position = 0;
  /** The length of the unit at the start, if it is known and not complete. */
  #expected = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** The place of the first byte. It grows with every byte that is removed, and never falls. */
  get position(): number {
    return this.#position;
  }

  at(index: number): number {
    return this.#buffer[this.#start + index]!;
  }

  /** The first bytes, in memory that serves until the next change. */
  view(count: number): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(this.#start, this.#start + count);
  }

  /** The first bytes, as the caller's own. */
  copy(count: number): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(this.#start, this.#start + count);
  }

  /**
   * Removes `count` bytes, and returns those behind the first `skipped`. A buffer that holds nothing else is
   * handed over as it is.
   */
  take(count: number, skipped = 0): Uint8Array<ArrayBuffer> {
    const buffer = this.#buffer;
    if (count !== buffer.length || count === 0) {
      const bytes = buffer.slice(this.#start + skipped, this.#start + count);
      this.skip(count);
      return bytes;
    }
    // The program's memory from here on.
    this.#buffer = noBytes;
    this.skip(count);
    return skipped === 0 ? buffer : buffer.subarray(skipped);
  }

  /** Moves as many bytes as there are and as fit, and returns their number. */
  moveTo(target: Uint8Array): number {
    const count = Math.min(this.length, target.length);
    target.set(this.view(count));
    this.skip(count);
    return count;
  }

  /** The first bytes as text. Invalid UTF-8 becomes U+FFFD, or with `isStrict` throws a TypeError. */
  text(count: number, isStrict: boolean): string {
    if (isStrict) return strictDecoder.decode(this.view(count));
    return utf8Slice.call(this.#buffer, this.#start, this.#start + count);
  }

  /** A number at the start. */
  number<T>(decode: (bytes: Uint8Array, offset: number) => T): T {
    return decode(this.#buffer, this.#start);
  }

  /** The index of a delimiter, or -1. A search goes on where the last one for it has ended. */
  indexOf(delimiter: Delimiter): number {
    if (delimiter !== this.#sought) {
      this.#sought = delimiter;
      this.#searched = 0;
    }
    const from = this.#start + this.#searched;
    const overlap = typeof delimiter === "number" ? 0 : delimiter.length - 1;
    const found = this.#find(delimiter, from);
    // The bytes behind the unread ones are old. One of them does not count.
    const isFound = found >= 0 && found + overlap < this.#end;
    this.#searched = isFound ? found - this.#start : Math.max(this.length - overlap, 0);
    return isFound ? this.#searched : -1;
  }

  #find(delimiter: Delimiter, from: number): number {
    let bytes = this.#buffer;
    // A view costs as much as the search of a few hundred bytes.
    if (bytes.length - this.#end > shortBytes) bytes = bytes.subarray(0, this.#end);
    return typeof delimiter === "number"
      ? bytes.indexOf(delimiter, from)
      : indexOfBytes.call(bytes, delimiter, from);
  }

  /** The index of the last delimiter that begins at `index` or before it. */
  lastIndexOf(delimiter: string, index: number): number {
    return lastIndexOfText.call(this.#buffer, delimiter, this.#start + index) - this.#start;
  }

  /** Removes the first bytes. */
  skip(count: number): void {
    this.#start += count;
    this.#position += count;
    this.#searched = Math.max(this.#searched - count, 0);
    this.#expected = 0;
    if (this.#start === this.#end) this.#reset(noBytes, 0);
  }

  /** Says how many bytes the unit at the start has, so that a large one gets a buffer of its size. */
  expect(count: number): void {
    this.#expected = count > shortBytes ? count : 0;
  }

  /** Receives once, and returns what the receiver has returned. */
  receive(receiver: Receiver): number {
    const { length } = this;
    if (length > leastRoom && !this.#hasRoom) this.#grow();
    if (this.#hasRoom) {
      const count = receiver.receiveInto(this.#buffer, this.#end, this.#buffer.length - this.#end);
      if (count > 0) this.#end += count;
      return count;
    }
    const portion = takePortion();
    // The unread bytes, mostly the beginning of a unit, have room in front.
    const count = receiver.receiveInto(portion, length, portionBytes - length);
    if (count > Math.max(length, shortBytes)) {
      portion.set(this.view(length));
      this.#reset(portion, length + count);
      return count;
    }
    if (count > 0) this.#append(portion.subarray(length, length + count));
    giveBack(portion);
    return count;
  }

  /** Puts bytes back in front of the unread ones. */
  prepend(bytes: Uint8Array): void {
    const buffer = new Uint8Array(bytes.length + this.length);
    buffer.set(bytes);
    buffer.set(this.view(this.length), bytes.length);
    this.#searched = 0;
    this.#reset(buffer, buffer.length);
  }

  /** Moves few bytes out of a large buffer, before the reader waits for more. */
  shrink(): void {
    const { length } = this;
    if (this.#buffer.length <= shortBytes || length * 4 > this.#buffer.length) return;
    this.#reset(this.copy(length), length);
  }

  /** Whether it can receive behind the unread bytes: much, or all that is missing of a unit. */
  get #hasRoom(): boolean {
    const room = this.#buffer.length - this.#end;
    const missing = this.#expected - this.length;
    return room >= leastRoom || (missing > 0 && missing <= room);
  }

  // What moves to another buffer finds at least as much room there. So all moves together are linear in
  // what was received, and a buffer is at most four times as large as what it has held.

  #grow(): void {
    const { length } = this;
    const isNear = this.#expected > length && this.#expected <= 4 * length;
    const buffer = new Uint8Array(isNear ? this.#expected : Math.max(2 * length, portionBytes));
    buffer.set(this.view(length));
    this.#reset(buffer, length);
  }

  #append(bytes: Uint8Array): void {
    const { length } = this;
    if (this.#end + bytes.length > this.#buffer.length) {
      const buffer = new Uint8Array(Math.max(2 * length, length + bytes.length));
      buffer.set(this.view(length));
      this.#reset(buffer, length);
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #reset(buffer: Uint8Array<ArrayBuffer>, length: number): void {
    giveBack(this.#buffer);
    this.#buffer = buffer;
    this.#start = 0;
    this.#end = length;
  }
}
