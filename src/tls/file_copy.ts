/** Sending files over TLS: the data must pass through the cipher, so that the kernel cannot copy it. */

import { readSync } from "node:fs";
import { Status } from "../abi.ts";
import { SocketError } from "../errors.ts";
import { addressOf, core } from "../native.ts";
import type { Socket } from "../socket.ts";
import { SendWait } from "../transfers.ts";

/** As much as the core encrypts for one system call. */
const portionBytes = 131_072;

const vector = new Float64Array(2);

/** Reads a part of a file in portions, and sends each. */
export class FileCopy extends SendWait {
  readonly #fd: number;
  /** Where in the file the next portion begins. */
  #offset: number;
  #remaining: number;
  readonly #portion: Uint8Array;
  /** What of the portion is still to be sent. */
  #start = 0;
  #end = 0;
  #readFailure: Error | undefined = undefined;

  constructor(socket: Socket, deadline: number, fd: number, offset: number, length: number) {
    super(socket, deadline);
    this.#fd = fd;
    this.#offset = offset;
    this.#remaining = length;
    this.#portion = new Uint8Array(Math.min(portionBytes, length));
  }

  override get syscall(): string {
    return "sendfile";
  }

  override errorOf(status: number): Error {
    return this.#readFailure ?? super.errorOf(status);
  }

  protected override get remaining(): number {
    return this.#remaining;
  }

  protected override advance(count: number): void {
    super.advance(count);
    this.#remaining -= count;
    this.#start += count;
  }

  protected override transfer(granted: 0 | 1): number {
    const { handle } = this.socket;
    try {
      if (this.#start === this.#end) this.#read();
    } catch (error) {
      const { code = "EIO" } = error as NodeJS.ErrnoException;
      this.#readFailure = new SocketError(code, { ...this.details(), cause: error });
      if (granted) core.endSend(handle, 1);
      return -Status.EIO;
    }
    if (this.#start === this.#end) {
      // The file ends before the length that was asked for: there is nothing more to send.
      if (granted) core.endSend(handle, 0);
      this.#remaining = 0;
      return 0;
    }
    // As a part of the whole, so that the turn is kept until the last portion is sent.
    vector[0] = addressOf(this.#portion) + this.#start;
    vector[1] = this.#end - this.#start;
    return core.sendVector(handle, vector, 1, this.#remaining, granted);
  }

  #read(): void {
    const length = Math.min(this.#portion.byteLength, this.#remaining);
    this.#start = 0;
    this.#end = readSync(this.#fd, this.#portion, 0, length, this.#offset);
    this.#offset += this.#end;
  }
}
