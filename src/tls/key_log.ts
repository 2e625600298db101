/** Key logs in the format of NSS: the file that the environment names, and the function of a context. */

import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { environmentVariable } from "../core/environment.ts";

/** The file that `SSLKEYLOGFILE` names, if it is set. */
export function keyLogFile(): string | undefined {
  return environmentVariable("SSLKEYLOGFILE");
}

/** Without O_NONBLOCK, to open a FIFO would block the thread until a reader opens it. */
const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;
const openFlags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;

/** Appends lines to that file. A reader of the file can decrypt the connections. */
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
    // Connections go on without a log that cannot be written, as they do in curl and in browsers.
  }
}
