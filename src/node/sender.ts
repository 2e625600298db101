/** The sending half of a stream that is connected: one write at a time, and then the end. */

import { SendBytes, sendNow } from "../net/sending.ts";
import type { Socket as PlaitSocket } from "../net/socket.ts";
import { outsideOfFibers } from "../runtime/wait.ts";
import { byteLengthOf, bytesOfView } from "../values/views.ts";
import type { Activity } from "./activity.ts";
import { callBack, transferError } from "./errors.ts";

export type Callback = (error?: Error | null) => void;

/** What a stream is given to write. Strings are encoded by plait. */
export type Chunk = Uint8Array | string;

/** A chunk as a stream buffers it. */
export interface BufferedChunk {
  readonly chunk: Chunk;
  readonly encoding: BufferEncoding;
}

/** Codes of `shutdown` when there is no connection any more. */
const resets: ReadonlySet<string | undefined> = new Set(["ENOTCONN", "EPIPE", "ECONNRESET"]);

export class Sender {
  readonly #plait: PlaitSocket;
  readonly #activity: Activity;
  /** The data of a write that waits, and the number of bytes sent before it. */
  #waiting: Chunk | Chunk[] | undefined = undefined;
  #sentBefore = 0;
  #sentAtExpiry = -1;
  /** Whether the stream was destroyed, or has given the socket up. */
  isOver = false;

  constructor(plait: PlaitSocket, activity: Activity) {
    this.#plait = plait;
    this.#activity = activity;
  }

  /** Most writes end here at once, and make neither a wait nor a promise. */
  write(data: Chunk | Chunk[], callback: Callback): void {
    this.#activity.note();
    if (!(data instanceof Uint8Array)) {
      this.#follow(data, () => this.#plait.write(data), callback);
      return;
    }
    let count: number;
    try {
      count = sendNow(this.#plait, data);
    } catch (error) {
      callback(transferError(error, "write"));
      return;
    }
    if (count === 0) this.#follow(data, () => this.#plait.write(data), callback);
    else if (count === byteLengthOf(data)) callback();
    else {
      const rest = bytesOfView(data).subarray(count);
      const transfer = SendBytes.of(this.#plait, rest, rest.length).followsPart();
      this.#follow(rest, () => this.#plait.sendRest(transfer), callback);
    }
  }

  #follow(data: Chunk | Chunk[], send: () => Promise<number>, callback: Callback): void {
    const before = this.#plait.bytesWritten;
    const sent = outsideOfFibers(send);
    if (Bun.peek.status(sent) === "fulfilled") {
      callback();
      return;
    }
    this.#waiting = data;
    this.#sentBefore = before;
    this.#activity.begin();
    const end = (error?: unknown): void => {
      this.#activity.finish();
      this.#waiting = undefined;
      this.#activity.note();
      // As with Node: an error would become that of a stream which was destroyed without one.
      const hasFailed = error !== undefined && !this.isOver;
      callBack(callback, hasFailed ? transferError(error, "write") : undefined);
    };
    sent.then(() => end(), end);
  }

  /** Ends this side of the connection. */
  end(callback: Callback): void {
    this.#activity.begin();
    const end = (error?: unknown): void => {
      this.#activity.finish();
      // A connection that the peer has reset is over. Who reads learns of it.
      const isOver = this.isOver || resets.has((error as { code?: string })?.code);
      const hasFailed = error !== undefined && !isOver;
      callBack(callback, hasFailed ? transferError(error, "shutdown") : null);
    };
    outsideOfFibers(() => this.#plait.shutdown()).then(() => end(), end);
  }

  /** Bytes that plait has sent, and the rest of the write that waits. */
  get bytesAccepted(): number {
    const sent = this.#plait.bytesWritten;
    if (this.#waiting === undefined) return sent;
    return Math.max(sent, this.#sentBefore + lengthOf(this.#waiting));
  }

  /** Whether the write that waits has sent something since the last call. */
  hasGoneOn(): boolean {
    const sent = this.#plait.bytesWritten;
    if (this.#waiting === undefined) return false;
    if (sent === this.#sentAtExpiry || sent === this.#sentBefore) return false;
    this.#sentAtExpiry = sent;
    return true;
  }
}

/** A chunk as plait takes it. It sends strings as UTF-8. */
export function encoded(chunk: Chunk, encoding: BufferEncoding): Chunk {
  if (typeof chunk !== "string" || encoding === "utf8" || encoding === "utf-8") return chunk;
  return Buffer.from(chunk, encoding);
}

/** The number of bytes that plait sends for it. */
export function lengthOf(data: Chunk | readonly Chunk[]): number {
  if (typeof data === "string") return Buffer.byteLength(data);
  if (data instanceof Uint8Array) return data.byteLength;
  return data.reduce((sum, part) => sum + lengthOf(part), 0);
}

/** The number of bytes that chunks have in their encodings. */
export function lengthOfAll(chunks: readonly BufferedChunk[]): number {
  let count = 0;
  for (const { chunk, encoding } of chunks) {
    count += typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : chunk.byteLength;
  }
  return count;
}
