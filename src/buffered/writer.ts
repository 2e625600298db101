/** A writer with a buffer: many small writes, one call of the kernel. */

import { Status } from "../core/abi.ts";
import { bytesOf, isList, type WriteData } from "../net/buffers.ts";
import { Socket } from "../net/socket.ts";
import { callDetails } from "../net/socket_failures.ts";
import { refusalStatus, statusError, Wait } from "../runtime/wait.ts";
import {
  checkedInteger,
  checkedSwitch,
  ownOptions,
  rangeMistake,
  typeMistake,
} from "../values/checks.ts";
import { checkedDeadline } from "../values/deadlines.ts";
import type { ErrorDetails } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import { byteLengthOf, isDetached } from "../values/views.ts";
import { encodeLength, encodeVarint, type Kind, kinds, mostVarintBytes } from "./numbers.ts";
import { checkLengthBytes } from "./prefixes.ts";

/** Options of a `BufferedWriter`. */
export interface BufferedWriterOptions {
  /** Bytes that are collected before they are sent without a `flush`; 16,384 if not given. */
  size?: number | undefined;
}

const writerOptions: ReadonlySet<string> = new Set(["size"]);
const prefixedOptions: ReadonlySet<string> = new Set(["littleEndian"]);
const defaultSize = 16_384;
/** No number is longer. */
const leastSize = 16;
const mostSize = 2 ** 30;
const syscall = "write";
const noBytes = new Uint8Array(0);

type Utf8Write = (this: Uint8Array, text: string, offset: number, length: number) => number;

/** Encodes in place, without the view that a TextEncoder needs. */
const utf8Write = (Buffer.prototype as unknown as { utf8Write: Utf8Write }).utf8Write;
const encoder = new TextEncoder();

/** Buffers of the default size that no writer holds. */
const spares: Uint8Array<ArrayBuffer>[] = [];
const mostSpares = 16;

/**
 * Collects what is written to a socket, and sends it when the buffer is full, or at `flush`.
 *
 * A call that only collects returns undefined. One that has to send returns a promise, which is fulfilled when
 * the kernel has taken everything before: `await` it, so that a peer that does not read suspends the writer.
 * Awaiting both is right.
 *
 * Sends follow each other, also when none is awaited. An error stays: after a failed send, everything that waits
 * behind it and every later call fail with the same error, since the peer may have got a part. A caller's
 * mistake throws at once and changes nothing. So does a call that has to send while its deadline has passed or
 * its fiber is cancelled. A writer with nothing buffered holds no buffer.
 */
export class BufferedWriter {
  readonly #socket: Socket;
  readonly #size: number;
  #buffer: Uint8Array<ArrayBuffer> = noBytes;
  #length = 0;
  /** The last send that has not ended. */
  #sending: Promise<void> | undefined = undefined;
  #failure: { readonly error: unknown } | undefined = undefined;

  /** @throws {RangeError} for a size below 16, {TypeError} for anything but a socket, and for other wrong options */
  constructor(target: Socket, options: BufferedWriterOptions = {}) {
    const { size = defaultSize } = ownOptions(options, writerOptions, "BufferedWriter");
    if (!isInstance(target, Socket)) throw typeMistake("BufferedWriter takes a socket");
    this.#socket = target;
    this.#size = checkedInteger(size, "size", leastSize, mostSize);
  }

  /** Bytes that are not being sent yet. */
  get buffered(): number {
    return this.#length;
  }

  /**
   * Writes text (as UTF-8), bytes, or a list of both. Data of more than a buffer is sent from where it is,
   * and must not change until the promise is fulfilled.
   *
   * @throws the error of an earlier send
   */
  write(data: WriteData, deadline?: number): Promise<void> | undefined {
    this.#check();
    if (typeof data === "string") return this.#writeText(data, deadline);
    if (isList(data)) {
      checkParts(data);
      return this.#whole(deadline, () => this.#writeList(data, deadline));
    }
    const bytes = checkedBytes(data);
    const length = byteLengthOf(bytes);
    if (length >= this.#size) return this.#send(bytes, deadline);
    const sent = this.#makeRoom(length, deadline);
    this.#buffer.set(bytes, this.#length);
    this.#length += length;
    return sent;
  }

  /** An unsigned integer of one byte. */
  writeUint8(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Uint8, value, deadline);
  }

