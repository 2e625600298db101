/**
 * The operations on a socket: receiving and ending the stream; sending.ts has the writes. Each attempt passes
 * the buffer to the core anew; the core keeps no pointer in between.
 */

import { Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import type { Wait } from "../runtime/wait.ts";
import { typeMistake } from "../values/checks.ts";
import type { ErrorDetails } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import { blocked, Lane, type Transfer, type unfinished } from "./lane.ts";
import { callDetails, socketFailure } from "./socket_failures.ts";
import { noStream, type Stream } from "./stream.ts";

/** The most bytes that `next` receives. */
const chunkBytes = 65_536;

/** `next` receives here before it knows the length; it returns a copy. */
const chunkScratch = new Uint8Array(chunkBytes);

const noBytes = new Uint8Array(0);

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
  socket: Stream;
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
  #buffer: Uint8Array;

  private constructor(socket: Stream, buffer: Uint8Array) {
    super(socket);
    this.#buffer = buffer;
  }

  /** Reuses the last one that has succeeded. */
  static of(socket: Stream, buffer: Uint8Array): Read {
    const read = spareRead;
    if (read === undefined) return new Read(socket, buffer);
    spareRead = undefined;
    read.socket = socket;
    read.#buffer = buffer;
    return read;
  }

  get syscall(): string {
    return "read";
  }

  attempt(isLast: boolean): number | typeof blocked {
    return receive(this.socket, this.#buffer, isLast);
  }

  release(): void {
    this.socket = noStream;
    this.#buffer = noBytes;
    spareRead = this;
  }
}

let spareRead: Read | undefined;

/**
 * The operations that wait to receive. The lane itself is the operation of `next`, which has no state of its
 * own and holds no buffer while it waits: so an idle connection takes less memory.
 */
abstract class ReceivingLane extends Lane implements Transfer<Uint8Array<ArrayBuffer> | null> {
  protected abstract readonly socket: Stream;

  get syscall(): string {
    return "read";
  }

  get isExternal(): true {
    return true;
  }

  details(): ErrorDetails {
    return callDetails(this.socket, this.syscall);
  }

  attempt(isLast: boolean): Uint8Array<ArrayBuffer> | null | typeof blocked {
    return receiveChunk(this.socket, isLast);
  }

  /** A deadline of `next` has passed. */
  woken(wait: Wait<unknown>): void {
    this.expire(wait);
  }
}

/** A class of its own, without getters: the engine would make each object larger for the getters of its class. */
export class ReadLane extends ReceivingLane {
  protected override readonly socket: Stream;

  constructor(socket: Stream) {
    super();
    this.socket = socket;
  }
}

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
