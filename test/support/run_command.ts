/** The output of a program, and how it ended. */
export interface CommandResult {
  readonly stdout: Uint8Array;
  readonly text: string;
  readonly stderr: string;
  /** null when it was ended at the end of its time. */
  readonly exitCode: number | null;
}

/** Runs a program to its end, or for so many milliseconds. */
export async function runCommand(
  command: readonly string[],
  stdin?: string | Uint8Array | Bun.BunFile,
  bound = 8000,
): Promise<CommandResult> {
  const child = Bun.spawn([...command], {
    stdin: stdin === undefined ? "ignore" : stdin instanceof Blob ? stdin : Buffer.from(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), bound);
  try {
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).bytes(),
      new Response(child.stderr).text(),
    ]);
    await child.exited;
    return { stdout, text: new TextDecoder().decode(stdout), stderr, exitCode: child.exitCode };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}