  /** A signed integer of one byte. */
  writeInt8(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Int8, value, deadline);
  }

  /** An unsigned integer of two bytes, the highest first. */
  writeUint16BE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Uint16BE, value, deadline);
  }

  /** An unsigned integer of two bytes, the lowest first. */
  writeUint16LE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Uint16LE, value, deadline);
  }

  /** A signed integer of two bytes, the highest first. */
  writeInt16BE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Int16BE, value, deadline);
  }

  /** A signed integer of two bytes, the lowest first. */
  writeInt16LE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Int16LE, value, deadline);
  }

  /** An unsigned integer of four bytes, the highest first. */
  writeUint32BE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Uint32BE, value, deadline);
  }

  /** An unsigned integer of four bytes, the lowest first. */
  writeUint32LE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Uint32LE, value, deadline);
  }

  /** A signed integer of four bytes, the highest first. */
  writeInt32BE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Int32BE, value, deadline);
  }

  /** A signed integer of four bytes, the lowest first. */
  writeInt32LE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Int32LE, value, deadline);
  }

  /** An unsigned integer of eight bytes, the highest first. */
  writeBigUint64BE(value: bigint, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.BigUint64BE, value, deadline);
  }

  /** An unsigned integer of eight bytes, the lowest first. */
  writeBigUint64LE(value: bigint, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.BigUint64LE, value, deadline);
  }

  /** A signed integer of eight bytes, the highest first. */
  writeBigInt64BE(value: bigint, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.BigInt64BE, value, deadline);
  }

  /** A signed integer of eight bytes, the lowest first. */
  writeBigInt64LE(value: bigint, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.BigInt64LE, value, deadline);
  }

  /** A floating-point number (IEEE 754) of four bytes, the highest first. */
  writeFloat32BE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Float32BE, value, deadline);
  }

  /** A floating-point number (IEEE 754) of four bytes, the lowest first. */
  writeFloat32LE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Float32LE, value, deadline);
  }

  /** A floating-point number (IEEE 754) of eight bytes, the highest first. */
  writeFloat64BE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Float64BE, value, deadline);
  }

  /** A floating-point number (IEEE 754) of eight bytes, the lowest first. */
  writeFloat64LE(value: number, deadline?: number): Promise<void> | undefined {
    return this.#number(kinds.Float64LE, value, deadline);
  }

  /**
   * An unsigned number of 7 bits a byte, the lowest first (LEB128), as Protocol Buffers have it.
   *
   * @throws {RangeError} for anything but a whole number up to 2^53 - 1
   */
  writeVarint(value: number, deadline?: number): Promise<void> | undefined {
    this.#check();
    checkedInteger(value, "a varint", 0, Number.MAX_SAFE_INTEGER);
    const sent = this.#makeRoom(mostVarintBytes, deadline);
    this.#length += encodeVarint(this.#buffer, this.#length, value);
    return sent;
  }

  /**
   * Data behind its length in bytes, which is an unsigned number of `lengthBytes` bytes.
   *
   * @throws {RangeError} for a `lengthBytes` that is not 1 to 6, and for data that is longer than it can say
   */
  writePrefixed(
    lengthBytes: number,
    data: string | ArrayBufferView | ArrayBufferLike,
    options: { littleEndian?: boolean | undefined } = {},
    deadline?: number,
  ): Promise<void> | undefined {
    this.#check();
    checkLengthBytes(lengthBytes);
    const own = ownOptions(options, prefixedOptions, "writePrefixed");
    const isLittleEndian = checkedSwitch(own.littleEndian, "littleEndian", false);
    const bytes = typeof data === "string" ? encoder.encode(data) : checkedBytes(data);
    const length = byteLengthOf(bytes);
    if (length >= 256 ** lengthBytes) {
      throw rangeMistake(`${length} bytes are more than a prefix of ${lengthBytes} bytes can say`);
    }
    return this.#whole(deadline, () => {
      const sent = this.#makeRoom(lengthBytes, deadline);
      encodeLength(this.#buffer, this.#length, lengthBytes, isLittleEndian, length);
      this.#length += lengthBytes;
      return this.write(bytes, deadline) ?? sent;
    });
  }

  /**
   * Sends everything that is buffered, and waits until the kernel has taken it.
   *
   * @throws the error of `Socket.write`, or of an earlier send
   */
  async flush(deadline?: number): Promise<void> {
    this.#check();
    if (this.#length > 0) await this.#send(undefined, deadline);
    else if (this.#underWay !== undefined) await this.#sent(this.#underWay, deadline);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Writes something of several parts. A failure between them stays, since a part is buffered or sent. */
  #whole(
    deadline: number | undefined,
    write: () => Promise<void> | undefined,
  ): Promise<void> | undefined {
    checkAdmitted(this.#socket, deadline);
    try {
      return write();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  #writeList(data: readonly WriteData[], deadline: number | undefined): Promise<void> | undefined {
    let sent: Promise<void> | undefined;
    // The promise of a later send is fulfilled after those of earlier ones.
    for (const part of data) sent = this.write(part, deadline) ?? sent;
    return sent;
  }

  #writeText(text: string, deadline: number | undefined): Promise<void> | undefined {
    // UTF-8 takes at most three bytes for each unit of a JavaScript string.
    const mostBytes = 3 * text.length;
    if (mostBytes > this.#size) return this.write(encoder.encode(text), deadline);
    const sent = this.#makeRoom(mostBytes, deadline);
    this.#length += utf8Write.call(this.#buffer, text, this.#length, mostBytes);
    return sent;
  }

  #number<T extends number | bigint>(
    kind: Kind<T>,
    value: T,
    deadline: number | undefined,
  ): Promise<void> | undefined {
    this.#check();
    checkNumber(kind, value);
    const sent = this.#makeRoom(kind.size, deadline);
    kind.encode(this.#buffer, this.#length, value);
    this.#length += kind.size;
    return sent;
  }

  /** Sends what is buffered if so many bytes have no room behind it. */
  #makeRoom(count: number, deadline: number | undefined): Promise<void> | undefined {
    const isFull = this.#length + count > this.#size;
    const sent = isFull ? this.#send(undefined, deadline) : undefined;
    if (this.#length === 0 && count > 0) this.#buffer = this.#takeBuffer();
    return sent;
  }

  /**
   * Sends what is buffered, and then `data` from where it is. Undefined when the kernel has all of it. Throws,
   * and changes nothing, when it may not begin.
   */
  #send(data: Uint8Array | undefined, deadline: number | undefined): Promise<void> | undefined {
    checkAdmitted(this.#socket, deadline);
    const buffer = this.#buffer;
    const collected = buffer.subarray(0, this.#length);
    this.#buffer = noBytes;
    this.#length = 0;
    let bytes: WriteData = collected;
    if (data !== undefined) bytes = collected.length === 0 ? data : [collected, data];
    const before = this.#underWay;
    const sending =
      before === undefined
        ? this.#socket.write(bytes, deadline)
        : this.#sendBehind(before, bytes, deadline);
    if (Bun.peek.status(sending) === "fulfilled") {
      giveBack(buffer);
      return undefined;
    }
    const sent = this.#follow(sending, buffer);
    this.#sending = sent;
    // The caller may leave the failure to the next call.
    sent.catch(() => {});
    return sent;
  }

  /** The send that others must wait for. */
  get #underWay(): Promise<void> | undefined {
    const sending = this.#sending;
    const isPending = sending !== undefined && Bun.peek.status(sending) === "pending";
    return isPending ? sending : undefined;
  }

  /** Sends when the one before has succeeded. The peer would take this data for the rest of one that failed. */
  async #sendBehind(
    before: Promise<void>,
    bytes: WriteData,
    deadline: number | undefined,
  ): Promise<number> {
    await this.#sent(before, deadline);
    return await this.#socket.write(bytes, deadline);
  }

  /** Waits for a send, until a deadline of the waiting call. */
  #sent(sending: Promise<void>, deadline: number | undefined): Promise<void> {
    checkAdmitted(this.#socket, deadline);
    const details = (): ErrorDetails => callDetails(this.#socket, syscall);
    const wait = new Wait<void>({ syscall, details });
    const sent = wait.begin(checkedDeadline(deadline));
    sending.then(
      () => wait.finish(),
      (error) => wait.finishWithError(error),
    );
    return sent;
  }

  async #follow(sending: Promise<number>, buffer: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      await sending;
      giveBack(buffer);
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  #takeBuffer(): Uint8Array<ArrayBuffer> {
    const spare = this.#size === defaultSize ? spares.pop() : undefined;
    return spare ?? new Uint8Array(this.#size);
  }
}

function checkAdmitted(socket: Socket, deadline: number | undefined): void {
  const status = refusalStatus(checkedDeadline(deadline));
  if (status !== Status.ok) throw statusError(status, callDetails(socket, syscall));
}

function giveBack(buffer: Uint8Array<ArrayBuffer>): void {
  if (buffer.length === defaultSize && spares.length < mostSpares) spares.push(buffer);
}

/** @throws {TypeError} for a part that cannot be written, before any is */
function checkParts(data: readonly WriteData[]): void {
  for (const part of data) {
    if (isList(part)) checkParts(part);
    else if (typeof part !== "string") checkedBytes(part);
  }
}

/** @throws {TypeError} for data of another kind, and for a buffer that is detached */
function checkedBytes(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  const bytes = bytesOf(data);
  if (byteLengthOf(bytes) === 0 && isDetached(bytes)) {
    throw typeMistake("write: a buffer is detached");
  }
  return bytes;
}

/** @throws {TypeError} {RangeError} for a value that the kind does not have */
function checkNumber<T extends number | bigint>({ range }: Kind<T>, value: T): void {
  if (range === undefined) {
    if (typeof value !== "number") throw typeMistake(`a float is a number, not ${String(value)}`);
    return;
  }
  const [least, most] = range;
  if (typeof value !== typeof least || (typeof value === "number" && !Number.isInteger(value))) {
    const expected = typeof least === "bigint" ? "a bigint" : "a whole number";
    throw typeMistake(`the value is ${expected}, not ${String(value)}`);
  }
  if (value < least || value > most) {
    throw rangeMistake(`the value is between ${least} and ${most}, not ${value}`);
  }
}
