/**
 * Sending a file, or a part of one: within the kernel (sendfile(2)), or else through memory. The kernel's
 * way is not to be had for files that the system makes as they are read, such as those of /proc, and over
 * TLS, where the data must pass through the cipher.
 */

import { readSync } from "node:fs";
import { Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { SocketError } from "../values/errors.ts";
import type { Socket } from "./socket.ts";
import { Send } from "./transfers.ts";

/** As much as the core encrypts for one system call. */
const portionBytes = 131_072;

const vector = new Float64Array(2);

/** Whether sendfile(2) does not take the file. */
function isRefusal(count: number): boolean {
  return -count === Status.EINVAL || -count === Status.ENOSYS || -count === Status.EOPNOTSUPP;
}

export class SendFile extends Send {
  readonly #fd: number;
  /** Where in the file what is to be sent next begins. */
  #offset: number;
  #remaining: number;
  /** What was read of the file, once the kernel has refused to copy it. */
  #portion: Uint8Array | undefined = undefined;
  /** What of the portion is still to be sent. */
  #start = 0;
  #end = 0;

  constructor(socket: Socket, fd: number, offset: number, length: number) {
    super(socket);
    this.#fd = fd;
    this.#offset = offset;
    this.#remaining = length;
  }

  override get syscall(): string {
    return "sendfile";
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

  protected override transfer(): number {
    if (this.#portion === undefined) {
      const { handle } = this.socket;
      const count = core.sendFile(handle, this.#fd, this.#offset, this.#remaining);
      if (!isRefusal(count)) return count === 0 ? this.#endEarly() : count;
      this.#portion = new Uint8Array(Math.min(portionBytes, this.#remaining));
    }
    return this.#copy(this.#portion);
  }

  #copy(portion: Uint8Array): number {
    if (this.#start >= this.#end) {
      this.#start = 0;
      try {
        const length = Math.min(portion.length, this.#remaining);
        this.#end = readSync(this.#fd, portion, 0, length, this.#offset);
      } catch (error) {
        const { code = "EIO" } = error as NodeJS.ErrnoException;
        throw new SocketError(code, { ...this.details(), cause: error });
      }
      if (this.#end === 0) return this.#endEarly();
    }
    // As a part of the whole: the core expects the rest before anything else.
    vector[0] = addressOf(portion) + this.#start;
    vector[1] = this.#end - this.#start;
    return core.sendVector(this.socket.handle, vector, 1, this.#remaining);
  }

  /** The file ends before the length that was asked for: there is nothing more to send. */
  #endEarly(): number {
    this.#remaining = 0;
    return 0;
  }
}
