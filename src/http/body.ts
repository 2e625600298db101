/** The bodies of requests: what is sent, how it is framed, and the sending of it. */

import { type Stats, statSync } from "node:fs";
import { bytesOf, type WriteData } from "../net/buffers.ts";
import type { Socket } from "../net/socket.ts";
import { waitFor } from "../runtime/wait_for.ts";
import { checkedInteger, ownOptions, rangeMistake, typeMistake } from "../values/checks.ts";
import { SocketError } from "../values/errors.ts";
import { byteLengthOf, isBuffer } from "../values/views.ts";

/** Text (sent as UTF-8), bytes, a form, a file, or chunks of text and bytes that come one after another. */
export type BodyData =
  | string
  | ArrayBufferView
  | ArrayBufferLike
  | URLSearchParams
  | Bun.BunFile
  | StreamData;

/** Text and bytes of a body that is sent in chunks. */
export type StreamData = ReadableStream<WriteData> | AsyncIterable<WriteData>;

/** The body of a request: one of `body`, `json` and `file`. Without them it has none. */
export interface BodyOptions {
  body?: BodyData | undefined;
  /** A value that is sent as JSON. */
  json?: unknown;
  /** The path of a file. */
  file?: string | undefined;
  /** The number of bytes of a stream, which is sent in chunks (RFC 9112, section 7.1) if it is not given. */
  length?: number | undefined;
}

const bodyOptions: ReadonlySet<string> = new Set(["body", "json", "file", "length"]);

/** Up to so many bytes a body is copied behind its head, so that both leave as one buffer. */
export const mostJoined = 16_384;

const encoder = new TextEncoder();

/** A body, which is sent behind the head of its request. */
export abstract class Body {
  /** Its bytes; undefined if that is not known before they are sent, so that they are sent in chunks. */
  readonly length: number | undefined;
  /** The Content-Type, if the request has none. */
  readonly contentType: string | undefined;
  /** Whether it can be sent again, as after a redirect. */
  readonly isRepeatable: boolean;

  constructor(length: number | undefined, contentType: string | undefined, isRepeatable: boolean) {
    this.length = length;
    this.contentType = contentType;
    this.isRepeatable = isRepeatable;
  }

  /**
   * The same body with another length: that of a Content-Length which the caller has given.
   *
   * @throws {TypeError} if its length is another one
   */
  withLength(length: number): Body {
    if (length !== this.length) {
      throw typeMistake(`Content-Length is ${length}, but the body has ${this.length} bytes`);
    }
    return this;
  }

  /**
   * Sends the head, if it is given, and then the body. Nothing else may be sent on the socket meanwhile. After
   * a failure the connection is of no use: the peer may have a part of the request.
   *
   * @returns the bytes that were sent, the head's and those of the framing included
   * @throws {SocketError} {TimeoutError} {CancelledError} as `Socket.write`
   * @throws {TypeError} {RangeError} for a body that is not as long as it was to be, or has a chunk that is
   *   neither text nor bytes, and for a second sending of one that cannot be repeated
   * @throws what the caller's stream fails with
   */
  abstract send(socket: Socket, head: Uint8Array | undefined, deadline?: number): Promise<number>;
}

/** A body that is in memory. */
export class BytesBody extends Body {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, contentType: string | undefined) {
    super(byteLengthOf(bytes), contentType, true);
    this.bytes = bytes;
  }

  async send(socket: Socket, head: Uint8Array | undefined, deadline?: number): Promise<number> {
    const { bytes } = this;
    if (byteLengthOf(bytes) !== this.length) {
      throw typeMistake(`the body had ${this.length} bytes, and has ${byteLengthOf(bytes)} now`);
    }
    if (head === undefined) return await socket.write(bytes, deadline);
    if (head.length + bytes.length > mostJoined) return await socket.write([head, bytes], deadline);
    const joined = new Uint8Array(head.length + bytes.length);
    joined.set(head);
    joined.set(bytes, head.length);
    return await socket.write(joined, deadline);
  }
}

/** A regular file, with the size that it had when the body was made. */
class FileBody extends Body {
  readonly #path: string;

  constructor(path: string, size: number, contentType: string) {
    super(size, contentType, true);
    this.#path = path;
  }

  async send(socket: Socket, head: Uint8Array | undefined, deadline?: number): Promise<number> {
    let sent = head === undefined ? 0 : await socket.write(head, deadline);
    const { length } = this;
    const count = await socket.sendFile(this.#path, { length, deadline });
    if (count !== length) {
      throw rangeMistake(`${this.#path} had ${length} bytes, and has ${count} now`);
    }
    sent += count;
    return sent;
  }
}

/** Chunks that come one after another, once. */
class StreamBody extends Body {
  readonly #data: StreamData;
  #isUsed = false;

  constructor(data: StreamData, length: number | undefined) {
    super(length, undefined, false);
    this.#data = data;
  }

