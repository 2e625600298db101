/** Runs a program quietly: nothing reaches the terminal, and the caller gets the output. */

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
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
      cwd: options.cwd,
      env: { ...(options.environment ?? process.env), LC_ALL: "C" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: options.timeoutSeconds === undefined ? undefined : options.timeoutSeconds * 1000,
    });
    return { succeeded: exitCode === 0, output: `${stdout}`, complaint: `${stderr}` };
  } catch (error) {
    // There is no such program, or the file cannot be executed.
    return { succeeded: false, output: "", complaint: String(error) };
  }
}

/** Runs a program that must succeed, and returns its output. Throws with what it said. */
export function outputOf(command: string[], options: CommandOptions = {}): string {
  const { succeeded, output, complaint } = runQuietly(command, options);
  if (!succeeded) throw new Error(`${command[0]}: ${complaint.trim()}`);
  return output;
}
