/**
 * The waits of a socket's transfers. Each is tried again, with the buffer as it is then, when the
 * core has granted it the turn; the core keeps no pointer in between.
 */

import { Limits, Shared, Status, WaitKind } from "./abi.ts";
import type { Parts } from "./buffers.ts";
import { typeMistake } from "./checks.ts";
import type { ErrorDetails } from "./errors.ts";
import { addressOf, core, sharedFloat64 } from "./native.ts";
import type { Socket } from "./socket.ts";
import { isTlsStatus, tlsFailure } from "./tls/errors.ts";
import { byteLengthOf } from "./views.ts";
import { isBeingCancelled, Wait } from "./wait.ts";

/** Bytes that `next` receives at the most. */
export const chunkBytes = 65_536;

/** Where `next` receives before it knows how much there is; what it returns is a copy. */
export const chunkScratch = new Uint8Array(chunkBytes);

/** Up to this length an array is filled faster by the core than `slice` makes one. */
const shortChunkBytes = 1024;

abstract class TransferWait<T> extends Wait<T> {
  readonly socket: Socket;
  /** In milliseconds on the monotonic clock; 0 is never. */
  readonly deadline: number;

  constructor(socket: Socket, deadline: number) {
    super();
    this.socket = socket;
    this.deadline = deadline;
  }

  override details(): ErrorDetails {
    const { socket } = this;
    return { syscall: this.syscall, address: socket.remoteAddress, port: socket.remotePort };
  }

  override errorOf(status: number): Error {
    if (!isTlsStatus(status)) return super.errorOf(status);
    return tlsFailure(this.socket.handle, status, this.details());
  }

  /** Parks at the end of the queue, or at its front when the turn is the caller's already. */
  wait(kind: number, keepsTurn: 0 | 1): number {
    return core.wait(this.socket.handle, kind, this.deadline, keepsTurn);
  }
}

abstract class ReceiveWait<T> extends TransferWait<T> {
  override get syscall(): string {
    return "read";
  }

  start(): Promise<T> {
    return this.park(this.wait(WaitKind.readable, 0));
  }

  protected waitOn(): void {
    this.parkAgain(this.wait(WaitKind.readable, 1));
  }
}

/** Waits for data in the caller's buffer. */
export class ReadWait extends ReceiveWait<number> {
  readonly buffer: Uint8Array;

  constructor(socket: Socket, deadline: number, buffer: Uint8Array) {
    super(socket, deadline);
    this.buffer = buffer;
  }

  override wake(status: number): void {
    if (status !== Status.ok) {
      this.fail(this.errorOf(status));
      return;
    }
    const { socket, buffer } = this;
    const length = byteLengthOf(buffer);
    if (length === 0) {
      core.endReceive(socket.handle);
      this.fail(typeMistake("the buffer was detached while read() waited"));
      return;
    }
    const count = core.receive(socket.handle, buffer, 0, length, 1);
    if (count >= 0) this.succeed(socket.received(count));
    else if (-count === Status.wouldBlock) this.waitOn();
    else this.fail(this.errorOf(-count));
  }
}

/** Waits for the next chunk, without a buffer. */
export class NextWait extends ReceiveWait<Uint8Array<ArrayBuffer> | null> {
  override wake(status: number): void {
    if (status !== Status.ok) {
      this.fail(this.errorOf(status));
      return;
    }
    const { socket } = this;
    const count = core.receive(socket.handle, chunkScratch, 0, chunkBytes, 1);
    if (count >= 0) this.succeed(takeChunk(socket, count));
    else if (-count === Status.wouldBlock) this.waitOn();
    else this.fail(this.errorOf(-count));
  }
}

/** What was received to `chunkScratch`, as the caller's own; null at the end of the stream. */
export function takeChunk(socket: Socket, count: number): Uint8Array<ArrayBuffer> | null {
  if (socket.received(count) === 0) return null;
  if (count > shortChunkBytes) return chunkScratch.slice(0, count);
  const chunk = new Uint8Array(count);
  core.copy(chunk, chunkScratch, count);
  return chunk;
}

/** Sends until everything is taken. */
export abstract class SendWait extends TransferWait<number> {
  /** Bytes that the kernel has taken. */
  taken = 0;

  override get syscall(): string {
    return "write";
  }

  override details(): ErrorDetails {
    return { ...super.details(), bytesWritten: this.taken };
  }

  /** Bytes that are still to be sent. */
  protected abstract get remaining(): number;
  /** Sends some of them: their number, or a negated status. */
  protected abstract transfer(granted: 0 | 1): number;

  start(): Promise<number> {
    const count = this.transfer(0);
    if (count !== this.remaining) return this.goOn(count);
    this.advance(count);
    return Promise.resolve(this.taken);
  }

