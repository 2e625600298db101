/** The examples, run as a reader would run them. */

import { join } from "node:path";
import { RunningProgram } from "./running_program.ts";

export const examplesFolder = join(import.meta.dir, "..", "..", "examples");

/** The command line that runs an example. */
export function exampleCommand(name: string, ...options: unknown[]): string[] {
  return [process.execPath, join(examplesFolder, name), ...options.map(String)];
}

/** Starts an example at a free port, and waits for the line with which it says that it listens. */
export async function startExample(
  name: string,
  ...options: unknown[]
): Promise<{ program: RunningProgram; port: number } & AsyncDisposable> {
  const isReady = /(\d+)\/?\s*$/m;
  const program = await RunningProgram.start(exampleCommand(name, 0, ...options), isReady);
  const port = Number(isReady.exec(program.output)?.[1]);
  return { program, port, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}
