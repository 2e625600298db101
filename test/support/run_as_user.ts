/** Runs programs as a user of plait has them. */

/** Milliseconds. Most of the time is spent on copying Bun's executable. */
export const bound = 60_000;

/** The environment of a user, without the variables that point the tests to another core. */
const { PLAIT_LIBRARY: _, ...environment } = process.env;

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Throws if the program fails. */
export async function runAsUser(
  command: readonly string[],
  cwd: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<Output> {
  const { stdout, stderr, exitCode } = await outcomeAsUser(command, cwd, variables);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${exitCode}\n${stdout}${stderr}`);
  return { stdout, stderr };
}

export async function outcomeAsUser(
  command: readonly string[],
  cwd: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<Output & { readonly exitCode: number }> {
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...environment, ...variables },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: bound,
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout: stdout.trimEnd(), stderr, exitCode };
}