  /** Parks after a first attempt that sent a part: then the turn is its own, or nothing at all. */
  goOn(count: number): Promise<number> {
    if (count < 0 && -count !== Status.wouldBlock) return Promise.reject(this.errorOf(-count));
    this.keep();
    if (count < 0) return this.park(this.wait(WaitKind.writable, 0));
    this.advance(count);
    return this.park(this.wait(WaitKind.writable, 1));
  }

  override wake(status: number): void {
    const ending = status === Status.ok ? this.#ending() : status;
    if (ending !== Status.ok) {
      if (status === Status.ok) core.endSend(this.socket.handle, 1);
      this.fail(this.errorOf(ending));
      return;
    }
    const count = this.transfer(1);
    if (count < 0 && -count !== Status.wouldBlock) {
      this.fail(this.errorOf(-count));
      return;
    }
    const isWhole = count === this.remaining;
    if (count > 0) this.advance(count);
    if (isWhole) this.succeed(this.taken);
    else this.parkAgain(this.wait(WaitKind.writable, 1));
  }

  protected advance(count: number): void {
    this.taken += count;
    this.socket.sent(count);
  }

  /**
   * Why it goes no further although the socket takes more. As long as the peer keeps up the core wakes it
   * at once, and there is no wait between two parts that a deadline or a cancellation could end.
   */
  #ending(): number {
    if (isBeingCancelled(this.owner)) return Status.cancelled;
    const now = sharedFloat64[Shared.nowMillisecondsFloat64]!;
    if (this.deadline === 0 || this.deadline > now) return Status.ok;
    sharedFloat64[Shared.timeoutsFloat64]! += 1;
    return Status.timedOut;
  }

  /** Called once before the first park: what is not the caller's must be copied by now. */
  protected keep(): void {}
}

/** Sends one run of bytes. */
export class BytesSend extends SendWait {
  #bytes: Uint8Array;
  readonly #length: number;
  readonly #isScratch: boolean;

  /** `isScratch` says that `bytes` will be used for something else after this turn. */
  constructor(
    socket: Socket,
    deadline: number,
    bytes: Uint8Array,
    length: number,
    isScratch: boolean,
  ) {
    super(socket, deadline);
    this.#bytes = bytes;
    this.#length = length;
    this.#isScratch = isScratch;
  }

  protected override get remaining(): number {
    return this.#length - this.taken;
  }

  protected override transfer(granted: 0 | 1): number {
    if (byteLengthOf(this.#bytes) < this.#length) return tooShort(this.socket, granted);
    return core.send(this.socket.handle, this.#bytes, this.taken, this.remaining, granted);
  }

  protected override keep(): void {
    if (this.#isScratch) this.#bytes = this.#bytes.slice(0, this.#length);
  }
}

/** Sends several buffers, with one system call for as many as it takes. */
export class VectorSend extends SendWait {
  readonly #parts: Parts;
  #remaining = 0;
  /** The first part that is not sent whole, and how much of it is. */
  #index = 0;
  #offset = 0;

  constructor(socket: Socket, deadline: number, parts: Parts) {
    super(socket, deadline);
    this.#parts = parts;
    for (const length of parts.lengths) this.#remaining += length;
  }

  protected override get remaining(): number {
    return this.#remaining;
  }

  protected override transfer(granted: 0 | 1): number {
    const { views, lengths } = this.#parts;
    let count = 0;
    let offset = this.#offset;
    for (let index = this.#index; index < views.length && count < Limits.vectorLength; index++) {
      const view = views[index]!;
      const length = lengths[index]!;
      if (byteLengthOf(view) < length) return tooShort(this.socket, granted);
      vector[2 * count] = addressOf(view) + offset;
      vector[2 * count + 1] = length - offset;
      offset = 0;
      count++;
    }
    return core.sendVector(this.socket.handle, vector, count, this.#remaining, granted);
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

/** A buffer was detached or has shrunk since `write` was called: the write cannot be finished. */
function tooShort(socket: Socket, granted: 0 | 1): number {
  if (granted) core.endSend(socket.handle, 1);
  return -Status.EFAULT;
}

/** Waits for the turn to send, to end the stream. */
export class ShutdownWait extends TransferWait<void> {
  override get syscall(): string {
    return "shutdown";
  }

  start(): Promise<void> {
    return this.park(this.wait(WaitKind.writable, 0));
  }

  override wake(status: number): void {
    const outcome = status === Status.ok ? core.shutdown(this.socket.handle, 1) : -status;
    if (outcome === 0) this.succeed(undefined);
    else this.fail(this.errorOf(-outcome));
  }
}
