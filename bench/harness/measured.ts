// Runs a program that measures something and prints it.

import { type Core, Program } from "./processes.ts";

const RUN_LIMIT_MS = 60_000;

/** Runs a program in a fresh process; null, with a printed reason, if it fails. */
export async function measured<Result>(
  name: string,
  command: string[],
  core: Core = "any",
): Promise<Result | null> {
  const program = new Program(name, command, core);
  try {
    return JSON.parse(await program.line(RUN_LIMIT_MS)) as Result;
  } catch (error) {
    console.log(`skipping ${error instanceof Error ? error.message : String(error)}`);
    return null;
  } finally {
    await program.kill();
  }
}
