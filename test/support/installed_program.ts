/** Whether a program is installed. A test that is skipped without it prints the reason. */
export function isInstalled(program: string): boolean {
  const found = Bun.which(program, { PATH: searchPath }) !== null;
  if (!found) console.warn(`skipped: ${program} is not installed`);
  return found;
}

/** The path of a program that `isInstalled` has found. */
export function installedProgram(program: string): string {
  const path = Bun.which(program, { PATH: searchPath });
  if (path === null) throw new Error(`${program} is not installed`);
  return path;
}

// Servers such as nginx are not on every user's path. PostgreSQL has a folder for each version.
const postgres = [...new Bun.Glob("/usr/lib/postgresql/*/bin").scanSync({ onlyFiles: false })];
const folders = [process.env.PATH ?? "", "/usr/sbin", "/usr/local/sbin", ...postgres];
const searchPath = folders.join(":");
