/**
 * Sending a file, or a part of one: within the kernel (sendfile(2)), or else through memory. The kernel's
 * way is not to be had for files that the system makes as they are read, such as those of /proc, and over
 * TLS, where the data must pass through the cipher.
 */

import { readSync } from "node:fs";
import { Status } from "./abi.ts";
import { SocketError } from "./errors.ts";
import { addressOf, core } from "./native.ts";
import type { Socket } from "./socket.ts";
import { SendWait } from "./transfers.ts";

/** As much as the core encrypts for one system call. */
const portionBytes = 131_072;

const vector = new Float64Array(2);

/** The core leaves the turn with a caller whose file it does not take. */
function isRefusal(count: number): boolean {
  return -count === Status.EINVAL || -count === Status.ENOSYS || -count === Status.EOPNOTSUPP;
}

export class FileSend extends SendWait {
  readonly #fd: number;
  /** Where in the file what is to be sent next begins. */
  #offset: number;
  #remaining: number;
  /** What was read of the file, once the kernel has refused to copy it. */
  #portion: Uint8Array | undefined = undefined;
  /** What of the portion is still to be sent. */
  #start = 0;
  #end = 0;
  #readFailure: Error | undefined = undefined;

  constructor(socket: Socket, deadline: number, fd: number, offset: number, length: number) {
    super(socket, deadline);
    this.#fd = fd;
    this.#offset = offset;
    this.#remaining = length;
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
    this.#offset += count;
    this.#remaining -= count;
    this.#start += count;
  }

  protected override transfer(granted: 0 | 1): number {
    const { handle } = this.socket;
    if (this.#portion === undefined) {
      const count = core.sendFile(handle, this.#fd, this.#offset, this.#remaining, granted);
      if (!isRefusal(count)) return count === 0 ? this.#endEarly() : count;
      this.#portion = new Uint8Array(Math.min(portionBytes, this.#remaining));
    }
    return this.#copy(this.#portion, granted);
  }

  #copy(portion: Uint8Array, granted: 0 | 1): number {
    const { handle } = this.socket;
    if (this.#start >= this.#end) {
      this.#start = 0;
      try {
        const length = Math.min(portion.length, this.#remaining);
        this.#end = readSync(this.#fd, portion, 0, length, this.#offset);
      } catch (error) {
        const { code = "EIO" } = error as NodeJS.ErrnoException;
        this.#readFailure = new SocketError(code, { ...this.details(), cause: error });
        core.endSend(handle, 1);
        return -Status.EIO;
      }
      if (this.#end === 0) return this.#endEarly();
    }
    // As a part of the whole, so that the turn is kept until the last portion is sent.
    vector[0] = addressOf(portion) + this.#start;
    vector[1] = this.#end - this.#start;
    return core.sendVector(handle, vector, 1, this.#remaining, granted);
  }

  /** The file ends before the length that was asked for: there is nothing more to send. */
  #endEarly(): number {
    core.endSend(this.socket.handle, 0);
    this.#remaining = 0;
    return 0;
  }
}
