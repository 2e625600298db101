/** A reader with a buffer: lines, frames and numbers from a stream of bytes. */

import { emptyBuffer, viewOf } from "../net/buffers.ts";
import { Socket } from "../net/socket.ts";
import { rejected } from "../runtime/wait.ts";
import type { TlsContext } from "../tls/options.ts";
import type { StartTlsOptions } from "../tls/start.ts";
import { checkedSwitch, ownOptions, typeMistake } from "../values/checks.ts";
import { SocketError, UnexpectedEndError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import { bytesOfView } from "../values/views.ts";
import { Calls, type Take } from "./calls.ts";
import { type Delimiter, Delimiters, sizeOf } from "./delimiters.ts";
import { checkedCount, checkedLimit } from "./limits.ts";
import { Lines } from "./lines.ts";
import { NumberReader } from "./number_reader.ts";
import type { Kind } from "./numbers.ts";
import { type Prefix, type PrefixedOptions, prefixOf } from "./prefixes.ts";
import { type Newline, Units } from "./units.ts";
import type { Unread } from "./unread.ts";

export type { Newline, PrefixedOptions };

/** Options of a `BufferedReader`. */
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

const readerOptions: ReadonlySet<string> = new Set(["maxLength", "newline", "fatal"]);
const newlines: ReadonlySet<string> = new Set(["lf", "crlf", "any"]);

const syscall = "read";
const defaultMaxLength = 65_536;
/** A request for more than this is received in the caller's memory, or in a buffer made for it. */
const shortBytes = 4096;

// The units that the calls take.
const line: Take<void, string | null> = (units) => units.line();
const lines: Take<void, string[] | null> = (units) => units.lines();
const until: Take<Delimiter, Uint8Array<ArrayBuffer> | null> = (units, delimiter) =>
  units.until(delimiter);
const bytes: Take<number, Uint8Array<ArrayBuffer>> = (units, count) => units.bytes(count);
const text: Take<number, string> = (units, byteLength) => units.text(byteLength);
const view: Take<number, Uint8Array<ArrayBuffer>> = (units, count) => units.view(count);
const chunk: Take<void, Uint8Array<ArrayBuffer> | null> = (units) => units.chunk();
const number = <T extends number | bigint>(units: Units, kind: Kind<T>): T | undefined =>
  units.number(kind);
const atEnd: Take<void, boolean> = (units) => units.atEnd();
const varint: Take<void, number> = (units) => units.varint();
const prefixed: Take<Prefix, Uint8Array<ArrayBuffer> | null> = (units, prefix) =>
  units.prefixed(prefix);

/**
 * Reads units from a socket: lines, delimited and prefixed messages, numbers, blocks. Do not read from the
 * socket itself as well: `socket.read` does not see what the reader has received.
 *
 * - A call returns null only when the stream ended between two units. A stream that ends within a unit
 *   fails with an `UnexpectedEndError`, whose `partial` has the bytes. They stay unread.
 * - A unit over its limit fails with a `MessageTooLongError`. Nothing is consumed: the call can be repeated
 *   with a higher limit, and `discardUntil` skips the unit without buffering it.
 * - A deadline or a cancellation consumes nothing, except in `discard` and `discardUntil`.
 * - What is returned is the caller's own, except from `peek`.
 * - Calls of several fibers are served in their order.
 *
 * A reader with nothing unread holds no buffer. Deadlines are points on the clock of `now()`. Where a
 * `Promise` is returned, errors reject it: those of `Socket.read`, and the two above.
 */
export class BufferedReader extends NumberReader {
  readonly #socket: Socket;
  readonly #units: Units;
  readonly #calls: Calls;
  readonly #delimiters = new Delimiters();

  /**
   * @throws {RangeError} for a `maxLength` below 1 or NaN, {TypeError} for anything but a socket, and for other
   *   wrong options
   */
  constructor(source: Socket, options: BufferedReaderOptions = {}) {
    const { maxLength, newline, fatal } = ownOptions(options, readerOptions, "BufferedReader");
    if (newline !== undefined && !newlines.has(newline)) {
      throw typeMistake(`newline is "lf", "crlf" or "any"`);
    }
    if (!isInstance(source, Socket)) throw typeMistake("BufferedReader takes a socket");
    super();
    this.#socket = source;
    this.#units = new Units(source, {
      maxLength: maxLength === undefined ? defaultMaxLength : checkedLimit(maxLength),
      newline: newline ?? "any",
      isStrict: checkedSwitch(fatal, "fatal", false),
    });
    this.#calls = new Calls(source, this.#units);
  }

  /** Bytes that were received and not read yet. */
  get buffered(): number {
    return this.#unread.length;
  }

  get #unread(): Unread {
    return this.#units.unread;
  }

  /** The next line without its newline; null at the end. */
  readLine(deadline?: number): Promise<string | null> {
    return this.#calls.read(line, undefined, deadline);
  }

  /**
   * All whole lines that have come, at least one, without their newlines; null at the end. It has one promise for
   * many lines, so it is the fastest way to read them. They are one text in memory, of at most 16 KiB unless
   * a single line is longer: keep a copy of a line that is to outlive the others.
   */
  readLines(deadline?: number): Promise<string[] | null> {
    return this.#calls.read(lines, undefined, deadline);
  }

  /**
   * The next line if all of it is buffered, without a promise: for answers that come many at a time.
   *
   * @returns null at the end; undefined when more must be received first, or another fiber's call waits
   * @throws {MessageTooLongError} {UnexpectedEndError} {TypeError} as `readLine`
   */
  tryReadLine(): string | null | undefined {
    return this.#calls.isBusy ? undefined : this.#units.line();
  }

  /** The lines up to the end. Leaving the loop early does not close the socket. */
  lines(): AsyncIterableIterator<string, undefined> {
    return new Lines(this.#calls);
  }

  /** The bytes before the next `delimiter`, which is consumed too; null at the end. Text means its UTF-8. */
  readUntil(
    delimiter: string | Uint8Array,
    deadline?: number,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    let sought: Delimiter;
    try {
      sought = this.#delimiters.of(delimiter);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#calls.read(until, sought, deadline);
  }

  /** The next `count` bytes. */
  readExactly(count: number, deadline?: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#counted(bytes, count, deadline);
  }

  /** The next `count` bytes if all of them are buffered; otherwise as `tryReadLine`. */
  tryReadExactly(count: number): Uint8Array<ArrayBuffer> | undefined {
    checkedCount(count);
    return this.#calls.isBusy ? undefined : this.#units.bytes(count);
  }

  /** The next `byteLength` bytes as text. */
  readText(byteLength: number, deadline?: number): Promise<string> {
    return this.#counted(text, byteLength, deadline);
  }

  /** The next `byteLength` bytes as text if all of them are buffered; otherwise as `tryReadLine`. */
  tryReadText(byteLength: number): string | undefined {
    checkedCount(byteLength);
    return this.#calls.isBusy ? undefined : this.#units.text(byteLength);
  }

  /**
   * Fills `into`, which nothing else may use until then. After a failure the bytes that have come are unread, and
   * what is in `into` does not count.
   */
  readFull(into: ArrayBufferView, deadline?: number): Promise<void> {
    return this.#calls.run(
      deadline,
      () => bytesIn(into),
      async (until) => {
        const bytes = bytesIn(into);
        const { length } = bytes;
        while (this.#unread.length < length && length - this.#unread.length <= shortBytes) {
          if ((await this.#calls.receive(until)) === 0) throw this.#units.unexpectedEnd();
        }
        if (bytes.length < length) throw goneMeanwhile();
        let filled = this.#unread.moveTo(bytes);
        try {
          while (filled < length) {
            const count = await this.#socket.read(bytes.subarray(filled), until);
            if (count === 0) throw new UnexpectedEndError(syscall, bytes.slice(0, filled));
            filled += count;
          }
        } catch (error) {
          // The bytes in a buffer that was detached are the program's.
          if (bytes.length === length) this.#unread.prepend(bytes.subarray(0, filled));
          throw error;
        }
      },
    );
  }

  /** The available bytes into `into`, at least one. Returns their number; 0 is the end. */
  read(into: ArrayBufferView, deadline?: number): Promise<number> {
    return this.#calls.run(
      deadline,
      () => roomIn(into),
      async (until) => {
        const bytes = roomIn(into);
        if (this.#unread.length > 0) return this.#unread.moveTo(bytes);
        if (bytes.length > shortBytes) return await this.#socket.read(bytes, until);
        await this.#calls.receive(until);
        if (bytes.length === 0) throw goneMeanwhile();
        return this.#unread.moveTo(bytes);
      },
    );
  }

  /** All available bytes, at most 64 KiB of them unless more are buffered; null at the end. */
  next(deadline?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#calls.read(chunk, undefined, deadline);
  }

  /**
   * Whether the stream has ended and everything is read. It waits until a byte is unread or the end has come, and
   * consumes nothing. For messages that begin with a number: a number at the end is an error.
   */
  atEnd(deadline?: number): Promise<boolean> {
    return this.#calls.read(atEnd, undefined, deadline);
  }

  /** The next `count` bytes, which stay unread. The view is valid until the next call of the reader. */
  peek(count: number, deadline?: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#counted(view, count, deadline);
  }

  /** Skips `count` bytes. After a failure, those that were skipped before it do not come back. */
  discard(count: number, deadline?: number): Promise<void> {
    return this.#calls.run(
      deadline,
      () => checkedCount(count),
      async (until, wanted) => {
        let left = wanted;
        for (;;) {
          const present = Math.min(left, this.#unread.length);
          this.#unread.skip(present);
          left -= present;
          if (left === 0) return;
          if ((await this.#calls.receive(until)) === 0) throw this.#units.unexpectedEnd();
        }
      },
    );
  }

  /**
   * Skips everything up to the next `delimiter`, and the delimiter, however much that is. After a failure, what
   * was skipped before it does not come back.
   *
   * @returns the number of bytes, those of the delimiter included; 0 at the end
   */
  discardUntil(delimiter: string | Uint8Array, deadline?: number): Promise<number> {
    return this.#calls.run(
      deadline,
      () => this.#delimiters.of(delimiter),
      async (until, sought) => {
        const size = sizeOf(sought);
        for (let discarded = 0; ; ) {
          const index = this.#unread.indexOf(sought);
          // What may be the first bytes of the delimiter stays.
          const count = index >= 0 ? index + size : Math.max(this.#unread.length - size + 1, 0);
          this.#unread.skip(count);
          discarded += count;
          if (index >= 0) return discarded;
          if ((await this.#calls.receive(until)) > 0) continue;
          if (discarded + this.#unread.length === 0) return 0;
          throw this.#units.unexpectedEnd();
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
    return this.#calls.read(varint, undefined, deadline);
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
      prefix = prefixOf(lengthBytes, options, this.#units.maxLength);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#calls.read(prefixed, prefix, deadline);
  }

  /** As `readPrefixed` if all of the message is buffered; otherwise as `tryReadLine`. */
  tryReadPrefixed(
    lengthBytes: number,
    options?: PrefixedOptions,
  ): Uint8Array<ArrayBuffer> | null | undefined {
    const prefix = prefixOf(lengthBytes, options, this.#units.maxLength);
    return this.#calls.isBusy ? undefined : this.#units.prefixed(prefix);
  }

  /**
   * Turns the connection into TLS, as `Socket.startTls` does.
   *
   * @throws {SocketError} `EBUSY` while bytes are buffered or a call waits: what came before the handshake
   *   must not be taken for what came through it
   */
  async startTls(options: StartTlsOptions | TlsContext = {}, deadline?: number): Promise<void> {
    const { isBusy } = this.#calls;
    if (isBusy || this.buffered > 0) {
      const reason = isBusy ? "a read waits" : `${this.buffered} bytes are unread`;
      throw new SocketError("EBUSY", { syscall: "handshake", reason });
    }
    await this.#socket.startTls(options, deadline);
  }

  /** @internal */
  protected override readNumber<T extends number | bigint>(
    kind: Kind<T>,
    deadline: number | undefined,
  ): Promise<T> {
    return this.#calls.read(number<T>, kind, deadline);
  }

  #counted<Unit>(
    take: Take<number, Unit>,
    count: number,
    deadline: number | undefined,
  ): Promise<Unit> {
    try {
      checkedCount(count);
    } catch (error) {
      return rejected(error, syscall);
    }
    return this.#calls.read(take, count, deadline);
  }
}

/** The bytes of a buffer to read into. They are looked up in a call's turn again: it may be detached by then. */
function bytesIn(into: ArrayBufferView): Uint8Array {
  return bytesOfView(viewOf(into, "read"));
}

/** The error for a buffer that was detached, or made shorter, while the call waited. */
function goneMeanwhile(): TypeError {
  return typeMistake("read: the buffer was detached or resized while the call waited");
}

/** @throws {RangeError} for a buffer without room */
function roomIn(into: ArrayBufferView): Uint8Array {
  const bytes = bytesIn(into);
  if (bytes.length === 0) throw emptyBuffer(bytes);
  return bytes;
}
