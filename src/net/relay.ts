/**
 * One way of a pipe: what one socket receives is sent to another one. It is a transfer that waits to receive.
 * It ends only when the stream ends or the other socket takes no more. So data that keeps flowing wakes no
 * fiber, and a way that waits for data holds no memory for it.
 */

import { Limits, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { running, type WaitOwner } from "../runtime/wait.ts";
import { blocked, type Transfer, unfinished } from "./lane.ts";
import { socketFailure } from "./socket_failures.ts";
import type { Stream } from "./stream.ts";
import { SocketTransfer } from "./transfers.ts";

/** The socket that data is sent to. */
export interface Target extends Stream {
  /** Whether a write, or the end of the stream, waits. */
  readonly isWriting: boolean;
  writeRest(rest: Uint8Array, isBegun: boolean): Promise<number>;
}

/** Data is here from a receive to the send that follows at once. */
const scratchBytes = 262_144;
const scratch = new Uint8Array(scratchBytes);

/** The end of the stream, or the write of data that the target did not take at once. */
export type Relayed = "end" | Promise<number>;

export class Relay extends SocketTransfer<Relayed> implements Transfer<Relayed> {
  readonly #target: Target;
  /** The fiber of the way. A write waits in its name, so that its cancellation ends the write. */
  readonly #owner: WaitOwner | undefined = running.getStore();
  /** Bytes that the target has taken at once. */
  sent = 0;

  constructor(socket: Stream, target: Target) {
    super(socket);
    this.#target = target;
  }

  get syscall(): string {
    return "read";
  }

  attempt(): Relayed | typeof blocked | typeof unfinished {
    for (let moved = 0; moved < Limits.transferBytes; ) {
      const count = core.receive(this.socket.handle, scratch, scratchBytes);
      if (count < 0) {
        if (-count === Status.wouldBlock) return blocked;
        throw socketFailure(this.socket, -count, "read");
      }
      if (this.socket.received(count) === 0) return "end";
      moved += count;
      const sent = this.#send(count);
      this.sent += sent;
      if (sent < count) return this.#write(scratch.slice(sent, count), sent > 0);
    }
    return unfinished;
  }

  /** Sends what the target takes now. Other writes come first. */
  #send(length: number): number {
    const target = this.#target;
    if (target.isWriting) return 0;
    const count = core.send(target.handle, scratch, 0, length);
    if (count >= 0) {
      target.sent(count);
      return count;
    }
    if (-count === Status.wouldBlock) return 0;
    throw socketFailure(target, -count, "write", 0);
  }

  /** Begins at once: over TLS nothing else may be sent before the rest. */
  #write(rest: Uint8Array, isBegun: boolean): Promise<number> {
    const owner = this.#owner;
    if (owner === undefined) return this.#target.writeRest(rest, isBegun);
    return running.run(owner, () => this.#target.writeRest(rest, isBegun));
  }
}