  override withLength(length: number): Body {
    if (this.length !== undefined) return super.withLength(length);
    return new StreamBody(this.#data, length);
  }

  async send(socket: Socket, head: Uint8Array | undefined, deadline?: number): Promise<number> {
    if (this.#isUsed) throw typeMistake("a stream cannot be sent again as a body");
    this.#isUsed = true;
    const source = sourceOf(this.#data);
    let hasEnded = false;
    try {
      let sent = head === undefined ? 0 : await socket.write(head, deadline);
      let left = this.length;
      for (;;) {
        const { done, value } = await waitFor(source.next(), deadline);
        if (done) break;
        const bytes = chunkOf(value as WriteData);
        const length = byteLengthOf(bytes);
        // A chunk without data would end the body.
        if (length === 0) continue;
        if (left === undefined) {
          const size = `${length.toString(16)}\r\n`;
          sent += await socket.write([size, bytes, "\r\n"], deadline);
          continue;
        }
        left -= length;
        if (left < 0) throw rangeMistake(`the stream is longer than ${this.length} bytes`);
        sent += await socket.write(bytes, deadline);
      }
      hasEnded = true;
      if (left === undefined) return sent + (await socket.write("0\r\n\r\n", deadline));
      if (left > 0) throw rangeMistake(`the stream is ${left} bytes shorter than ${this.length}`);
      return sent;
    } finally {
      if (!hasEnded) end(source);
    }
  }
}

/** Where the chunks of a stream come from. */
interface Source {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value?: WriteData | undefined }>;
  /** Ends it early. */
  end(): unknown;
}

function sourceOf(data: StreamData): Source {
  if (data instanceof ReadableStream) {
    // Its iterator would wait for the chunk before it ends.
    const reader = data.getReader();
    return { next: () => reader.read(), end: () => reader.cancel() };
  }
  const iterator = data[Symbol.asyncIterator]();
  return { next: () => iterator.next(), end: () => iterator.return?.() };
}

/** Ends a source early. It may be waiting for something itself, so its end is not waited for. */
function end(source: Source): void {
  const ending = async (): Promise<void> => {
    await source.end();
  };
  ending().catch(() => {});
}

function chunkOf(value: WriteData): Uint8Array {
  if (typeof value === "string") return encoder.encode(value);
  if (ArrayBuffer.isView(value) || isBuffer(value)) return bytesOf(value);
  throw typeMistake("a chunk of a body is text or bytes");
}

/**
 * The body of a request. A file is looked at now, and opened each time it is sent.
 *
 * @returns undefined without a body
 * @throws {TypeError} {RangeError} for options that are wrong, and for a value that is no JSON
 * @throws {SocketError} when the file cannot be found
 */
export function bodyOf(given: BodyOptions): Body | undefined {
  const options = ownOptions(given, bodyOptions, "a body");
  const { body, file, length } = options;
  const count = ["body", "json", "file"].filter((name) => name in options).length;
  if (count > 1) throw typeMistake("a request has one of body, json and file");
  if (length !== undefined) checkedInteger(length, "length", 0, Number.MAX_SAFE_INTEGER);
  const made =
    file !== undefined ? fileOf(file) : "json" in options ? jsonOf(options.json) : dataOf(body);
  if (length === undefined) return made;
  if (made === undefined) throw typeMistake("length has no meaning without a body");
  return made.withLength(length);
}

function dataOf(data: BodyData | undefined): Body | undefined {
  if (data === undefined) return undefined;
  if (typeof data === "string") {
    return new BytesBody(encoder.encode(data), "text/plain;charset=utf-8");
  }
  if (ArrayBuffer.isView(data) || isBuffer(data)) return new BytesBody(bytesOf(data), undefined);
  if (data instanceof URLSearchParams) {
    const type = "application/x-www-form-urlencoded;charset=utf-8";
    return new BytesBody(encoder.encode(data.toString()), type);
  }
  if (data instanceof Blob) return blobOf(data);
  if (
    typeof (data as Partial<AsyncIterable<WriteData>> | null)?.[Symbol.asyncIterator] === "function"
  ) {
    return new StreamBody(data as StreamData, undefined);
  }
  throw typeMistake(
    "body is text, bytes, URLSearchParams, a Bun.file, or a stream of text and bytes",
  );
}

function jsonOf(value: unknown): Body {
  const text = JSON.stringify(value);
  if (text === undefined) throw typeMistake(`json is no value of JSON: ${typeof value}`);
  return new BytesBody(encoder.encode(text), "application/json");
}

function blobOf(blob: Blob): Body {
  const { name, size } = blob as Bun.BunFile;
  // The data of other Blobs comes by Bun's loop, which may not run.
  if (typeof name !== "string" || blob instanceof File) {
    throw typeMistake("of Blobs only a Bun.file with a path is a body: pass the others' bytes");
  }
  const body = fileOf(name);
  if (body.length !== size) throw typeMistake("a slice of a Bun.file is no body: pass its bytes");
  return body;
}

function fileOf(path: string): Body {
  if (typeof path !== "string") throw typeMistake("file is a path");
  let status: Stats;
  try {
    status = statSync(path);
  } catch (error) {
    const { code = "EIO", syscall } = error as NodeJS.ErrnoException;
    throw new SocketError(code, { syscall, address: path, cause: error });
  }
  if (!status.isFile()) throw typeMistake(`${path} is no regular file`);
  return new FileBody(path, status.size, Bun.file(path).type);
}
