/**
 * Streams of HTTP answers at random: most parts as they should be, some as servers and attackers get them
 * wrong, and some bytes changed at the end.
 */

import type { Random } from "./random.ts";

/** A stream of answers, as Latin-1 text. */
export interface AnswerStream {
  readonly text: string;
  /** Whether the answers are to HEAD. */
  readonly isToHead: boolean;
  /** Bytes that come at a time. */
  readonly portion: number;
}

/** Characters that end lines, separate parts, or look like other ones. */
const nasty = '\r\n\0 \t:;,="\\0159afgxXz+-.\x0b\x0c\x7f\x80\x85\xa0\xff_';

const lengths: ((length: number) => string)[] = [
  (length) => `+${length}`,
  (length) => `-${length}`,
  (length) => `0x${length.toString(16)}`,
  (length) => `0${length}`,
  (length) => `000000000000000000${length}`,
  (length) => `${length}, ${length}`,
  (length) => `${length},${length + 1}`,
  (length) => `${length} ${length}`,
  (length) => `${length};`,
  (length) => `${length}.0`,
  (length) => `"${length}"`,
  (length) => `${length}\x0b`,
  (length) => `${length}\x0c`,
  (length) => `${length}\xa0`,
  (length) => `1_0${length}`,
  (length) => `${length}e0`,
  (length) => `${2n ** 64n + BigInt(length)}`,
  () => `${2n ** 63n}`,
  (length) => `${2n ** 53n + BigInt(length)}`,
  (length) => `${2n ** 32n + BigInt(length)}`,
  (length) => `${length + 1}`,
  (length) => `${Math.max(0, length - 1)}`,
  () => "",
  () => "\t",
  () => "chunked",
];

const codings = [
  "Chunked",
  "CHUNKED",
  "chunked ",
  " \tchunked\t",
  "gzip, chunked",
  "chunked, gzip",
  "chunked, chunked",
  "chunked,",
  ",chunked",
  "identity",
  "gzip",
  "xchunked",
  "chunkedx",
  "chunk",
  "chunked;q=1",
  '"chunked"',
  "chunked\x0b",
  "chunked\xa0",
  "\x0bchunked",
  "chu nked",
  "",
];

const sizes: ((size: number) => string)[] = [
  (size) => size.toString(16).toUpperCase(),
  (size) => `00${size.toString(16)}`,
  (size) => `00000000000000000000${size.toString(16)}`,
  (size) => `+${size.toString(16)}`,
  (size) => `-${size.toString(16)}`,
  (size) => `0x${size.toString(16)}`,
  (size) => `${size.toString(16)} `,
  (size) => ` ${size.toString(16)}`,
  (size) => `${size.toString(16)}\t`,
  (size) => `${size.toString(16)};`,
  (size) => `${size.toString(16)};name`,
  (size) => `${size.toString(16)};name=value;other="quoted \\" value"`,
  (size) => `${size.toString(16)} ; name = value`,
  (size) => `${size.toString(16)};name="\r\n"`,
  (size) => `${size.toString(16)};name\n`,
  (size) => `${size.toString(16)};\xe9`,
  (size) => `${size.toString(16)},`,
  (size) => `${size.toString(16)}g`,
  (size) => `1000000000000000${size.toString(16)}`,
  (size) => `ffffffffffffff${size.toString(16)}`,
  (size) => (size + 1).toString(16),
  (size) => Math.max(0, size - 1).toString(16),
  () => "",
];

const ends = ["\n", "\r", "\r\r\n", "\n\r", "\r\n ", " \r\n", "\0\r\n", "\r\n\r\n", ""];
const versions = [
  "HTTP/1.0",
  "HTTP/1.2",
  "HTTP/2.0",
  "HTTP/1.10",
  "HTTP/01.1",
  "http/1.1",
  "HTTP/1",
];
const statuses = [
  "20",
  "2000",
  "099",
  "000",
  "600",
  "999",
  "+20",
  "-20",
  "2x0",
  " 200",
  "101",
  "205",
];
const names = ["A ", "A B", "", "\xc4", "A\0", " A", "\tA", "A\x0b", "(A)", "A\r", "A;", '"A"'];
const values = [
  "",
  "\0",
  "\x01",
  "a\rb",
  "a\nb",
  "a\r\n b",
  "\x7f",
  "\xe0",
  "\xff\xa0",
  "a\tb",
  " a ",
];

export class AnswerGrammar {
  readonly #random: Random;
  /** How often a part is wrong, from 0 to 1. */
  readonly #oddness: number;

  constructor(random: Random, oddness: number) {
    this.#random = random;
    this.#oddness = oddness;
  }

