/** Errors that a sentence says: those of arguments, of files, and of what a file names. */

import { SocketError } from "../values/errors.ts";
import { UsageError } from "./values.ts";

/** A scenario's module cannot be loaded. The message has the error as Bun shows it, which leads to the line. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError";

  constructor(path: string, cause: unknown) {
    const shown = Bun.inspect(cause, { colors: false }).trimEnd();
    super(`the scenario ${path} cannot be loaded:\n${shown}`, { cause });
  }
}

/** Errors of a run whose messages are for users. Those of a thread have lost their class, but not their name. */
const ofRuns: ReadonlySet<string> = new Set([
  "DataFileError",
  "EndedError",
  "ForeignWaitError",
  "MissingPackageError",
  "ScenarioError",
  "UnansweredError",
]);

/** What a user needs to know of an error; undefined if that is its stack. */
export function sentenceOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { name, message } = error;
  if (name === "ForeignWaitError") return message.replace('driver "attached"', "--driver attached");
  return isFault(error) || ofRuns.has(name) ? message : undefined;
}

function isFault(error: Error): boolean {
  if (error instanceof UsageError || error instanceof SocketError) return true;
  // Those of options have a code; others are bugs.
  if (error instanceof TypeError || error instanceof RangeError) return "code" in error;
  return "syscall" in error;
}
