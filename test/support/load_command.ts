/** The `plait load` command, as a program of its own. */

import { join } from "node:path";
import type { Report } from "../../src/load/report.ts";
import { parseReport } from "../../src/report/json.ts";

/** The program, with the Bun that runs the tests. */
export const plaitProgram: readonly string[] = [
  process.execPath,
  join(import.meta.dir, "../../src/command/plait.ts"),
];

export interface LoadEnd {
  /** null when a signal has ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface LoadOptions {
  /** The folder in which it runs. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** It is ended after so many milliseconds. */
const bound = 30_000;

/** Runs `plait load` to its end. */
export async function plaitLoad(
  words: readonly string[],
  { cwd, env }: LoadOptions = {},
): Promise<LoadEnd> {
  const child = Bun.spawn([...plaitProgram, "load", ...words], {
    ...{ cwd, env: { ...process.env, ...env } },
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: bound, killSignal: "SIGKILL" },
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return { exitCode: child.exitCode, stdout, stderr };
}

export interface LoadRun extends LoadEnd {
  readonly report: Report;
}

/** Runs `plait load` with its report as JSON on the standard output. */
export async function loadReport(
  words: readonly string[],
  options: LoadOptions = {},
): Promise<LoadRun> {
  const end = await plaitLoad([...words, "--quiet", "--json", "-"], options);
  try {
    return { ...end, report: parseReport(end.stdout) };
  } catch (error) {
    throw new Error(`plait load ${words.join(" ")}: ${end.exitCode} ${end.stderr}`, {
      cause: error,
    });
  }
}

/**
 * The exit code, and 0 for a generator that is the bottleneck, as a busy machine is at any time: the other codes, and
 * the ledgers, do not depend on that.
 */
export function exitOf({ exitCode }: LoadEnd): number | null {
  return exitCode === 4 ? 0 : exitCode;
}
