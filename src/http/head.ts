/**
 * The head of an answer (RFC 9112, sections 2 to 6): the status line and the fields. It is read line by line
 * as it comes, and says how the body is framed. What the RFC forbids is an error: two readers of one stream
 * that repair it in different ways disagree on where the next answer begins.
 */

import { BadAnswerError } from "./bad_answer.ts";
import {
  colon,
  comma,
  cr,
  isBlank,
  isDigit,
  isToken,
  isValue,
  lf,
  space,
  zero,
} from "./characters.ts";

/** No head has begun, or the line behind the last one has not ended. */
export const incomplete = -1;

/** The most digits of a length: those of numbers below 2^53. */
const mostLengthDigits = 15;

export class Head {
  status = 0;
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. */
  minorVersion = 1;
  /** The Content-Length in bytes; -1 without one. */
  contentLength = -1;
  isChunked = false;
  /** Whether the server keeps the connection open behind this answer. */
  keepsAlive = true;
  #closes = false;
  readonly #mostBytes: number;
  /** Where the line begins, and how far it was searched for its end, from the begin of the head. */
  #line = 0;
  #searched = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Prepares for the next head. */
  begin(): void {
    this.status = 0;
    this.contentLength = -1;
    this.isChunked = false;
    this.#closes = false;
    this.#line = 0;
    this.#searched = 0;
  }

  /**
   * Reads the lines that are complete. The head begins at `start`, and what has come ends at `end`.
   *
   * @returns the length of the head, the empty line behind it included; `incomplete` until it is there
   * @throws {BadAnswerError}
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start + this.#searched;
    for (;;) {
      while (at < end && bytes[at] !== lf) at++;
      if (at - start >= this.#mostBytes) {
        throw new BadAnswerError(`the head is longer than ${this.#mostBytes} bytes`);
      }
      if (this.status === 0) checkBegin(bytes, start, at);
      if (at === end) {
        this.#searched = at - start;
        return incomplete;
      }
      const line = start + this.#line;
      if (at === line || bytes[at - 1] !== cr) throw new BadAnswerError("a line ends without CR");
      at++;
      this.#line = at - start;
      if (this.status === 0) this.#readStatus(bytes, line, at - 2);
      else if (line === at - 2) return this.#end(at - start);
      else this.#readField(bytes, line, at - 2);
    }
  }

  #end(length: number): number {
    const { isChunked, contentLength } = this;
    if (isChunked && contentLength >= 0) {
      throw new BadAnswerError("it has both Transfer-Encoding and Content-Length");
    }
    if (isChunked && this.minorVersion === 0) {
      throw new BadAnswerError("HTTP/1.0 has no Transfer-Encoding");
    }
    return length;
  }

  #readStatus(bytes: Uint8Array, start: number, end: number): void {
    const minor = bytes[start + 7]! - 0x30;
    if (end - start < 12 || (minor !== 0 && minor !== 1)) {
      throw new BadAnswerError("the status line is none of HTTP/1.1 or HTTP/1.0");
    }
    let status = 0;
    for (let at = start + 9; at < start + 12; at++) {
      if (!isDigit(bytes[at]!)) throw new BadAnswerError("the status is no number of three digits");
      status = status * 10 + bytes[at]! - 0x30;
    }
    const isSpaced =
      bytes[start + 8] === space && (end === start + 12 || bytes[start + 12] === space);
    if (!isSpaced || status < 100) throw new BadAnswerError("the status line is malformed");
    for (let at = start + 12; at < end; at++) checkValue(bytes[at]!);
    this.status = status;
    this.minorVersion = minor;
    this.keepsAlive = minor === 1;
  }

  #readField(bytes: Uint8Array, start: number, end: number): void {
    if (isBlank(bytes[start]!)) {
      throw new BadAnswerError("a field is folded over two lines");
    }
    let at = start;
    while (at < end && isToken(bytes[at]!)) at++;
    if (at === start || at === end || bytes[at] !== colon) {
      throw new BadAnswerError("the name of a field has another character than a token's");
    }
    const nameLength = at - start;
    let first = at + 1;
    let last = end;
    while (first < last && isBlank(bytes[first]!)) first++;
    while (last > first && isBlank(bytes[last - 1]!)) last--;
    for (at = first; at < last; at++) checkValue(bytes[at]!);
    if (nameLength === 14 && isName(bytes, start, "content-length")) {
      this.#readLength(bytes, first, last);
    } else if (nameLength === 17 && isName(bytes, start, "transfer-encoding")) {
      this.#readCoding(bytes, first, last);
    } else if (nameLength === 10 && isName(bytes, start, "connection")) {
      this.#readConnection(bytes, first, last);
    }
  }

  #readLength(bytes: Uint8Array, start: number, end: number): void {
    if (this.contentLength >= 0) throw new BadAnswerError("it has two of Content-Length");
    let first = start;
    while (first < end - 1 && bytes[first] === zero) first++;
    if (first === end || end - first > mostLengthDigits) {
      throw new BadAnswerError("Content-Length is no number below 10^15");
    }
    let length = 0;
    for (let at = first; at < end; at++) {
      if (!isDigit(bytes[at]!)) throw new BadAnswerError("Content-Length is no decimal number");
      length = length * 10 + bytes[at]! - 0x30;
    }
    this.contentLength = length;
  }

  #readCoding(bytes: Uint8Array, start: number, end: number): void {
    if (this.isChunked) throw new BadAnswerError("it has two of Transfer-Encoding");
    if (end - start !== 7 || !isName(bytes, start, "chunked")) {
      throw new BadAnswerError("its Transfer-Encoding is another one than chunked");
    }
    this.isChunked = true;
  }

  /** The field is a list of options. Only `close` and `keep-alive` have a meaning here. */
  #readConnection(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; ) {
      let until = at;
      while (until < end && bytes[until] !== comma) until++;
      let last = until;
      while (at < last && isBlank(bytes[at]!)) at++;
      while (last > at && isBlank(bytes[last - 1]!)) last--;
      if (last - at === 5 && isName(bytes, at, "close")) {
        this.keepsAlive = false;
        this.#closes = true;
      } else if (last - at === 10 && isName(bytes, at, "keep-alive")) {
        this.keepsAlive = !this.#closes;
      }
      at = until + 1;
    }
  }
}

/** Compares without regard to the case of letters. `name` is in small letters. */
function isName(bytes: Uint8Array, start: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const code = bytes[start + index]!;
    const small = code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
    if (small !== name.charCodeAt(index)) return false;
  }
  return true;
}

function checkValue(code: number): void {
  if (!isValue(code)) {
    throw new BadAnswerError(`the head has the control character 0x${code.toString(16)}`);
  }
}

const protocol = "HTTP/1.";

/** An answer in another protocol may have no line. It is found out at its first bytes. */
function checkBegin(bytes: Uint8Array, start: number, end: number): void {
  // The length of a frame (RFC 9113, section 4.1) begins with a zero.
  if (start < end && bytes[start] === 0) {
    throw new BadAnswerError("it begins as a frame of HTTP/2 does, and only HTTP/1.1 is spoken");
  }
  for (let index = 0; index < protocol.length && start + index < end; index++) {
    if (bytes[start + index] !== protocol.charCodeAt(index)) {
      throw new BadAnswerError("it does not begin with HTTP/1.");
    }
  }
}
