/**
 * The units of a stream: lines, delimited and prefixed messages, numbers. They are taken from the bytes that
 * were received. Nothing here waits.
 *
 * Each call returns undefined while its unit is not complete. It returns null, or throws, at the end of the
 * stream. A call that throws has consumed nothing.
 */

import { SocketError, UnexpectedEndError } from "../values/errors.ts";
import { DecodedLines, mostBatchBytes } from "./decoded_lines.ts";
import { cr, crlf, type Delimiter, lf, partAtEnd, sizeOf } from "./delimiters.ts";
import { tooLong } from "./limits.ts";
import { type Kind, mostVarintBytes } from "./numbers.ts";
import type { Prefix } from "./prefixes.ts";
import { Unread } from "./unread.ts";

/** What ends a line: `lf` is LF, `crlf` is CR LF, and `any` is either of them. */
export type Newline = "lf" | "crlf" | "any";

/** How a reader was set up. */
export interface UnitRules {
  readonly maxLength: number;
  readonly newline: Newline;
  /** Whether invalid UTF-8 is a TypeError. */
  readonly isStrict: boolean;
}

/** The stream that the bytes come from. */
interface Source {
  /** Whether its end has been received. */
  readonly eof: boolean;
}

/** Lines that are returned together are one text, which lives as long as any of them: so it is short. */
const mostBytesOfLines = 16_384;

export class Units {
  readonly unread = new Unread();
  readonly #source: Source;
  readonly #rules: UnitRules;
  readonly #decoded = new DecodedLines();

  constructor(source: Source, rules: UnitRules) {
    this.#source = source;
    this.#rules = rules;
  }

  get maxLength(): number {
    return this.#rules.maxLength;
  }

  /** A line without its newline. */
  line(): string | null | undefined {
    const { newline, maxLength } = this.#rules;
    const end = newline === "crlf" ? "\r\n" : "\n";
    const decoded = this.#decoded.take(this.unread, end);
    if (decoded !== undefined) return this.#decodedLine(decoded, end.length);
    const index = this.unread.indexOf(newline === "crlf" ? crlf : lf);
    if (index < 0) return this.#incomplete(newline === "lf" ? lf : crlf);
    const hasCr = newline === "any" && index > 0 && this.unread.at(index - 1) === cr;
    const length = hasCr ? index - 1 : index;
    if (length > maxLength) throw tooLong(maxLength);
    const consumed = index + end.length;
    if (maxLength >= mostBatchBytes && this.#decoded.decode(this.unread, consumed, end)) {
      return this.#decodedLine(this.#decoded.take(this.unread, end)!, end.length);
    }
    return this.#text(length, consumed);
  }

