/**
 * Reads frames (RFC 6455, section 5), and puts the fragments of messages together. What the RFC forbids is an
 * error that names the close code which the server is to be sent.
 */

import { Limits } from "../core/abi.ts";
import { blocked, unfinished } from "../net/lane.ts";
import type { Stream } from "../net/stream.ts";
import { UnexpectedEndError } from "../values/errors.ts";
import { invalidText, messageTooLong, protocolViolation } from "./close_codes.ts";
import { WebSocketError } from "./errors.ts";
import {
  controlBit,
  finalBit,
  leastOf64,
  length16,
  length64,
  lengthBits,
  maskBit,
  mostControlBytes,
  Opcode,
  opcodeBits,
  reservedBits,
} from "./frames.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";
import { strictText } from "./text.ts";

/** A message: text, or bytes in memory of their own. */
export type Message = string | Uint8Array<ArrayBuffer>;

/**
 * Acts on a control frame. The payload is in `bytes` from `start` to `end`, and is valid during the call. It
 * returns whether reading is to stop behind the frame.
 */
export type ControlHandler = (
  opcode: number,
  bytes: Uint8Array,
  start: number,
  end: number,
) => boolean;

/** An answer of `read`: it has stopped behind a control frame. */
export const stopped = Symbol("stopped");

/** No message has begun. */
const none = -1;

export class MessageReader {
  readonly #buffer: ReceiveBuffer;
  readonly #onControl: ControlHandler;
  readonly #mostBytes: number;
  /** Text or binary while a message has begun. Its bytes so far are the first ones that the buffer keeps. */
  #opcode = none;
  #length = 0;
  /** Bytes of the frame that are still to come, and whether it is the last one of its message. */
  #left = 0;
  #isFinal = false;

  constructor(buffer: ReceiveBuffer, mostBytes: number, onControl: ControlHandler) {
    this.#buffer = buffer;
    this.#mostBytes = mostBytes;
    this.#onControl = onControl;
  }

  /**
   * Reads up to the next message, or to a control frame behind which it is to stop.
   *
   * @throws {WebSocketError}
   * @throws {UnexpectedEndError} at the end of the stream, with what has come of a message
   * @throws {SocketError} of the socket
   */
  read(
    socket: Stream,
    isLast: boolean,
  ): Message | typeof stopped | typeof blocked | typeof unfinished {
    const buffer = this.#buffer;
    for (let share = Limits.transferBytes; share > 0; ) {
      const item = this.#proceed();
      if (item !== undefined) return item;
      const count = buffer.receive(socket, isLast, this.#length + this.#left);
      if (count === blocked) return blocked;
      if (count === 0) {
        throw new UnexpectedEndError("read", buffer.bytes.slice(buffer.start, buffer.end));
      }
      share -= count;
    }
    return unfinished;
  }

  /** Reads what has come. Undefined if more is needed. */
  #proceed(): Message | typeof stopped | undefined {
    for (;;) {
      if (this.#left > 0) {
        if (!this.#takePayload()) return undefined;
      } else {
        const read = this.#readHeader();
        if (read === undefined || read === stopped) return read;
        if (read === "control") continue;
        if (!this.#takePayload()) return undefined;
      }
      if (this.#isFinal) return this.#finish();
    }
  }

  /**
   * Reads the header of a frame, and all of a control frame.
   *
   * @returns undefined if it has not come whole
   */
  #readHeader(): "data" | "control" | typeof stopped | undefined {
    const buffer = this.#buffer;
    const { bytes, at } = buffer;
    const count = buffer.end - at;
    if (count < 2) return undefined;
    const first = bytes[at]!;
    const short = bytes[at + 1]! & lengthBits;
    const opcode = first & opcodeBits;
    if ((first & reservedBits) !== 0) throw violation("a frame has a reserved bit");
    if ((bytes[at + 1]! & maskBit) !== 0) throw violation("a frame of the server is masked");
    if ((opcode & controlBit) !== 0) return this.#readControl(first, opcode, short);
    if (opcode === Opcode.continuation) {
      if (this.#opcode === none) throw violation("a frame continues no message");
    } else if (opcode > Opcode.binary) throw violation(`a frame has the opcode ${opcode}`);
    else if (this.#opcode !== none) throw violation("a message begins within another one");

    let length = short;
    let headerBytes = 2;
    if (short === length16) {
      headerBytes = 4;
      if (count < headerBytes) return undefined;
      length = bytes[at + 2]! * 256 + bytes[at + 3]!;
      if (length < length16) throw violation("a length has more bytes than it needs");
    } else if (short === length64) {
      headerBytes = 10;
      if (count < headerBytes) return undefined;
      const high = uint32(bytes, at + 2);
      if (high >= 0x8000_0000) throw violation("the highest bit of a length is set");
      length = high * 2 ** 32 + uint32(bytes, at + 6);
      if (length < leastOf64) throw violation("a length has more bytes than it needs");
    }
    if (this.#length + length > this.#mostBytes) {
      const reason = `a message is longer than ${this.#mostBytes} bytes`;
      throw new WebSocketError(messageTooLong, reason);
    }

    buffer.at += headerBytes;
    if (opcode !== Opcode.continuation) this.#opcode = opcode;
    if (this.#length === 0) buffer.start = buffer.at;
    this.#left = length;
    this.#isFinal = (first & finalBit) !== 0;
    return "data";
  }

  #readControl(
    first: number,
    opcode: number,
    length: number,
  ): "control" | typeof stopped | undefined {
    const buffer = this.#buffer;
    if (opcode > Opcode.pong) throw violation(`a frame has the opcode ${opcode}`);
    if ((first & finalBit) === 0) throw violation("a control frame is a fragment");
    if (length > mostControlBytes) {
      throw violation(`a control frame has more than ${mostControlBytes} bytes`);
    }
    const start = buffer.at + 2;
    const end = start + length;
    if (buffer.end < end) return undefined;
    buffer.at = end;
    const stops = this.#onControl(opcode, buffer.bytes, start, end);
    this.#forgetRead();
    return stops ? stopped : "control";
  }

  /** Moves what has come of the frame behind the message. Whether the frame is whole. */
  #takePayload(): boolean {
    const buffer = this.#buffer;
    const { bytes, at } = buffer;
    const count = Math.min(this.#left, buffer.end - at);
    const target = buffer.start + this.#length;
    if (target !== at && count > 0) bytes.copyWithin(target, at, at + count);
    buffer.at += count;
    this.#length += count;
    this.#left -= count;
    if (buffer.at === buffer.end) buffer.at = buffer.end = target + count;
    return this.#left === 0;
  }

  #finish(): Message {
    const buffer = this.#buffer;
    const { bytes, start } = buffer;
    const end = start + this.#length;
    const message =
      this.#opcode === Opcode.text ? strictText(bytes, start, end) : bytes.slice(start, end);
    if (message === undefined) throw new WebSocketError(invalidText, "a text is not UTF-8");
    this.#opcode = none;
    this.#length = 0;
    this.#forgetRead();
    return message;
  }

  /** Keeps of what was read only the bytes of the message. */
  #forgetRead(): void {
    const buffer = this.#buffer;
    if (this.#length === 0) {
      buffer.start = buffer.at;
      buffer.giveBackIfEmpty();
    } else if (buffer.at === buffer.end) {
      buffer.at = buffer.end = buffer.start + this.#length;
    }
  }
}

function violation(reason: string): WebSocketError {
  return new WebSocketError(protocolViolation, reason);
}

function uint32(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 2 ** 24 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}
