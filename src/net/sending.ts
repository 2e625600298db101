/** Writes: sending runs of bytes until the kernel has taken all of them. */

import { Limits, Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { mayProceed, spend } from "../runtime/scheduler.ts";
import { typeMistake } from "../values/checks.ts";
import type { ErrorDetails } from "../values/errors.ts";
import { byteLengthOf, isDetached } from "../values/views.ts";
import { bytesOf, isList, Parts, type WriteData } from "./buffers.ts";
import { blocked, unfinished } from "./lane.ts";
import { callDetails, socketFailure } from "./socket_failures.ts";
import { noStream, type Stream } from "./stream.ts";
import { SocketTransfer } from "./transfers.ts";

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

  /** A part of the data was sent before this one was made. */
  followsPart(): this {
    this.#isBegun = true;
    return this;
  }

  failed(): void {
    if (this.#isBegun) core.breakOff(this.socket.handle);
  }

  protected advance(count: number): void {
    this.taken += count;
    this.socket.sent(count);
  }

  protected reset(socket: Stream): void {
    this.socket = socket;
    this.taken = 0;
    this.#isBegun = false;
  }
}

const encoder = new TextEncoder();
/** Short texts are encoded here and mostly sent at once. */
const textScratchBytes = 16_384;
const textScratch = new Uint8Array(textScratchBytes);

/** Sends one run of bytes. */
export class SendBytes extends Send {
  #bytes: Uint8Array;
  #length: number;

  private constructor(socket: Stream, bytes: Uint8Array, length: number) {
    super(socket);
    this.#bytes = bytes;
    this.#length = length;
  }

  /** Reuses the last one that has succeeded: most writes do at once, and make no object. */
  static of(socket: Stream, bytes: Uint8Array, length: number): SendBytes {
    const send = spare;
    if (send === undefined) return new SendBytes(socket, bytes, length);
    spare = undefined;
    send.reset(socket);
    send.#bytes = bytes;
    send.#length = length;
    return send;
  }

  protected override get remaining(): number {
    return this.#length - this.taken;
  }

  protected override transfer(): number {
    // The buffer was detached, or has shrunk, since `write` was called: its rest cannot be sent.
    if (byteLengthOf(this.#bytes) < this.#length) return -Status.EFAULT;
    return core.send(this.socket.handle, this.#bytes, this.taken, this.remaining);
  }

  parked(): void {
    // Other texts are encoded into the scratch before the rest of this one is sent.
    if (this.#bytes === textScratch) this.#bytes = textScratch.slice(0, this.#length);
  }

  release(): void {
    this.reset(noStream);
    this.#bytes = textScratch;
    spare = this;
  }
}

let spare: SendBytes | undefined;

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

/** Counts what the kernel took of a send without a wait; 0 when it takes nothing now. */
export function countTaken(socket: Stream, outcome: number): number {
  if (outcome < 0) {
    if (-outcome === Status.wouldBlock) return 0;
    throw socketFailure(socket, -outcome, "write", 0);
  }
  if (outcome > 0) socket.sent(outcome);
  return outcome;
}

/** A socket whose writes may wait. */
export interface Sending extends Stream {
  readonly isWriting: boolean;
}

/** Sends what the kernel takes at once, unless other writes wait. Returns the number of bytes. */
export function sendNow(socket: Sending, bytes: Uint8Array): number {
  const length = byteLengthOf(bytes);
  if (length === 0 || socket.closed || socket.isWriting || !mayProceed()) return 0;
  const count = countTaken(socket, core.send(socket.handle, bytes, 0, length));
  if (count > 0) spend();
  return count;
}

/** Addresses and lengths for one `sendVector`; filled anew for each. */
const vector = new Float64Array(2 * Limits.vectorLength);

/** The transfer of what `write` is given; undefined if there is nothing to send. */
export function sendOf(socket: Stream, data: WriteData): Send | undefined {
  if (typeof data === "string") {
    // UTF-8 takes at most three bytes for each unit of a JavaScript string.
    if (data.length * 3 > textScratchBytes) return ofBytes(socket, encoder.encode(data));
    if (data.length === 0) return undefined;
    return SendBytes.of(socket, textScratch, encoder.encodeInto(data, textScratch).written);
  }
  if (!isList(data)) return ofBytes(socket, data instanceof Uint8Array ? data : bytesOf(data));
  const parts = new Parts().collect(data);
  return parts.views.length === 0 ? undefined : new SendVector(socket, parts);
}

function ofBytes(socket: Stream, bytes: Uint8Array): SendBytes | undefined {
  const length = byteLengthOf(bytes);
  if (length > 0) return SendBytes.of(socket, bytes, length);
  if (isDetached(bytes)) throw typeMistake("write: the buffer is detached");
  return undefined;
}
