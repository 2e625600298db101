/** Key logs, in the format of NSS: the file of the environment, and each context's own function. */

import { appendFileSync } from "node:fs";

/** What the core is to tell of, as bits. */
export const Notice = { session: 1, keyLog: 2 } as const;

/** The file that the environment names, if any. */
export function keyLogFile(): string | undefined {
  return process.env.SSLKEYLOGFILE || undefined;
}

/** Appends lines to the file of the environment. Whoever reads it can read the connections. */
export function logKeys(lines: readonly string[]): void {
  const path = keyLogFile();
  if (path === undefined || lines.length === 0) return;
  try {
    appendFileSync(path, `${lines.join("\n")}\n`, { mode: 0o600 });
  } catch {
    // A log that cannot be written is no reason to end connections: curl and browsers go on as well.
  }
}
