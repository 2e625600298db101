/**
 * The operations on a socket: receiving, sending, ending the stream. Each attempt passes the buffer to
 * the core anew; the core keeps no pointer in between.
 */

import { Limits, Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import type { Wait } from "../runtime/wait.ts";
import { typeMistake } from "../values/checks.ts";
import type { ErrorDetails } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import type { Parts } from "./buffers.ts";
import { blocked, type Lane, type Transfer, unfinished } from "./lane.ts";
import { callDetails, socketFailure } from "./socket_failures.ts";
import type { Stream } from "./stream.ts";

/** The most bytes that `next` receives. */
const chunkBytes = 65_536;

/** `next` receives here before it knows the length; it returns a copy. */
const chunkScratch = new Uint8Array(chunkBytes);

/** Up to this length an array is filled faster by the core than `slice` makes one. */
const shortChunkBytes = 1024;

/** Receives into a buffer. Returns the number of bytes, 0 at the end of the stream. */
export function receive(
  socket: Stream,
  buffer: Uint8Array,
  isLast: boolean,
): number | typeof blocked {
  const length = byteLengthOf(buffer);
  if (length === 0) throw typeMistake("the buffer was detached while read() waited");
  const count = isLast
    ? core.tryReceive(socket.handle, buffer, length)
    : core.receive(socket.handle, buffer, length);
  if (count >= 0) return socket.received(count);
  if (-count === Status.wouldBlock) return blocked;
  throw socketFailure(socket, -count, "read");
}

/** Receives the next chunk, in memory of its own; null at the end of the stream. */
export function receiveChunk(
  socket: Stream,
  isLast: boolean,
): Uint8Array<ArrayBuffer> | null | typeof blocked {
  const count = isLast
    ? core.tryReceive(socket.handle, chunkScratch, chunkBytes)
    : core.receive(socket.handle, chunkScratch, chunkBytes);
  if (count < 0) {
    if (-count === Status.wouldBlock) return blocked;
    throw socketFailure(socket, -count, "read");
  }
  if (socket.received(count) === 0) return null;
  if (count > shortChunkBytes) return chunkScratch.slice(0, count);
  const chunk = new Uint8Array(count);
  core.copy(chunk, chunkScratch, count);
  return chunk;
}

export abstract class SocketTransfer<T> implements Transfer<T> {
  readonly socket: Stream;
  abstract readonly syscall: string;

  constructor(socket: Stream) {
    this.socket = socket;
  }

  get isExternal(): true {
    return true;
  }

  details(): ErrorDetails {
    return callDetails(this.socket, this.syscall);
  }

  abstract attempt(isLast: boolean): T | typeof blocked | typeof unfinished;

  /** Its deadline has passed. */
  woken(wait: Wait<unknown>): void {
    (wait.queue as Lane).expire(wait);
  }
}

/** Receives the available bytes into the caller's buffer. */
export class Read extends SocketTransfer<number> {
  readonly #buffer: Uint8Array;

  constructor(socket: Stream, buffer: Uint8Array) {
    super(socket);
    this.#buffer = buffer;
  }

  get syscall(): string {
    return "read";
  }

  attempt(isLast: boolean): number | typeof blocked {
    return receive(this.socket, this.#buffer, isLast);
  }
}

/** Receives the next chunk, and holds no buffer while it waits. */
export class Next extends SocketTransfer<Uint8Array<ArrayBuffer> | null> {
  get syscall(): string {
    return "read";
  }

  attempt(isLast: boolean): Uint8Array<ArrayBuffer> | null | typeof blocked {
    return receiveChunk(this.socket, isLast);
  }
}

/** Sends until the kernel has taken everything. */
export abstract class Send extends SocketTransfer<number> {
  /** Bytes that the kernel has taken. */
  taken = 0;
  /** Whether the core has begun to send it, so that only the rest may be sent next. */
  #isBegun = false;

  get syscall(): string {
    return "write";
  }

  override details(): ErrorDetails {
    return callDetails(this.socket, this.syscall, this.taken);
  }

  /** The number of bytes still to be sent. */
  protected abstract get remaining(): number;
  /** Sends some of them. Returns their number, or a negated status. */
  protected abstract transfer(): number;

  attempt(): number | typeof blocked | typeof unfinished {
    const start = this.taken;
    while (this.taken - start < Limits.transferBytes) {
      const count = this.transfer();
      if (count < 0) {
        if (-count === Status.wouldBlock) return blocked;
        throw socketFailure(this.socket, -count, this.syscall, this.taken);
      }
      const isWhole = count === this.remaining;
      this.advance(count);
      if (isWhole) return this.taken;
      this.#isBegun = true;
    }
    return unfinished;
  }

  /** Counts a part that an attempt without this object has sent. */
  begun(count: number): void {
    this.advance(count);
    this.#isBegun = true;
  }

  failed(): void {
    if (this.#isBegun) core.breakOff(this.socket.handle);
  }

  protected advance(count: number): void {
    this.taken += count;
    this.socket.sent(count);
  }
}

/** Sends one run of bytes. */
export class SendBytes extends Send {
  readonly #bytes: Uint8Array;
  readonly #length: number;

  constructor(socket: Stream, bytes: Uint8Array, length: number) {
    super(socket);
    this.#bytes = bytes;
    this.#length = length;
  }

  protected override get remaining(): number {
    return this.#length - this.taken;
  }

  protected override transfer(): number {
    // The buffer was detached, or has shrunk, since `write` was called: its rest cannot be sent.
    if (byteLengthOf(this.#bytes) < this.#length) return -Status.EFAULT;
    return core.send(this.socket.handle, this.#bytes, this.taken, this.remaining);
  }
}

/** Sends several buffers, with one system call for as many as it takes. */
export class SendVector extends Send {
  readonly #parts: Parts;
  #remaining = 0;
  /** The first part that was not sent whole, and how much of it was. */
  #index = 0;
  #offset = 0;

  constructor(socket: Stream, parts: Parts) {
    super(socket);
    this.#parts = parts;
    for (const length of parts.lengths) this.#remaining += length;
  }

  protected override get remaining(): number {
    return this.#remaining;
  }

  protected override transfer(): number {
    const { views, lengths } = this.#parts;
    let count = 0;
    let offset = this.#offset;
    for (let index = this.#index; index < views.length && count < Limits.vectorLength; index++) {
      const view = views[index]!;
      const length = lengths[index]!;
      if (byteLengthOf(view) < length) return -Status.EFAULT;
      vector[2 * count] = addressOf(view) + offset;
      vector[2 * count + 1] = length - offset;
      offset = 0;
      count++;
    }
    return core.sendVector(this.socket.handle, vector, count, this.#remaining);
  }

  protected override advance(count: number): void {
    super.advance(count);
    this.#remaining -= count;
    this.#offset += count;
    const { lengths } = this.#parts;
    while (this.#index < lengths.length && this.#offset >= lengths[this.#index]!) {
      this.#offset -= lengths[this.#index]!;
      this.#index++;
    }
  }
}

/** Addresses and lengths for one `sendVector`; filled anew for each. */
const vector = new Float64Array(2 * Limits.vectorLength);

/** Ends the stream after the writes before it. */
export class Shutdown extends SocketTransfer<undefined> {
  get syscall(): string {
    return "shutdown";
  }

  attempt(): undefined | typeof blocked {
    const status = -core.shutdown(this.socket.handle);
    if (status === Status.wouldBlock) return blocked;
    if (status !== Status.ok) throw socketFailure(this.socket, status, this.syscall);
    return undefined;
  }
}
