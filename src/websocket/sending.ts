/** Sending frames. Each frame of a client is masked with a key of its own (RFC 6455, section 5.3). */

import { Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { Send } from "../net/sending.ts";
import { noStream, type Stream } from "../net/stream.ts";
import { byteLengthOf } from "../values/views.ts";
import { finalBit, leastOf64, length16, length64, maskBit } from "./frames.ts";

/** The frame that is sent is made here, with its payload at `payloadAt` and its header in front of it. */
const payloadAt = 16;
/** Bytes of a payload that are masked at once. A longer one is masked in portions, as the socket takes them. */
const portionBytes = 65_536;
const scratch = new Uint8Array(payloadAt + portionBytes);
const portion = scratch.subarray(payloadAt);
const keyBytes = 4;

/** Keys for frames to come. A page that chose a key could choose what stands on the wire (section 10.3). */
const keys = new Uint32Array(1024);
let nextKey = keys.length;

function takeKey(): number {
  if (nextKey === keys.length) {
    crypto.getRandomValues(keys);
    nextKey = 0;
  }
  return keys[nextKey++]!;
}

/** The key as it begins at a later byte of a payload. */
function keyFrom(key: number, position: number): number {
  const bits = (position & (keyBytes - 1)) * 8;
  return bits === 0 ? key : ((key >>> bits) | (key << (32 - bits))) >>> 0;
}

type Utf8Write = (this: Uint8Array, text: string, offset: number, length: number) => number;
/** Encodes in place, without the view that a TextEncoder needs. */
const utf8Write = (Buffer.prototype as unknown as { utf8Write: Utf8Write }).utf8Write;
const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);

/** What the frames of a connection have in common. */
export interface FrameOwner {
  readonly socket: Stream;
  /** A frame has failed after so many bytes of it. `wasAttempted` says whether the core was asked to send it. */
  frameFailed(taken: number, wasAttempted: boolean): void;
}

const noOwner: FrameOwner = { socket: noStream, frameFailed() {} };

/** Sends a frame. While it waits it holds a copy of a short frame, and only the payload of a long one. */
export class SendFrame extends Send {
  #owner: FrameOwner;
  /** A short frame as it is sent, from `#start` on. */
  #frame: Uint8Array = scratch;
  #start = 0;
  /** The payload of a long frame as it was given, how long it was then, its header's length, and its key. */
  #payload: Uint8Array = noBytes;
  #payloadLength = 0;
  #firstByte = 0;
  #headerLength = 0;
  #key = 0;
  #length = 0;
  #wasAttempted = false;

  private constructor(owner: FrameOwner) {
    super(owner.socket);
    this.#owner = owner;
  }

  /** The frame of a text or of bytes. Reuses the last one that was sent. */
  static of(
    owner: FrameOwner,
    opcode: number,
    isFinal: boolean,
    data: string | Uint8Array,
  ): SendFrame {
    const send = spare ?? new SendFrame(owner);
    spare = undefined;
    send.#owner = owner;
    send.reset(owner.socket);
    send.#wasAttempted = false;
    send.#firstByte = isFinal ? finalBit | opcode : opcode;
    send.#key = takeKey();
    if (typeof data !== "string") send.#setBytes(data);
    // UTF-8 takes at most three bytes for each unit of a JavaScript string.
    else if (3 * data.length > portionBytes) send.#setBytes(encoder.encode(data));
    else {
      const length =
        data.length === 0 ? 0 : utf8Write.call(scratch, data, payloadAt, 3 * data.length);
      if (length > 0) core.mask(portion, portion, length, send.#key);
      send.#setShort(length);
    }
    return send;
  }

  #setBytes(bytes: Uint8Array): void {
    const length = byteLengthOf(bytes);
    if (length <= portionBytes) {
      if (length > 0) core.mask(portion, bytes, length, this.#key);
      this.#setShort(length);
    } else {
      this.#payload = bytes;
      this.#payloadLength = length;
      this.#headerLength = headerLength(length);
      this.#length = this.#headerLength + length;
    }
  }

  #setShort(payloadLength: number): void {
    this.#payload = noBytes;
    this.#frame = scratch;
    this.#headerLength = headerLength(payloadLength);
    this.#start = payloadAt - this.#headerLength;
    this.#length = this.#headerLength + payloadLength;
    writeHeader(this.#firstByte, payloadLength, this.#key);
  }

  protected override get remaining(): number {
    return this.#length - this.taken;
  }

  protected override transfer(): number {
    this.#wasAttempted = true;
    if (this.#payload !== noBytes) return this.#sendPortion();
    return core.send(this.socket.handle, this.#frame, this.#start + this.taken, this.remaining);
  }

  /** Masks a portion anew each time: so a frame that waits holds no masked bytes. */
  #sendPortion(): number {
    const payload = this.#payload;
    const length = this.#payloadLength;
    // The buffer was detached, or has shrunk, since it was given: its rest cannot be sent.
    if (byteLengthOf(payload) < length) return -Status.EFAULT;
    const position = Math.max(this.taken - this.#headerLength, 0);
    const count = Math.min(length - position, portionBytes);
    const source = (addressOf(payload) + position) as Parameters<typeof core.mask>[1];
    core.mask(portion, source, count, keyFrom(this.#key, position));
    let start = payloadAt;
    if (this.taken < this.#headerLength) {
      writeHeader(this.#firstByte, length, this.#key);
      start -= this.#headerLength - this.taken;
    }
    return core.send(this.socket.handle, scratch, start, payloadAt + count - start);
  }

  parked(): void {
    // Other frames are made in the scratch before the rest of this one is sent.
    if (this.#payload === noBytes && this.#frame === scratch) {
      this.#frame = scratch.slice(this.#start, this.#start + this.#length);
      this.#start = 0;
    }
  }

  override failed(): void {
    super.failed();
    this.#owner.frameFailed(this.taken, this.#wasAttempted);
  }

  release(): void {
    this.reset(noStream);
    this.#owner = noOwner;
    this.#payload = noBytes;
    this.#frame = scratch;
    spare = this;
  }
}

let spare: SendFrame | undefined;

function headerLength(payloadLength: number): number {
  if (payloadLength < length16) return 2 + keyBytes;
  return payloadLength < leastOf64 ? 4 + keyBytes : 10 + keyBytes;
}

/** Writes a header in front of the payload in the scratch. */
function writeHeader(firstByte: number, length: number, key: number): void {
  let at = payloadAt - headerLength(length);
  scratch[at++] = firstByte;
  if (length < length16) scratch[at++] = maskBit | length;
  else if (length < leastOf64) {
    scratch[at++] = maskBit | length16;
    scratch[at++] = length >>> 8;
    scratch[at++] = length;
  } else {
    scratch[at++] = maskBit | length64;
    const high = Math.floor(length / 2 ** 32);
    for (let bits = 24; bits >= 0; bits -= 8) scratch[at++] = high >>> bits;
    for (let bits = 24; bits >= 0; bits -= 8) scratch[at++] = length >>> bits;
  }
  for (let bits = 0; bits < 32; bits += 8) scratch[at++] = key >>> bits;
}