  #decodedLine(line: string, newlineBytes: number): string {
    this.unread.skip(line.length + newlineBytes);
    return this.#rules.newline === "any" ? withoutCr(line) : line;
  }

  /** All whole lines that were received, or the next one. */
  lines(): string[] | null | undefined {
    const { newline, maxLength } = this.#rules;
    const end = newline === "crlf" ? "\r\n" : "\n";
    const first = this.unread.indexOf(newline === "crlf" ? crlf : lf);
    // Lines that together have no more than `maxLength` bytes are within the limit.
    const most = Math.min(this.unread.length - end.length, maxLength, mostBytesOfLines);
    if (first < 0 || first > most) return listOf(this.line());
    const last = this.unread.lastIndexOf(end, most);
    const text = this.#validText(last);
    if (text === undefined) return this.#linesBeforeInvalid();
    this.unread.skip(last + end.length);
    const lines = text.split(end);
    if (newline !== "any" || !text.includes("\r")) return lines;
    return lines.map(withoutCr);
  }

  /** One of the next lines is invalid. The error is that line's own, if it is the first. */
  #linesBeforeInvalid(): string[] {
    const lines = [this.line()!];
    try {
      for (;;) lines.push(this.line()!);
    } catch {
      return lines;
    }
  }

  #validText(length: number): string | undefined {
    try {
      return this.unread.text(length, this.#rules.isStrict);
    } catch {
      return undefined;
    }
  }

  /** The bytes before a delimiter, which is consumed too. */
  until(delimiter: Delimiter): Uint8Array<ArrayBuffer> | null | undefined {
    const index = this.unread.indexOf(delimiter);
    if (index < 0) return this.#incomplete(delimiter);
    if (index > this.maxLength) throw tooLong(this.maxLength);
    const bytes = this.unread.copy(index);
    this.unread.skip(index + sizeOf(delimiter));
    return bytes;
  }

  /** The delimiter of a unit has not come. Its first bytes may have. */
  #incomplete(delimiter: Delimiter): null | undefined {
    const { length } = this.unread;
    const { maxLength } = this.#rules;
    if (length > maxLength) {
      const part = partAtEnd(this.unread.view(length), delimiter);
      if (length - part > maxLength) throw tooLong(maxLength);
    }
    if (!this.#source.eof) return undefined;
    if (length === 0) return null;
    throw this.unexpectedEnd();
  }

  bytes(count: number): Uint8Array<ArrayBuffer> | undefined {
    return this.has(count) ? this.unread.take(count) : undefined;
  }

  text(byteLength: number): string | undefined {
    return this.has(byteLength) ? this.#text(byteLength, byteLength) : undefined;
  }

  #text(length: number, consumed: number): string {
    const text = this.unread.text(length, this.#rules.isStrict);
    this.unread.skip(consumed);
    return text;
  }

  /** Bytes that stay unread, in memory that serves until the next change. */
  view(count: number): Uint8Array<ArrayBuffer> | undefined {
    // The memory of an empty buffer serves all readers.
    if (count === 0) return new Uint8Array(0);
    return this.has(count) ? this.unread.view(count) : undefined;
  }

  /** All bytes that were received. */
  chunk(): Uint8Array<ArrayBuffer> | null | undefined {
    const { length } = this.unread;
    if (length > 0) return this.unread.take(length);
    return this.#source.eof ? null : undefined;
  }

  atEnd(): boolean | undefined {
    if (this.unread.length > 0) return false;
    return this.#source.eof ? true : undefined;
  }

  /** A message behind its length. */
  prefixed(prefix: Prefix): Uint8Array<ArrayBuffer> | null | undefined {
    const { lengthBytes, decode, maxLength } = prefix;
    if (this.unread.length === 0 && this.#source.eof) return null;
    if (!this.has(lengthBytes)) return undefined;
    const length = this.unread.number(decode);
    if (length > maxLength) throw tooLong(maxLength);
    if (!this.has(lengthBytes + length)) return undefined;
    return this.unread.take(lengthBytes + length, lengthBytes);
  }

  number<T extends number | bigint>({ size, decode }: Kind<T>): T | undefined {
    if (!this.has(size)) return undefined;
    const value = this.unread.number(decode);
    this.unread.skip(size);
    return value;
  }

  /** An unsigned number of 7 bits a byte, the lowest first (LEB128). */
  varint(): number | undefined {
    let value = 0;
    for (let index = 0, factor = 1; index < mostVarintBytes; index++, factor *= 128) {
      if (!this.has(index + 1)) return undefined;
      const byte = this.unread.at(index);
      value += (byte & 127) * factor;
      if (value > Number.MAX_SAFE_INTEGER) break;
      if (byte >= 128) continue;
      this.unread.skip(index + 1);
      return value;
    }
    throw new SocketError("EOVERFLOW", { syscall: "read", reason: "a varint above 2^53 - 1" });
  }

  /** Whether so many bytes are unread. If not, prepares for them. */
  has(count: number): boolean {
    if (this.unread.length >= count) return true;
    if (this.#source.eof) throw this.unexpectedEnd();
    this.unread.expect(count);
    return false;
  }

  /** The error for a stream that ends within a unit. It has the unread bytes, which stay. */
  unexpectedEnd(): UnexpectedEndError {
    return new UnexpectedEndError("read", this.unread.copy(this.unread.length));
  }
}

function withoutCr(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

function listOf(line: string | null | undefined): string[] | null | undefined {
  return typeof line === "string" ? [line] : line;
}
