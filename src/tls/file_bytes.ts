/** Reading the files of certificates and keys, synchronously and not through Bun's loop. */

import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { TlsError } from "./errors.ts";

/** Longer than any revocation list. */
const largestFile = 64 * 1024 * 1024;

/** Without O_NONBLOCK, to open a FIFO would block the thread until a writer opens it. */
const openFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * The bytes of a regular file of at most 64 MiB. A FIFO, a device and a pipe, such as the shell's
 * `<(command)` names, are refused: to read one may block the thread, or never end.
 *
 * @param what names the option or the variable, for errors
 * @throws {TlsError} with the path: the system's code, `EISDIR` or `EINVAL` for a file that is not
 *   regular, `EFBIG` for one that is too long, `ERR_OSSL_NO_DATA` for an empty one
 */
export function fileBytes(path: string, what: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = isEmbedded(path) ? readFileSync(path) : openedBytes(path, what);
  } catch (error) {
    throw error instanceof TlsError ? error : unreadable(path, what, error);
  }
  if (bytes.byteLength > 0) return bytes;
  throw new TlsError("ERR_OSSL_NO_DATA", {
    syscall: "tls",
    address: path,
    reason: `${what}: the file is empty`,
  });
}

/** The error of a file or a folder for which a system call failed. */
export function unreadable(path: string, what: string, cause: unknown): TlsError {
  const { code = "EIO", syscall = "open" } = cause as NodeJS.ErrnoException;
  return new TlsError(code, { syscall, address: path, reason: `${what} cannot be read`, cause });
}

/** Whether a path names a file that is part of the executable. open(2) finds no such file. */
function isEmbedded(path: string): boolean {
  return path.startsWith("/$bunfs/") && Bun.embeddedFiles.length > 0;
}

function openedBytes(path: string, what: string): Uint8Array {
  const fd = openSync(path, openFlags);
  try {
    return regularBytes(fd, path, what);
  } finally {
    closeSync(fd);
  }
}

function regularBytes(fd: number, path: string, what: string): Uint8Array {
  const status = fstatSync(fd);
  const refuse = (code: string, reason: string): never => {
    throw new TlsError(code, { syscall: "read", address: path, reason: `${what}: ${reason}` });
  };
  if (status.isDirectory()) refuse("EISDIR", "it is a directory");
  if (!status.isFile()) refuse("EINVAL", "it is no regular file, but a pipe, a device or the like");
  if (status.size > largestFile) refuse("EFBIG", "it is too long");
  // Files without a known size (those of /proc) have a size of 0, and others may grow.
  let bytes = new Uint8Array(status.size + 1);
  let length = 0;
  for (
    let count: number;
    (count = readSync(fd, bytes, length, bytes.length - length, null)) > 0;
  ) {
    length += count;
    if (length > largestFile) refuse("EFBIG", "it is too long");
    if (length === bytes.length) bytes = new Uint8Array(bytes.buffer.transfer(2 * length + 4096));
  }
  return new Uint8Array(bytes.buffer.transfer(length));
}
