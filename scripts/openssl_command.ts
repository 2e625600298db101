/** Runs a program quietly: its output is the caller's to judge, and nothing reaches the terminal. */

/** The user pressed Ctrl-C: neither a reason to try the next way nor one to carry on. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

export interface Outcome {
  succeeded: boolean;
  output: string;
  /** What the program said on stderr, or why it could not be run. */
  complaint: string;
}

export interface CommandOptions {
  cwd?: string;
  environment?: Record<string, string | undefined>;
  timeoutSeconds?: number;
}

export function runQuietly(command: string[], options: CommandOptions = {}): Outcome {
  try {
    const { exitCode, signalCode, stdout, stderr } = Bun.spawnSync(command, {
      cwd: options.cwd,
      env: { ...(options.environment ?? process.env), LC_ALL: "C" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: options.timeoutSeconds === undefined ? undefined : options.timeoutSeconds * 1000,
    });
    // While a program runs, Bun leaves Ctrl-C to that program, and the set-up itself would go on.
    if (signalCode === "SIGINT" || exitCode === 130) throw new Interrupted("interrupted");
    return { succeeded: exitCode === 0, output: `${stdout}`, complaint: `${stderr}` };
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return { succeeded: false, output: "", complaint: String(error) };
  }
}
