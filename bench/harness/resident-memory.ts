// Reads the resident memory of a process.

import { readFileSync } from "node:fs";

/**
 * The sum over all mappings, which is exact. The counter of /proc/<pid>/statm is not: the kernel keeps it
 * per processor and adds it up only roughly.
 */
export function residentBytes(process: number | "self"): number {
  const text = readFileSync(`/proc/${process}/smaps_rollup`, "latin1");
  const kibibytes = /^Rss:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no Rss for process ${process}`);
  return Number(kibibytes) * 1024;
}
