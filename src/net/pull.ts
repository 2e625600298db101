/** The reads of a socket's readable stream. */

import { Status } from "../core/abi.ts";
import { rejected, statusError } from "../runtime/wait.ts";
import type { Reads } from "../streams/socket_streams.ts";
import { type Deadline, never } from "../values/deadlines.ts";
import type { blocked, Transfer } from "./lane.ts";
import { callDetails, checkSocket } from "./socket_failures.ts";
import type { Stream } from "./stream.ts";
import { receive, receiveChunk, SocketTransfer } from "./transfers.ts";

/** A socket that runs a transfer in its turn, and can take it out again. */
export interface Receiving extends Stream {
  receive<T>(transfer: Transfer<T>, deadline: Deadline): Promise<T>;
  withdraw(transfer: Transfer<unknown>): void;
}

type Received = number | Uint8Array<ArrayBuffer> | null;

/** One transfer serves all reads of the stream: there is one at a time. */
export class Pull extends SocketTransfer<Received> implements Reads {
  declare readonly socket: Receiving;
  /** Where to receive to; a chunk of its own if there is none. */
  #buffer: Uint8Array | undefined = undefined;

  constructor(socket: Receiving) {
    super(socket);
  }

  get syscall(): string {
    return "read";
  }

  attempt(isLast: boolean): Received | typeof blocked {
    return this.#buffer === undefined
      ? receiveChunk(this.socket, isLast)
      : receive(this.socket, this.#buffer, isLast);
  }

  read(buffer: Uint8Array | undefined): Promise<Received> {
    try {
      checkSocket(this.socket, "read", never);
    } catch (error) {
      return rejected(error, "read");
    }
    this.#buffer = buffer;
    return this.socket.receive(this, never);
  }

  withdraw(): void {
    this.socket.withdraw(this);
  }

  closedError(syscall: string): Error {
    return statusError(Status.closed, callDetails(this.socket, syscall));
  }

  release(): void {
    this.#buffer = undefined;
  }

  failed(): void {
    this.#buffer = undefined;
  }
}
