/** A chunked body (RFC 9112, section 7.1): chunks of a length each, and fields behind the last one. */

import { BadAnswerError } from "./bad_answer.ts";
import { cr, hexDigit, isBlank, isToken, isValue, lf, semicolon } from "./characters.ts";

/** The most digits of a chunk's length: those of numbers below 2^48. */
const mostDigits = 12;

type State = "length" | "blanks" | "extension" | "data" | "behind data" | "trailer";

/**
 * Takes the framing out of a chunked body. What it removes beside the data is bounded, for a server could
 * send extensions and trailers for ever.
 */
export class Chunks {
  /** Bytes of data so far. */
  length = 0;
  /** Bytes of the trailers' lines so far. */
  trailersLength = 0;
  /** Bytes of the chunk that are still to come. */
  #left = 0;
  /** Digits of the length without the zeros before them; -1 before the first digit. */
  #digits = -1;
  #state: State = "length";
  /** Whether the last character was CR, behind which only LF may come. */
  #hasCr = false;
  /** Bytes of the trailer's line so far. */
  #lineLength = 0;
  #hasColon = false;
  #isLast = false;
  readonly #mostOverhead: number;
  /** Bytes of extensions and trailers, and zeros before lengths, so far. */
  #overhead = 0;

  constructor(mostOverhead: number) {
    this.#mostOverhead = mostOverhead;
  }

  begin(): void {
    this.length = 0;
    this.trailersLength = 0;
    this.#left = 0;
    this.#digits = -1;
    this.#state = "length";
    this.#hasCr = false;
    this.#isLast = false;
    this.#overhead = 0;
  }

  /** Whether the end was read. */
  get hasEnded(): boolean {
    return this.#state === "length" && this.#isLast;
  }

  /**
   * Reads on from `start`, and moves the data together, so that the body begins at `body` in the same array,
   * and the lines of the trailers behind it. Without that place the data is only counted.
   *
   * @returns where it has stopped: at `end`, or behind the body
   * @throws {BadAnswerError}
   */
  read(bytes: Uint8Array, start: number, end: number, body: number | undefined): number {
    let at = start;
    while (at < end) {
      if (this.#state === "data") {
        const count = Math.min(this.#left, end - at);
        if (body !== undefined) bytes.copyWithin(body + this.length, at, at + count);
        at += count;
        this.length += count;
        this.#left -= count;
        if (this.#left === 0) this.#state = "behind data";
        continue;
      }
      const code = bytes[at++]!;
      if (this.#state === "trailer" && body !== undefined) {
        bytes[body + this.length + this.trailersLength++] = code;
      }
      if (this.#hasCr) {
        if (code !== lf) throw new BadAnswerError("a CR of the chunked body is without LF");
        this.#hasCr = false;
        this.#endLine();
        if (this.hasEnded) {
          // The empty line at the end is none of them.
          if (body !== undefined) this.trailersLength -= 2;
          return at;
        }
      } else if (code === cr) this.#hasCr = true;
      else if (this.#state === "length") this.#readLength(code);
      else this.#readRest(code);
    }
    return at;
  }

  #readLength(code: number): void {
    if (code === semicolon && this.#digits >= 0) {
      this.#state = "extension";
      return;
    }
    if (isBlank(code) && this.#digits >= 0) {
      this.#state = "blanks";
      return;
    }
    const digit = hexDigit(code);
    if (digit < 0) throw noLength();
    if (this.#digits < 0) this.#digits = 0;
    if (this.#left === 0 && digit === 0) this.#countOverhead();
    else if (++this.#digits > mostDigits)
      throw new BadAnswerError("a chunk's length has too many digits");
    this.#left = this.#left * 16 + digit;
  }

  #readRest(code: number): void {
    if (this.#state === "behind data")
      throw new BadAnswerError("a chunk is longer than its length");
    this.#countOverhead();
    if (this.#state === "trailer") this.#readTrailer(code);
    else if (this.#state === "blanks") this.#readBlanks(code);
    else if (!isValue(code))
      throw new BadAnswerError("a chunk's extension has a control character");
  }

  #countOverhead(): void {
    if (++this.#overhead > this.#mostOverhead) {
      throw new BadAnswerError("the chunked body's extensions and trailers are too long");
    }
  }

  /** A recipient must take blanks before an extension (RFC 9112, section 7.1.1), and there alone. */
  #readBlanks(code: number): void {
    if (code === semicolon) this.#state = "extension";
    else if (!isBlank(code)) throw noLength();
  }

  #readTrailer(code: number): void {
    this.#lineLength++;
    if (this.#hasColon) {
      if (!isValue(code)) throw new BadAnswerError("a trailer has a control character");
    } else if (code === 0x3a && this.#lineLength > 1) this.#hasColon = true;
    else if (!isToken(code)) {
      throw new BadAnswerError("the name of a trailer has another character than a token's");
    }
  }

  #endLine(): void {
    switch (this.#state) {
      case "length":
      case "extension":
        if (this.#digits < 0) throw new BadAnswerError("a chunk has no length");
        this.#digits = -1;
        this.#isLast = this.#left === 0;
        this.#state = this.#isLast ? "trailer" : "data";
        break;
      case "blanks":
        throw noLength();
      case "behind data":
        this.#state = "length";
        break;
      default:
        if (this.#lineLength === 0) this.#state = "length";
        else if (!this.#hasColon) throw new BadAnswerError("a trailer has no colon");
    }
    this.#lineLength = 0;
    this.#hasColon = false;
  }
}

function noLength(): BadAnswerError {
  return new BadAnswerError("a chunk's length is no hexadecimal number");
}