  /** One to three answers behind each other, perhaps with changes at any place, or cut off. */
  stream(): AnswerStream {
    const random = this.#random;
    const isToHead = random.below(8) === 0;
    let text = this.#odd() ? random.pick(["\r\n", "\n", " ", "\0", "\xef\xbb\xbf", "x"]) : "";
    const count = 1 + (random.below(3) === 0 ? 1 + random.below(2) : 0);
    for (let index = 0; index < count; index++) text += this.#answer(isToHead);
    while (this.#odd()) text = this.#changed(text);
    const portion = random.pick([1, 2, 3, 5, 17, 64, 100_000]);
    return { text, isToHead, portion };
  }

  #answer(isToHead: boolean): string {
    let text = "";
    while (this.#random.below(8) === 0) {
      text += this.#head(this.#random.pick(["100", "103", "102"]), this.#fields());
    }
    const status = this.#random.pick(["200", "200", "200", "404", "204", "304", "500"]);
    const fields = this.#fields();
    let body = this.#text(this.#random.below(4) === 0 ? 0 : this.#random.below(40));
    switch (this.#random.below(8)) {
      case 0:
        break;
      case 1:
      case 2:
      case 3:
      case 4:
        this.#putInto(fields, this.#length(body.length));
        if (this.#odd()) this.#putInto(fields, this.#length(body.length + this.#random.below(2)));
        if (this.#odd()) this.#putInto(fields, this.#coding());
        break;
      default:
        this.#putInto(fields, this.#coding());
        if (this.#odd()) this.#putInto(fields, this.#length(body.length));
        if (this.#odd()) this.#putInto(fields, this.#coding());
        body = this.#chunks(body);
    }
    const hasBody = !isToHead && status !== "204" && status !== "304";
    return text + this.#head(status, fields) + (hasBody !== this.#odd() ? body : "");
  }

  #head(status: string, fields: readonly string[]): string {
    const version = this.#odd() ? this.#random.pick(versions) : "HTTP/1.1";
    const code = this.#odd() ? this.#random.pick(statuses) : status;
    const reason = this.#odd() ? this.#random.pick(["", "\0", "\xe9", "a\rb", "\t"]) : "Reason";
    const space = (): string => (this.#odd() ? this.#random.pick(["", "  ", "\t", "\x0b"]) : " ");
    let text = `${version}${space()}${code}${space()}${reason}${this.#end()}`;
    for (const field of fields) text += `${field}${this.#end()}`;
    return text + this.#end();
  }

  #fields(): string[] {
    const fields: string[] = [];
    while (this.#random.below(3) > 0) fields.push(this.#field());
    if (this.#random.below(6) === 0) {
      fields.push(
        `Connection: ${this.#random.pick(["close", "keep-alive", "x, Close", "upgrade"])}`,
      );
    }
    return fields;
  }

  #field(): string {
    const name = this.#odd()
      ? this.#random.pick(names)
      : this.#random.pick(["A", "b-c", "X_y", "Via"]);
    const value = this.#odd()
      ? this.#random.pick(values)
      : this.#random.pick(["1", "a b", "x; y=z"]);
    return `${name}${this.#colon()}${value}`;
  }

  #colon(): string {
    if (!this.#odd()) return ": ";
    return this.#random.pick([":", ":\t", " : ", ": \x0b", ":\r\n ", ":\n", "", "::"]);
  }

  #length(length: number): string {
    const name = this.#odd() ? "content-LENGTH" : "Content-Length";
    return `${name}${this.#colon()}${this.#odd() ? this.#random.pick(lengths)(length) : length}`;
  }

  #coding(): string {
    const name = this.#odd() ? "transfer-ENCODING" : "Transfer-Encoding";
    return `${name}${this.#colon()}${this.#odd() ? this.#random.pick(codings) : "chunked"}`;
  }

  #chunks(body: string): string {
    let text = "";
    for (let start = 0; start < body.length; ) {
      const size = 1 + this.#random.below(body.length - start);
      const written = this.#odd() ? this.#random.pick(sizes)(size) : size.toString(16);
      text += `${written}${this.#end()}${body.slice(start, start + size)}${this.#end()}`;
      start += size;
    }
    text += `${this.#odd() ? this.#random.pick(sizes)(0) : "0"}${this.#end()}`;
    while (this.#random.below(4) === 0) {
      const isFraming = this.#odd();
      text += `${isFraming ? this.#length(body.length) : this.#field()}${this.#end()}`;
    }
    return text + this.#end();
  }

  #end(): string {
    return this.#odd() ? this.#random.pick(ends) : "\r\n";
  }

  /** Data that looks like framing more often than not. */
  #text(length: number): string {
    let text = "";
    while (text.length < length) text += this.#random.pick(["\r\n", "0\r\n\r\n", "abc", "5", "\0"]);
    return text.slice(0, length);
  }

  #changed(text: string): string {
    const at = this.#random.below(text.length + 1);
    switch (this.#random.below(5)) {
      case 0:
        return text.slice(0, at) + this.#random.pick([...nasty]) + text.slice(at + 1);
      case 1:
        return text.slice(0, at) + this.#random.pick([...nasty]) + text.slice(at);
      case 2:
        return text.slice(0, at) + text.slice(at + 1);
      case 3:
        return text.slice(0, at) + text.slice(at, at + 12) + text.slice(at);
      default:
        return text.slice(0, at);
    }
  }

  #putInto(fields: string[], field: string): void {
    fields.splice(this.#random.below(fields.length + 1), 0, field);
  }

  #odd(): boolean {
    return this.#random.fraction() < this.#oddness;
  }
}
