/**
 * Sending a file, or a part of one: within the kernel (sendfile(2)), or else through memory. The kernel
 * refuses files that the system makes as they are read, such as those of /proc, and cannot be used over
 * TLS, where the data must pass through the cipher.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { immediate } from "../runtime/wait.ts";
import { checkedInteger, ownOptions, typeMistake } from "../values/checks.ts";
import { checkedDeadline, type Deadline } from "../values/deadlines.ts";
import { SocketError } from "../values/errors.ts";
import { Send } from "./sending.ts";
import type { Stream } from "./stream.ts";

/** Options of `Socket.sendFile`. */
export interface SendFileOptions {
  /** Where in the file to begin, in bytes; 0 if not given. */
  offset?: number | undefined;
  /** How many bytes to send; up to the file's end if not given. */
  length?: number | undefined;
  /** When to give up. */
  deadline?: number | undefined;
}

const sendFileOptions: ReadonlySet<string> = new Set(["offset", "length", "deadline"]);

/** A checked request: the part of the file to send, and its deadline. */
export interface FileRequest {
  readonly file: string | number;
  readonly offset: number;
  readonly length: number | undefined;
  readonly deadline: Deadline;
}

export function checkedFileRequest(file: string | number, given: SendFileOptions): FileRequest {
  const options = ownOptions(given, sendFileOptions, "sendFile");
  const deadline = checkedDeadline(options.deadline);
  const offset = checkedInteger(options.offset ?? 0, "offset", 0, Number.MAX_SAFE_INTEGER);
  if (typeof file !== "number" && typeof file !== "string") {
    throw typeMistake("sendFile takes a path or a descriptor");
  }
  if (typeof file === "number") checkedInteger(file, "a descriptor", 0, 0x7fff_ffff);
  if (options.length !== undefined) {
    checkedInteger(options.length, "length", 0, Number.MAX_SAFE_INTEGER);
  }
  return { file, offset, length: options.length, deadline };
}

/** Sends a part of a file, by a function that queues the transfer. */
export async function sendFile(
  socket: Stream,
  request: FileRequest,
  send: (transfer: Send, deadline: Deadline) => Promise<number>,
): Promise<number> {
  const { file, offset, deadline } = request;
  const { fd, size } = openFile(file);
  try {
    // Files without a known size (those of /proc) have a size of 0. They are sent to their end.
    const length = request.length ?? (size > offset ? size - offset : Number.MAX_SAFE_INTEGER);
    if (length === 0) return await immediate(0, "sendfile");
    return await send(new SendFile(socket, fd, offset, length), deadline);
  } finally {
    if (typeof file === "string") closeSync(fd);
  }
}

/** Opens a file, or examines one that is open. */
function openFile(file: string | number): { fd: number; size: number } {
  let fd = typeof file === "number" ? file : -1;
  try {
    // Without O_NONBLOCK, to open a FIFO would block the thread until a writer opens it.
    if (typeof file === "string") fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return { fd, size: fstatSync(fd).size };
  } catch (error) {
    const { code = "EIO", syscall } = error as NodeJS.ErrnoException;
    const address = typeof file === "number" ? `fd ${file}` : file;
    throw new SocketError(code, { syscall, address, bytesWritten: 0, cause: error });
  }
}

/** The core encrypts so many bytes for one system call. */
const portionBytes = 131_072;

const vector = new Float64Array(2);

/** Whether sendfile(2) refuses the file. */
function isRefusal(count: number): boolean {
  return -count === Status.EINVAL || -count === Status.ENOSYS || -count === Status.EOPNOTSUPP;
}

class SendFile extends Send {
  readonly #fd: number;
  /** The position in the file of the next byte to send. */
  #offset: number;
  #remaining: number;
  /** Bytes of the file in memory, once the kernel has refused to copy it. */
  #portion: Uint8Array | undefined = undefined;
  /** The part of these bytes that is still to be sent. */
  #start = 0;
  #end = 0;

  constructor(socket: Stream, fd: number, offset: number, length: number) {
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

  /** The file ends before the requested length: nothing more is sent. */
  #endEarly(): number {
    const status = core.sendVector(this.socket.handle, vector, 0, 0);
    if (status === 0) this.#remaining = 0;
    return status;
  }
}
