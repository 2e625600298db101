/** Errors that a sentence says: those of arguments, of files, and of what a file names. */

import { DataFileError } from "../load/data/files.ts";
import { SocketError } from "../values/errors.ts";
import { UsageError } from "./values.ts";

/** Whether the message of an error is all that a user needs. */
export function isFault(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (error instanceof UsageError) return true;
  // One of a Worker has the name, and not the class.
  if (error instanceof DataFileError || error.name === "DataFileError") return true;
  if (error instanceof TypeError || error instanceof RangeError) {
    // Those of options have a code; others are bugs.
    return "code" in error;
  }
  if (error instanceof SocketError) return true;
  return error.message.startsWith("plait: ") || "syscall" in error;
}
