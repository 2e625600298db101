// Programs in Go.

/** Builds a program in Go; null, with a printed reason, if that is not possible. */
export function builtGo(source: string, output: string): string | null {
  const go = Bun.which("go");
  if (go === null) {
    console.log("skipping Go: no go in the PATH");
    return null;
  }
  const build = Bun.spawnSync([go, "build", "-o", output, source]);
  if (build.success) return output;
  console.log(`skipping Go: ${build.stderr.toString().trim()}`);
  return null;
}
