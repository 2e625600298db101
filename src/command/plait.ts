#!/usr/bin/env bun
/** The `plait` program. */

import { failureKinds } from "../load/outcomes.ts";
import { UnansweredError } from "../load/run.ts";
import { versions } from "../process/versions.ts";
import { parseCommand } from "./arguments.ts";
import { exitCodes } from "./exit_codes.ts";
import { sentenceOf } from "./faults.ts";
import { helpText } from "./help.ts";
import { runLoad } from "./run_load.ts";
import { runCompare, runMerge } from "./run_reports.ts";
import { guardStreams, written } from "./streams.ts";
import { UsageError } from "./values.ts";

/** Does what the words say, and returns the exit code. */
async function main(words: readonly string[]): Promise<number> {
  const command = parseCommand(words, failureKinds);
  switch (command.kind) {
    case "help":
      await written(process.stdout, helpText(command.topic));
      return exitCodes.held;
    case "version":
      console.log(versions().plait);
      return exitCodes.held;
    case "load":
      return await runLoad(command, words);
    case "compare":
      return await runCompare(command);
    case "merge":
      return await runMerge(command);
  }
}

// The Workers of a run have this file as their main module, and do not come here.
if (import.meta.main && Bun.isMainThread) await runProgram();

/** Runs the program, and ends the process with the exit code. */
export async function runProgram(): Promise<never> {
  guardStreams();
  let exitCode: number = exitCodes.usage;
  try {
    exitCode = await main(process.argv.slice(2));
  } catch (error) {
    // A fault of the user is a sentence. Any other is plait's or the scenario's own, and has its stack.
    const sentence = sentenceOf(error);
    console.error(sentence === undefined ? error : `plait: ${sentence.replace(/^plait: /, "")}`);
    if (error instanceof UsageError) console.error("plait load --help shows examples");
    if (error instanceof UnansweredError) exitCode = exitCodes.interrupted;
  }
  // A scenario's module may have left timers or connections in this thread.
  process.exit(exitCode);
}
