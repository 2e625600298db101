/** A reader with a buffer: lines, frames and numbers from a stream of bytes. */

import { emptyBuffer, viewOf } from "../net/buffers.ts";
import type { Socket } from "../net/socket.ts";
import { admission, type Operation, rejected, runningCancellation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import type { TlsContext } from "../tls/options.ts";
import type { StartTlsOptions } from "../tls/start.ts";
import { checkedInteger, ownOptions, rangeMistake, typeMistake } from "../values/checks.ts";
import type { Deadline } from "../values/deadlines.ts";
import { MessageTooLongError, SocketError, UnexpectedEndError } from "../values/errors.ts";
import { bytesOfView } from "../values/views.ts";
import { DecodedLines, mostBatchBytes } from "./decoded_lines.ts";
import { Fill } from "./fill.ts";
import { Lines } from "./lines.ts";
import { NumberReader } from "./number_reader.ts";
import { type Decode, mostVarintBytes } from "./numbers.ts";
import { type Delimiter, Unread } from "./unread.ts";

/** What ends a line: `lf` is LF, `crlf` is CR LF, and `any` is either of them. */
export type Newline = "lf" | "crlf" | "any";

export interface BufferedReaderOptions {
  /**
   * The most bytes of a unit whose length the peer decides: a line, what precedes a delimiter, a
   * prefixed message. Delimiter and prefix do not count. 65,536 if not given.
   */
  maxLength?: number | undefined;
  /** `any` if not given. */
  newline?: Newline | undefined;
  /** Whether text that is not valid UTF-8 fails with a TypeError. Otherwise U+FFFD stands in its place. */
  fatal?: boolean | undefined;
}

export interface PrefixedOptions {
  /** Whether the least significant byte of the prefix comes first. */
  littleEndian?: boolean | undefined;
  /** The most bytes of this message; the reader's `maxLength` if not given. */
  maxLength?: number | undefined;
}

const readerOptions: ReadonlySet<string> = new Set(["maxLength", "newline", "fatal"]);
const prefixedOptions: ReadonlySet<string> = new Set(["littleEndian", "maxLength"]);
const newlines: ReadonlySet<string> = new Set(["lf", "crlf", "any"]);

const syscall = "read";
/** The most bytes of a typed array. */
const mostBytes = 0xffff_ffff;
const defaultMaxLength = 65_536;
const lf = 10;
const cr = 13;
const crlf = new Uint8Array([cr, lf]);
const encoder = new TextEncoder();
/** A request for more than this is received in the caller's memory, or in a buffer made for it. */
const shortBytes = 4096;

/**
 * Reads units from a socket: lines, delimited and prefixed messages, numbers, blocks. Use the reader
 * alone from then on: what it has received, `socket.read` does not see.
 *
 * - A call returns null only when the stream ended between two units. A stream that ends within a unit
 *   fails with an `UnexpectedEndError`, whose `partial` has the bytes. They stay unread.
 * - A unit over its limit fails with a `MessageTooLongError`. Nothing is consumed: the call can be repeated
 *   with a higher limit, and `discardUntil` leaves the unit out without buffering it.
 * - A deadline or a cancellation consumes nothing, except in `discard` and `discardUntil`.
 * - What is returned is the caller's own, except from `peek`.
 * - Calls of several fibers are served in their order.
 *
 * A reader with nothing unread holds no buffer. Deadlines are points on the clock of `now()`. Where a
 * `Promise` is returned, errors reject it: those of `Socket.read`, and the two above.
 */
export class BufferedReader extends NumberReader {
  readonly #socket: Socket;
  readonly #maxLength: number;
  readonly #newline: Newline;
  readonly #isStrict: boolean;
  readonly #unread = new Unread();
  readonly #fill: Fill;
  readonly #decoded = new DecodedLines();
  /** The last delimiter of several bytes. With the same object the search goes on where it stopped. */
  #delimiter: Uint8Array = crlf;
  /** Whether a call waits, and the calls behind it. */
  #isBusy = false;
  #queue: WaitQueue | undefined = undefined;

  /**
   * @throws {RangeError} for a `maxLength` below 1, {TypeError} for one that is no whole number, and for
   *   options that are unknown
   */
  constructor(source: Socket, options: BufferedReaderOptions = {}) {
    const { maxLength, newline, fatal } = ownOptions(options, readerOptions, "BufferedReader");
    if (newline !== undefined && !newlines.has(newline)) {
      throw typeMistake(`newline is "lf", "crlf" or "any"`);
    }
    super();
    this.#socket = source;
    this.#maxLength = maxLength === undefined ? defaultMaxLength : checkedLimit(maxLength);
    this.#newline = newline ?? "any";
    this.#isStrict = fatal === true;
    this.#fill = new Fill(source, this.#unread);
  }

  /** Bytes that were received and not read yet. */
  get buffered(): number {
    return this.#unread.length;
  }

  /** The next line without its newline; null at the end. */
  readLine(deadline?: number): Promise<string | null> {
    try {
      const line = this.#mayTake(deadline) ? this.#takeLine() : undefined;
      if (line !== undefined) return Promise.resolve(line);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#read(() => this.#takeLine(), deadline);
  }

  /**
   * The next line if all of it is buffered, without a promise: for answers that come many at a time.
   *
   * @returns null at the end; undefined when more must be received first, or another fiber's call waits
   * @throws {MessageTooLongError} {UnexpectedEndError} {TypeError} as `readLine`
   */
  tryReadLine(): string | null | undefined {
    return this.#isBusy ? undefined : this.#takeLine();
  }

  /** The lines up to the end. Leaving the loop early does not close the socket. */
  lines(): AsyncIterableIterator<string, undefined> {
    return new Lines(this);
  }

  /** The bytes before the next `delimiter`, which is consumed too; null at the end. Text means its UTF-8. */
  readUntil(
    delimiter: string | Uint8Array,
    deadline?: number,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    let sought: Delimiter;
    try {
      sought = this.#delimiterOf(delimiter);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#read(() => this.#takeUntil(sought), deadline);
  }

  /** The next `count` bytes. */
  readExactly(count: number, deadline?: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      checkedCount(count);
      if (this.#mayTake(deadline) && this.#hasOrEnds(count)) {
        return Promise.resolve(this.#unread.take(count));
      }
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#counted(count, deadline, () => this.#unread.take(count));
  }

  /** The next `count` bytes if all of them are buffered; otherwise as `tryReadLine`. */
  tryReadExactly(count: number): Uint8Array<ArrayBuffer> | undefined {
    checkedCount(count);
    return this.#isBusy || !this.#hasOrEnds(count) ? undefined : this.#unread.take(count);
  }

  /** The next `byteLength` bytes as text. */
  readText(byteLength: number, deadline?: number): Promise<string> {
    return this.#counted(byteLength, deadline, () => this.#takeText(byteLength, byteLength));
  }

  /** The next `byteLength` bytes as text if all of them are buffered; otherwise as `tryReadLine`. */
  tryReadText(byteLength: number): string | undefined {
    checkedCount(byteLength);
    if (this.#isBusy || !this.#hasOrEnds(byteLength)) return undefined;
    return this.#takeText(byteLength, byteLength);
  }

  /** Fills `into`. It must not change until then, nor after a failure be taken for unread data. */
  readFull(into: ArrayBufferView, deadline?: number): Promise<void> {
    return this.#exclusively(
      deadline,
      () => bytesIn(into),
      async (until) => {
        const bytes = bytesIn(into);
        const { length } = bytes;
        while (this.#unread.length < length && length - this.#unread.length <= shortBytes) {
          if ((await this.#receive(until)) === 0) throw this.#unexpectedEnd();
        }
        let filled = this.#unread.moveTo(bytes);
        try {
          while (filled < length) {
            const count = await this.#socket.read(bytes.subarray(filled), until);
            if (count === 0) throw new UnexpectedEndError(syscall, bytes.slice(0, filled));
            filled += count;
          }
        } catch (error) {
          this.#unread.prepend(bytes.subarray(0, filled));
          throw error;
        }
      },
    );
  }

  /** The available bytes into `into`, at least one. Returns their number; 0 is the end. */
  read(into: ArrayBufferView, deadline?: number): Promise<number> {
    return this.#exclusively(
      deadline,
      () => roomIn(into),
      async (until) => {
        const bytes = roomIn(into);
        if (this.#unread.length > 0) return this.#unread.moveTo(bytes);
        if (bytes.length > shortBytes) return await this.#socket.read(bytes, until);
        await this.#receive(until);
        return this.#unread.moveTo(bytes);
      },
    );
  }

  /** All available bytes, at most 64 KiB of them unless more are buffered; null at the end. */
  next(deadline?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#read(() => {
      const { length } = this.#unread;
      if (length > 0) return this.#unread.take(length);
      return this.#socket.eof ? null : undefined;
    }, deadline);
  }

  /** The next `count` bytes, which stay unread. The view is valid until the next call of the reader. */
  peek(count: number, deadline?: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#counted(count, deadline, () => this.#unread.view(count));
  }

  /** Leaves `count` bytes out. A failure does not bring back those that are out already. */
  discard(count: number, deadline?: number): Promise<void> {
    return this.#exclusively(
      deadline,
      () => checkedCount(count),
      async (until, wanted) => {
        let left = wanted;
        for (;;) {
          const present = Math.min(left, this.#unread.length);
          this.#unread.skip(present);
          left -= present;
          if (left === 0) return;
          if ((await this.#receive(until)) === 0) throw this.#unexpectedEnd();
        }
      },
    );
  }

  /**
   * Leaves everything out up to the next `delimiter`, and the delimiter, however much that is. A failure
   * does not bring back what is out already.
   *
   * @returns the number of bytes, those of the delimiter included; 0 at the end
   */
  discardUntil(delimiter: string | Uint8Array, deadline?: number): Promise<number> {
    return this.#exclusively(
      deadline,
      () => this.#delimiterOf(delimiter),
      async (until, sought) => {
        const size = sizeOf(sought);
        for (let discarded = 0; ; ) {
          const index = this.#unread.indexOf(sought);
          // What may be the first bytes of the delimiter stays.
          const count = index >= 0 ? index + size : Math.max(this.#unread.length - size + 1, 0);
          this.#unread.skip(count);
          discarded += count;
          if (index >= 0) return discarded;
          if ((await this.#receive(until)) > 0) continue;
          if (discarded + this.#unread.length === 0) return 0;
          throw this.#unexpectedEnd();
        }
      },
    );
  }

  /**
   * An unsigned number of 7 bits a byte, the lowest first (LEB128), as Protocol Buffers have it.
   *
   * @throws {SocketError} `EOVERFLOW` above 2^53 - 1, and for more than 10 bytes; it stays unread
   */
  readVarint(deadline?: number): Promise<number> {
    return this.#read(() => this.#takeVarint(), deadline);
  }

  /**
   * A message behind its length in bytes, which is an unsigned number of `lengthBytes` bytes; null at the
   * end.
   *
   * @throws {RangeError} for a `lengthBytes` that is not 1 to 6, and a `maxLength` below 1
   */
  readPrefixed(
    lengthBytes: number,
    options?: PrefixedOptions,
    deadline?: number,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    let prefix: Prefix;
    try {
      prefix = this.#prefixOf(lengthBytes, options);
      const message = this.#mayTake(deadline) ? this.#takePrefixed(prefix) : undefined;
      if (message !== undefined) return Promise.resolve(message);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#read(() => this.#takePrefixed(prefix), deadline);
  }

  /** As `readPrefixed` if all of the message is buffered; otherwise as `tryReadLine`. */
  tryReadPrefixed(
    lengthBytes: number,
    options?: PrefixedOptions,
  ): Uint8Array<ArrayBuffer> | null | undefined {
    const prefix = this.#prefixOf(lengthBytes, options);
    return this.#isBusy ? undefined : this.#takePrefixed(prefix);
  }

  /**
   * Turns the connection into TLS, as `Socket.startTls` does.
   *
   * @throws {SocketError} `EBUSY` while bytes are buffered or a call waits: what came before the handshake
   *   must not be taken for what came through it
   */
  async startTls(options: StartTlsOptions | TlsContext = {}, deadline?: number): Promise<void> {
    if (this.#isBusy || this.#unread.length > 0) {
      const reason = this.#isBusy ? "a read waits" : `${this.#unread.length} bytes are unread`;
      throw new SocketError("EBUSY", { syscall: "handshake", reason });
    }
    await this.#socket.startTls(options, deadline);
  }

  /**
   * Whether a unit that is buffered may be taken without more checks. The calls that are made most often
   * try that first: it costs little more than the promise, where `#read` costs twice as much.
   */
  #mayTake(deadline: number | undefined): boolean {
    return deadline === undefined && !this.#isBusy && runningCancellation() === undefined;
  }

  /**
   * Takes a unit, and receives until there is one. `take` returns undefined while it is not complete, and
   * throws when it cannot be.
   */
  #read<T>(take: () => T | undefined, deadline: number | undefined): Promise<T> {
    const until = admission(syscall, deadline);
    if (typeof until !== "number") return rejected(until, syscall);
    if (this.#isBusy) return this.#complete(take, until);
    try {
      const unit = take();
      return unit === undefined ? this.#complete(take, until) : Promise.resolve(unit);
    } catch (error) {
      return rejected(error, syscall);
    }
  }

  #complete<T>(take: () => T | undefined, until: Deadline): Promise<T> {
    return this.#inTurn(until, async () => {
      for (let unit = take(); ; unit = take()) {
        if (unit !== undefined) return unit;
        await this.#receive(until);
      }
    });
  }

  /** Runs a call in its turn. `check` reports a mistake at once, and copies what may change until then. */
  async #exclusively<Input, T>(
    deadline: number | undefined,
    check: () => Input,
    action: (until: Deadline, input: Input) => Promise<T>,
  ): Promise<T> {
    const input = check();
    const until = admission(syscall, deadline);
    if (typeof until !== "number") throw until;
    return await this.#inTurn(until, () => action(until, input));
  }

  /** Runs a call when those before it have ended. */
  async #inTurn<T>(until: Deadline, action: () => Promise<T>): Promise<T> {
    if (this.#isBusy) {
      this.#queue ??= new WaitQueue();
      await new Wait(queueing).begin(until, this.#queue);
    }
    this.#isBusy = true;
    try {
      return await action();
    } finally {
      const next = this.#queue?.shift();
      if (next === undefined) this.#isBusy = false;
      else next.finish(undefined);
    }
  }

  #receive(until: Deadline): Promise<number> {
    return this.#socket.receive(this.#fill, until);
  }

  #takeLine(): string | null | undefined {
    const newline = this.#newline === "crlf" ? "\r\n" : "\n";
    const decoded = this.#decoded.take(this.#unread, newline);
    if (decoded !== undefined) return this.#takeDecoded(decoded, newline.length);
    const index = this.#unread.indexOf(this.#newline === "crlf" ? crlf : lf);
    if (index < 0) return this.#incomplete(this.#newline === "lf" ? lf : crlf);
    const hasCr = this.#newline === "any" && index > 0 && this.#unread.at(index - 1) === cr;
    const length = hasCr ? index - 1 : index;
    if (length > this.#maxLength) throw tooLong(this.#maxLength);
    const consumed = index + newline.length;
    if (
      this.#maxLength >= mostBatchBytes &&
      this.#decoded.decode(this.#unread, consumed, newline)
    ) {
      return this.#takeDecoded(this.#decoded.take(this.#unread, newline)!, newline.length);
    }
    return this.#takeText(length, consumed);
  }

  #takeDecoded(line: string, newlineBytes: number): string {
    this.#unread.skip(line.length + newlineBytes);
    return this.#newline === "any" && line.endsWith("\r") ? line.slice(0, -1) : line;
  }

  #takeText(length: number, consumed: number): string {
    const text = this.#unread.text(length, this.#isStrict);
    this.#unread.skip(consumed);
    return text;
  }

  #takeUntil(sought: Delimiter): Uint8Array<ArrayBuffer> | null | undefined {
    const index = this.#unread.indexOf(sought);
    if (index < 0) return this.#incomplete(sought);
    if (index > this.#maxLength) throw tooLong(this.#maxLength);
    const bytes = this.#unread.copy(index);
    this.#unread.skip(index + sizeOf(sought));
    return bytes;
  }

  /** The delimiter of a unit has not come. Its first bytes may have. */
  #incomplete(delimiter: Delimiter): null | undefined {
    const { length } = this.#unread;
    if (length - this.#unread.partOf(delimiter) > this.#maxLength) throw tooLong(this.#maxLength);
    if (!this.#socket.eof) return undefined;
    if (length === 0) return null;
    throw this.#unexpectedEnd();
  }

  #prefixOf(lengthBytes: number, options: PrefixedOptions | undefined): Prefix {
    checkedInteger(lengthBytes, "lengthBytes", 1, 6);
    if (options === undefined) return { lengthBytes, isLittleEndian: false, most: this.#maxLength };
    const { littleEndian, maxLength } = ownOptions(options, prefixedOptions, "readPrefixed");
    const most = maxLength === undefined ? this.#maxLength : checkedLimit(maxLength);
    return { lengthBytes, isLittleEndian: littleEndian === true, most };
  }

  #takePrefixed(prefix: Prefix): Uint8Array<ArrayBuffer> | null | undefined {
    const { lengthBytes, isLittleEndian, most } = prefix;
    if (this.#unread.length === 0 && this.#socket.eof) return null;
    if (!this.#hasOrEnds(lengthBytes)) return undefined;
    const length = this.#unread.unsigned(lengthBytes, isLittleEndian);
    if (length > most) throw tooLong(most);
    if (!this.#hasOrEnds(lengthBytes + length)) return undefined;
    return this.#unread.take(lengthBytes + length, lengthBytes);
  }

  #takeVarint(): number | undefined {
    let value = 0;
    for (let index = 0, factor = 1; index < mostVarintBytes; index++, factor *= 128) {
      if (!this.#hasOrEnds(index + 1)) return undefined;
      const byte = this.#unread.at(index);
      value += (byte & 127) * factor;
      if (value > Number.MAX_SAFE_INTEGER) break;
      if (byte >= 128) continue;
      this.#unread.skip(index + 1);
      return value;
    }
    throw new SocketError("EOVERFLOW", { syscall, reason: "a varint above 2^53 - 1" });
  }

  /** @internal */
  protected override readNumber<T>(
    size: number,
    decode: Decode<T>,
    deadline: number | undefined,
  ): Promise<T> {
    try {
      const value = this.#mayTake(deadline) ? this.#takeNumber(size, decode) : undefined;
      if (value !== undefined) return Promise.resolve(value);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#read(() => this.#takeNumber(size, decode), deadline);
  }

  #takeNumber<T>(size: number, decode: Decode<T>): T | undefined {
    if (!this.#hasOrEnds(size)) return undefined;
    const value = this.#unread.number(decode);
    this.#unread.skip(size);
    return value;
  }

  #counted<T>(count: number, deadline: number | undefined, take: () => T): Promise<T> {
    try {
      checkedCount(count);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#read(() => (this.#hasOrEnds(count) ? take() : undefined), deadline);
  }

  /** Whether so many bytes are unread. If not, prepares for them. */
  #hasOrEnds(count: number): boolean {
    if (this.#unread.length >= count) return true;
    if (this.#socket.eof) throw this.#unexpectedEnd();
    this.#unread.expect(count);
    return false;
  }

  #unexpectedEnd(): UnexpectedEndError {
    return new UnexpectedEndError(syscall, this.#unread.copy(this.#unread.length));
  }

  #delimiterOf(delimiter: string | Uint8Array): Delimiter {
    if (typeof delimiter !== "string" && !(delimiter instanceof Uint8Array)) {
      throw typeMistake("a delimiter is a string or a Uint8Array");
    }
    const bytes =
      typeof delimiter === "string" ? encoder.encode(delimiter) : bytesOfView(delimiter);
    if (bytes.length === 0) throw rangeMistake("a delimiter has at least one byte");
    if (bytes.length === 1) return bytes[0]!;
    // The search goes on where it stopped for the same object.
    if (!isEqual(bytes, this.#delimiter)) this.#delimiter = bytes.slice();
    return this.#delimiter;
  }
}

/** How the length of a message stands before it. */
interface Prefix {
  readonly lengthBytes: number;
  readonly isLittleEndian: boolean;
  /** The most bytes of the message. */
  readonly most: number;
}

const queueing: Operation = { syscall };

function sizeOf(delimiter: Delimiter): number {
  return typeof delimiter === "number" ? 1 : delimiter.length;
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/** The bytes of a buffer to read into. They are looked up in a call's turn again: it may be detached by then. */
function bytesIn(into: ArrayBufferView): Uint8Array {
  return bytesOfView(viewOf(into, "read"));
}

/** @throws {RangeError} for a buffer without room */
function roomIn(into: ArrayBufferView): Uint8Array {
  const bytes = bytesIn(into);
  if (bytes.length === 0) throw emptyBuffer(bytes);
  return bytes;
}

function checkedCount(count: number): number {
  return checkedInteger(count, "a number of bytes", 0, mostBytes);
}

/** @throws {RangeError} also for NaN, which is not a limit either */
function checkedLimit(maxLength: number): number {
  if (Number.isNaN(maxLength)) throw rangeMistake("maxLength is between 1 and 4294967295, not NaN");
  return checkedInteger(maxLength, "maxLength", 1, mostBytes);
}

function tooLong(maxLength: number): MessageTooLongError {
  return new MessageTooLongError(syscall, maxLength);
}
