/** Programs with a file system of their own mounted on a folder. Linux only, where namespaces can be made. */

import { mkdirSync } from "node:fs";
import { TemporaryFolder } from "./temporary_folder.ts";

const setUp = `
  set -e
  mount -t tmpfs -o "$1" plait "$2"
  shift 2
  exec "$@"
`;

/**
 * The command that runs another one with an empty tmpfs(5) on `folder`, with mount options such as `noexec`. Others
 * do not see it.
 */
export function mountedOn(folder: string, options: string, command: readonly string[]): string[] {
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const within = ["unshare", ...asRoot, "--mount", "sh", "-c", setUp, "sh", options, folder];
  return [...within, ...command];
}

/** Whether this can be done; if not, the reason was printed. */
export const canMount = ((): boolean => {
  if (process.platform !== "linux" || Bun.which("unshare") === null) {
    console.warn("skipped: file systems are mounted with unshare(1) of Linux");
    return false;
  }
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("place"));
  const command = mountedOn(folder.file("place"), "noexec", ["true"]);
  const { exitCode, stderr } = Bun.spawnSync(command, { stdin: "ignore" });
  if (exitCode === 0) return true;
  console.warn(`skipped: no file system can be mounted: ${stderr.toString().trim()}`);
  return false;
})();
