/** Reading files of data: whole ones of a bounded size, and lines. Both take pipes too, such as /dev/stdin. */

import { closeSync, openSync, readSync } from "node:fs";

/** A file of data that cannot be read, or has not what it must have. The message is one sentence that names the file. */
export class DataFileError extends Error {
  override readonly name = "DataFileError";
}

const chunkBytes = 65_536;

/**
 * The text of a file in UTF-8, without its byte order mark.
 *
 * @throws {DataFileError} if it cannot be read, is larger than `mostBytes`, or is not UTF-8
 */
export function readText(path: string, mostBytes: number): string {
  const bytes = readWhole(path, mostBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new DataFileError(`${path} is not UTF-8`);
  }
}

/**
 * Calls a function with each line of a file, as Latin-1 and without its end. Of a line that is longer it gets
 * undefined. The function ends the reading with `false`.
 *
 * @throws {DataFileError} if it cannot be read
 */
export function readLines(
  path: string,
  mostLineBytes: number,
  each: (line: string | undefined) => unknown,
): void {
  let rest = "";
  let isTooLong = false;
  const take = (text: string): boolean => {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    const goesOn = each(isTooLong || line.length > mostLineBytes ? undefined : line) !== false;
    isTooLong = false;
    return goesOn;
  };
  const isWhole = readChunks(path, (chunk) => {
    const text = rest + chunk.toString("latin1");
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      if (!take(text.slice(start, end))) return false;
      start = end + 1;
    }
    rest = text.slice(start);
    if (rest.length > mostLineBytes) {
      isTooLong = true;
      rest = "";
    }
    return true;
  });
  if (isWhole && (rest !== "" || isTooLong)) take(rest);
}

function readWhole(path: string, mostBytes: number): Uint8Array {
  const chunks: Buffer[] = [];
  let length = 0;
  readChunks(path, (chunk) => {
    length += chunk.length;
    if (length > mostBytes) {
      throw new DataFileError(
        `${path} is larger than ${mostBytes} bytes, which is the most that is kept in memory`,
      );
    }
    chunks.push(Buffer.from(chunk));
    return true;
  });
  return Buffer.concat(chunks);
}

/** Calls a function with each chunk, which is valid until it returns. Whether it has read to the end. */
function readChunks(path: string, each: (chunk: Buffer) => boolean): boolean {
  const buffer = Buffer.alloc(chunkBytes);
  const read = (descriptor: number): number => systemCall(path, () => readSync(descriptor, buffer));
  const descriptor = systemCall(path, () => openSync(path, "r"));
  try {
    for (let count: number; (count = read(descriptor)) > 0; ) {
      if (!each(buffer.subarray(0, count))) return false;
    }
    return true;
  } finally {
    closeSync(descriptor);
  }
}

function systemCall<Result>(path: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: "there is no such file",
      EACCES: "it may not be read",
      EISDIR: "it is a folder",
    };
    const reason = reasons[code] ?? (error as Error).message;
    throw new DataFileError(`${path} cannot be read: ${reason}`, { cause: error });
  }
}
