/** An answer to a request. */

import { colon, lf } from "./characters.ts";

const noBytes = new Uint8Array(0);
const decoder = new TextDecoder();
type Slice = (this: Uint8Array, start: number, end: number) => string;
const latin1Slice = (Buffer.prototype as unknown as { latin1Slice: Slice }).latin1Slice;

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
  #fields: Map<string, string[]> | undefined = undefined;

  /** @internal `bytes` has the head and behind it the body, as far as they are kept. */
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

  /** The value of a field, the values of several joined by ", "; undefined if there is none. */
  header(name: string): string | undefined {
    return this.#parsed.get(name.toLowerCase())?.join(", ");
  }

  /** The values of a field, such as Set-Cookie, in their order. */
  headers(name: string): readonly string[] {
    return this.#parsed.get(name.toLowerCase()) ?? [];
  }

  /** The body, as the caller's own. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(this.#headLength);
  }

  /** The body as text: UTF-8, with U+FFFD for what is none. */
  text(): string {
    return decoder.decode(this.bytes());
  }

  /** The body as JSON. */
  json(): unknown {
    return JSON.parse(this.text());
  }

  get #parsed(): Map<string, string[]> {
    this.#fields ??= fieldsOf(this.#bytes, this.#headLength);
    return this.#fields;
  }
}

/** The fields of a head that was checked: the names in small letters, the values as Latin-1 text. */
function fieldsOf(bytes: Uint8Array, length: number): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  let start = bytes.indexOf(lf) + 1;
  while (start < length - 2) {
    const end = bytes.indexOf(lf, start);
    const middle = bytes.indexOf(colon, start);
    const name = latin1Slice.call(bytes, start, middle).toLowerCase();
    const value = latin1Slice.call(bytes, middle + 1, end - 1).trim();
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else values.push(value);
    start = end + 1;
  }
  return fields;
}
