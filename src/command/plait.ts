#!/usr/bin/env bun
/** The `plait` program. */

import { failureKinds } from "../load/outcomes.ts";
import { versions } from "../process/versions.ts";
import { parseCommand } from "./arguments.ts";
import { exitCodes } from "./exit_codes.ts";
import { isFault } from "./faults.ts";
import { helpText } from "./help.ts";
import { runLoad } from "./run_load.ts";
import { runCompare, runMerge } from "./run_reports.ts";
import { UsageError } from "./values.ts";

/** Does what the words say, and returns the exit code. */
async function main(words: readonly string[]): Promise<number> {
  const command = parseCommand(words, failureKinds);
  switch (command.kind) {
    case "help":
      process.stdout.write(helpText(command.topic));
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

/** Runs the program. The exit code is in `process.exitCode`. */
export async function runProgram(): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    // A fault of the user is a sentence. Any other is plait's or the scenario's own, and has its stack.
    if (error instanceof UsageError) {
      console.error(`plait: ${error.message}\nplait load --help shows examples`);
    } else if (isFault(error)) console.error(`plait: ${error.message.replace(/^plait: /, "")}`);
    else console.error(error);
    process.exitCode = exitCodes.usage;
  }
}
