/** The operation that receives into the buffer of a reader. */

import { Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { blocked } from "../net/lane.ts";
import { socketFailure } from "../net/socket_failures.ts";
import type { Stream } from "../net/stream.ts";
import { SocketTransfer } from "../net/transfers.ts";
import type { Receiver, Unread } from "./unread.ts";

export class Fill extends SocketTransfer<number> implements Receiver {
  readonly #unread: Unread;
  #isLast = false;

  constructor(socket: Stream, unread: Unread) {
    super(socket);
    this.#unread = unread;
  }

  get syscall(): string {
    return "read";
  }

  /** Receives what has come. Returns the number of bytes, 0 at the end of the stream. */
  attempt(isLast: boolean): number | typeof blocked {
    this.#isLast = isLast;
    const count = this.#unread.receive(this);
    if (count >= 0) return this.socket.received(count);
    if (-count !== Status.wouldBlock) throw socketFailure(this.socket, -count, this.syscall);
    this.#unread.shrink();
    return blocked;
  }

  receiveInto(buffer: Uint8Array, offset: number, length: number): number {
    const address = (addressOf(buffer) + offset) as Parameters<typeof core.receive>[1];
    const { handle } = this.socket;
    return this.#isLast
      ? core.tryReceive(handle, address, length)
      : core.receive(handle, address, length);
  }
}
