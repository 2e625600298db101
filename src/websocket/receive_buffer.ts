/** Bytes that were received, and are not all read yet. A connection that waits for a message holds no buffer. */

import { Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { blocked } from "../net/lane.ts";
import { socketFailure } from "../net/socket_failures.ts";
import type { Stream } from "../net/stream.ts";

/** Bytes of a buffer that a connection takes when something begins to come. */
const bufferBytes = 32_768;
const mostSpares = 64;
/** A buffer grows to no more than so many times its size at once: a length may promise what never comes. */
const mostGrowth = 4;

const noBytes = new Uint8Array(0);
/** Buffers that no connection holds. */
const spares: Uint8Array<ArrayBuffer>[] = [];

export class ReceiveBuffer {
  bytes: Uint8Array<ArrayBuffer> = noBytes;
  /** Where what is kept begins, how far was read, and where what has come ends. */
  start = 0;
  at = 0;
  end = 0;

  /**
   * Receives what is there behind what has come. Nothing is held while there is nothing.
   *
   * @param wanted the bytes from `start` on that are known to come
   * @returns the number of bytes; 0 at the end of the stream
   */
  receive(socket: Stream, isLast: boolean, wanted: number): number | typeof blocked {
    this.#makeRoom(wanted);
    const { bytes, end } = this;
    const address = (addressOf(bytes) + end) as Parameters<typeof core.receive>[1];
    const room = bytes.length - end;
    const count = isLast
      ? core.tryReceive(socket.handle, address, room)
      : core.receive(socket.handle, address, room);
    if (count >= 0) {
      this.end += count;
      return socket.received(count);
    }
    if (-count !== Status.wouldBlock) throw socketFailure(socket, -count, "read");
    this.giveBackIfEmpty();
    return blocked;
  }

  /** Gives the buffer back when everything was read and nothing is kept. */
  giveBackIfEmpty(): void {
    const { bytes } = this;
    if (this.start !== this.end || bytes.length === 0) return;
    if (bytes.length === bufferBytes && spares.length < mostSpares) spares.push(bytes);
    this.bytes = noBytes;
    this.start = this.at = this.end = 0;
  }

  #makeRoom(wanted: number): void {
    const { length } = this.bytes;
    if (length === 0) {
      this.bytes = spares.pop() ?? new Uint8Array(bufferBytes);
    } else if (this.end === length) {
      if (2 * this.start >= length) this.#moveTo(this.bytes);
      else {
        const most = mostGrowth * length;
        this.#moveTo(new Uint8Array(Math.max(Math.min(wanted, most), 2 * length)));
      }
    }
  }

  #moveTo(buffer: Uint8Array<ArrayBuffer>): void {
    const { start } = this;
    buffer.set(this.bytes.subarray(start, this.end));
    this.bytes = buffer;
    this.start = 0;
    this.at -= start;
    this.end -= start;
  }
}
