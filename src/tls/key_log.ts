/** Key logs, in the format of NSS: the file of the environment, and each context's own function. */

import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { environmentVariable } from "../core/environment.ts";

/** The file that the environment names, if any. */
export function keyLogFile(): string | undefined {
  return environmentVariable("SSLKEYLOGFILE") || undefined;
}

/** Without O_NONBLOCK, to open a FIFO would stop the thread until somebody reads from it. */
const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;
const openFlags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;

/** Appends lines to the file of the environment. Whoever reads it can read the connections. */
export function logKeys(lines: readonly string[]): void {
  const path = keyLogFile();
  if (path === undefined || lines.length === 0) return;
  try {
    const fd = openSync(path, openFlags, 0o600);
    try {
      writeFileSync(fd, `${lines.join("\n")}\n`);
    } finally {
      closeSync(fd);
    }
  } catch {
    // A log that cannot be written is no reason to end connections: curl and browsers go on as well.
  }
}
