// Reads how much memory of a process is resident.

import { readFileSync } from "node:fs";

/**
 * The sum over all mappings. Unlike the counter of /proc/<pid>/statm, which the kernel keeps per
 * processor and adds up only roughly, it is exact.
 */
export function residentBytes(process: number | "self"): number {
  const text = readFileSync(`/proc/${process}/smaps_rollup`, "latin1");
  const kibibytes = /^Rss:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no Rss for process ${process}`);
  return Number(kibibytes) * 1024;
}
