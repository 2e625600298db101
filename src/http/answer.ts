/** An answer to a request. */

import { colon, isBlank, lf } from "./characters.ts";

const noBytes = new Uint8Array(0);
const decoder = new TextDecoder();
type Slice = (this: Uint8Array, start: number, end: number) => string;
const latin1Slice = (Buffer.prototype as unknown as { latin1Slice: Slice }).latin1Slice;

/** The values of each field, by its name in small letters. */
export type Fields = ReadonlyMap<string, readonly string[]>;

/** What is kept of an answer beside its status: nothing, its head, or its body too. */
export type Keep = "status" | "head" | "body";

/** An answer as it was read: nothing in it is parsed before it is asked for. */
export class Answer {
  /** The status code, 200 to 999. */
  readonly status: number;
  /** Bytes of the body, without its framing. */
  readonly bodyLength: number;
  /** Whether the connection stays open for the next request. */
  readonly keepsAlive: boolean;
  readonly #bytes: Uint8Array;
  readonly #headLength: number;
  #fields: Fields | undefined = undefined;
  #decoded: Uint8Array | undefined = undefined;

  /** @internal `bytes` has the head, the body, and the lines of the trailers, as far as they are kept. */
  constructor(
    status: number,
    keepsAlive: boolean,
    bodyLength: number,
    bytes = noBytes,
    headLength = 0,
  ) {
    this.status = status;
    this.keepsAlive = keepsAlive;
    this.bodyLength = bodyLength;
    this.#bytes = bytes;
    this.#headLength = headLength;
  }

  /** The fields of the head: the values of each name, which is in small letters. */
  get fields(): Fields {
    this.#fields ??= fieldsOf(this.#bytes, this.#bytes.indexOf(lf) + 1, this.#headLength - 2);
    return this.#fields;
  }

  /**
   * The fields behind a chunked body (RFC 9110, section 6.5): the values of each name, which is in small
   * letters. They are kept with the body, and are never taken for fields of the head.
   */
  get trailers(): Fields {
    return fieldsOf(this.#bytes, this.#headLength + this.bodyLength, this.#bytes.length);
  }

  /** The value of a field, the values of several joined by ", "; undefined if there is none. */
  header(name: string): string | undefined {
    return this.fields.get(name.toLowerCase())?.join(", ");
  }

  /** The values of a field, such as Set-Cookie, in their order. */
  headers(name: string): readonly string[] {
    return this.fields.get(name.toLowerCase()) ?? [];
  }

  /** @internal Gives it a body without its codings. */
  decodeAs(decoded: Uint8Array): void {
    this.#decoded = decoded;
  }

  /** The body, as the caller's own: without its codings if the request wanted that, and as it came otherwise. */
  bytes(): Uint8Array {
    if (this.#decoded !== undefined) return this.#decoded;
    return this.#bytes.subarray(this.#headLength, this.#headLength + this.bodyLength);
  }

  /** The body as text: UTF-8, with U+FFFD for what is none. */
  text(): string {
    return decoder.decode(this.bytes());
  }

  /** The body as JSON. */
  json(): unknown {
    return JSON.parse(this.text());
  }
}

/** The fields of lines that were checked: the names in small letters, the values as Latin-1 text. */
function fieldsOf(bytes: Uint8Array, first: number, last: number): Fields {
  const fields = new Map<string, string[]>();
  for (let start = first; start < last; ) {
    const end = bytes.indexOf(lf, start);
    const middle = bytes.indexOf(colon, start);
    const name = latin1Slice.call(bytes, start, middle).toLowerCase();
    let from = middle + 1;
    let until = end - 1;
    // `trim` would take bytes above ASCII for spaces.
    while (from < until && isBlank(bytes[from]!)) from++;
    while (until > from && isBlank(bytes[until - 1]!)) until--;
    const value = latin1Slice.call(bytes, from, until);
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else values.push(value);
    start = end + 1;
  }
  return fields;
}
