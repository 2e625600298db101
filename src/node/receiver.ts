/**
 * The operation that receives for a stream. It stays in the socket's lane for as long as the stream wants
 * data, and gives each chunk to the stream in the turn in which it has come.
 */

import { Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { blocked, unfinished } from "../net/lane.ts";
import type { Socket as PlaitSocket } from "../net/socket.ts";
import { socketFailure } from "../net/socket_failures.ts";
import { SocketTransfer } from "../net/transfers.ts";
import { takeTlsNotices } from "../tls/notices.ts";
import { byteLengthOf } from "../values/views.ts";

/** The buffer of the `onread` option, or a function that returns one. */
export type OwnBuffer = Uint8Array | (() => Uint8Array);

const scratchBytes = 65_536;
/** Data is received here before its length is known. The stream gets a copy. */
const scratch = new Uint8Array(scratchBytes);

/** What the stream does with the data is its own: none of its functions throws. */
export abstract class Receiver extends SocketTransfer<undefined> {
  readonly #plait: PlaitSocket;
  readonly #buffer: OwnBuffer | undefined;
  /** A buffer of the program into which nothing was received yet. */
  #empty: Uint8Array | undefined = undefined;
  /** Whether the stream wants data. */
  isActive = false;

  constructor(socket: PlaitSocket, buffer: OwnBuffer | undefined) {
    super(socket);
    this.#plait = socket;
    this.#buffer = buffer;
  }

  /** Takes a chunk. Returns whether the stream wants another one. */
  protected abstract received(chunk: Buffer): boolean;
  /** Takes so many bytes in the program's own buffer. Returns whether it wants more. */
  protected abstract filled(count: number, buffer: Uint8Array): boolean;
  /** The peer has ended the stream. */
  protected abstract ended(): void;
  protected abstract broken(error: unknown): void;

  get syscall(): string {
    return "read";
  }

  attempt(): undefined | typeof blocked | typeof unfinished {
    while (this.isActive) {
      const buffer = this.#nextBuffer();
      if (buffer === undefined) break;
      const room = byteLengthOf(buffer);
      const count = core.receive(this.socket.handle, buffer, room);
      if (count > 0) {
        this.socket.received(count);
        if (this.#plait.secure) takeTlsNotices();
        if (!this.#give(buffer, count)) this.isActive = false;
        // What listeners have begun goes on before the next chunk.
        else if (count === room) return unfinished;
      } else if (-count === Status.wouldBlock) return blocked;
      else {
        this.isActive = false;
        if (count === 0) {
          this.socket.received(0);
          this.ended();
        } else this.broken(socketFailure(this.socket, -count, "read"));
      }
    }
    return undefined;
  }

  /** Where to receive. Undefined when the program's function has none. */
  #nextBuffer(): Uint8Array | undefined {
    if (this.#buffer === undefined) return scratch;
    if (typeof this.#buffer !== "function") return this.#buffer;
    if (this.#empty !== undefined) return this.#empty;
    try {
      const buffer = this.#buffer();
      if (byteLengthOf(buffer) > 0) return (this.#empty = buffer);
      throw new RangeError("the buffer of onread has no room");
    } catch (error) {
      this.isActive = false;
      this.broken(error);
      return undefined;
    }
  }

  #give(buffer: Uint8Array, count: number): boolean {
    this.#empty = undefined;
    if (buffer !== scratch) return this.filled(count, buffer);
    const chunk = Buffer.allocUnsafeSlow(count);
    core.copy(chunk, scratch, count);
    return this.received(chunk);
  }
}
