/** Sending files. */

import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { immediate } from "../runtime/wait.ts";
import { checkedDeadline, checkedInteger, ownOptions, typeMistake } from "../values/checks.ts";
import { SocketError } from "../values/errors.ts";
import { SendFile } from "./file_send.ts";
import type { Socket } from "./socket.ts";

export interface SendFileOptions {
  /** Where in the file to begin, in bytes; 0 if not given. */
  offset?: number | undefined;
  /** How many bytes to send; up to the file's end if not given. */
  length?: number | undefined;
  deadline?: number | undefined;
}

const sendFileOptions: ReadonlySet<string> = new Set(["offset", "length", "deadline"]);

/** What is to be sent, and until when. */
export interface FileRequest {
  readonly file: string | number;
  readonly offset: number;
  readonly length: number | undefined;
  readonly deadline: number;
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

/** Sends what was checked. */
export async function sendFile(socket: Socket, request: FileRequest): Promise<number> {
  const { file, offset, deadline } = request;
  const { fd, size } = openFile(file);
  try {
    // Files whose size is unknown (those of /proc) say 0: they are sent up to wherever they end.
    const length = request.length ?? (size > offset ? size - offset : Number.MAX_SAFE_INTEGER);
    if (length === 0) return await immediate(0, "sendfile");
    return await socket.send(new SendFile(socket, fd, offset, length), deadline);
  } finally {
    if (typeof file === "string") closeSync(fd);
  }
}

/** Opens a file to be sent, or looks at one that is open. */
function openFile(file: string | number): { fd: number; size: number } {
  let fd = typeof file === "number" ? file : -1;
  try {
    // Without O_NONBLOCK, to open a FIFO would stop the thread until somebody writes to it.
    if (typeof file === "string") fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return { fd, size: fstatSync(fd).size };
  } catch (error) {
    const { code = "EIO", syscall } = error as NodeJS.ErrnoException;
    const address = typeof file === "number" ? `fd ${file}` : file;
    throw new SocketError(code, { syscall, address, bytesWritten: 0, cause: error });
  }
}
