/** Runs a command to its end. What it printed on both streams is returned, one after the other. */
export async function run(
  command: string[],
  cwd: string,
): Promise<{ exitCode: number; output: string }> {
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const outputs = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, output: outputs.join("") };
}
