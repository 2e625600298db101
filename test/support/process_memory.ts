/**
 * Looking for bytes in the memory of another process. Linux only; it must be a child of this one.
 */

import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const pageBytes = 4096;
const chunkPages = 1024;

/** A place where bytes were found: the name of the mapping, or a description of it. */
export interface Found {
  readonly name: string;
  readonly mapping: string;
  readonly address: number;
}

/** The places where the process has these bytes, also across the boundary of two chunks. */
export function findInMemory(pid: number, patterns: ReadonlyMap<string, Uint8Array>): Found[] {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const pageMap = openSync(`/proc/${pid}/pagemap`, "r");
  try {
    return [...runs(pid, pageMap)].flatMap((run) => findInRun(memory, run, patterns));
  } finally {
    closeSync(memory);
    closeSync(pageMap);
  }
}

/** A run of pages that the process really has. */
interface Run {
  readonly mapping: string;
  readonly start: number;
  readonly end: number;
}

function* runs(pid: number, pageMap: number): Generator<Run> {
  for (const line of readFileSync(`/proc/${pid}/maps`, "latin1").trim().split("\n")) {
    const [range, access, , , , mapping = "anonymous"] = line.split(/\s+/);
    // Memory that cannot be written to has no secrets of a connection.
    if (!access!.startsWith("rw")) continue;
    const [start, end] = range!.split("-").map((digits) => Number.parseInt(digits, 16));
    yield* runsOf(pageMap, mapping, start!, end!);
  }
}

function* runsOf(pageMap: number, mapping: string, start: number, end: number): Generator<Run> {
  const entries = new BigUint64Array(chunkPages);
  let runStart = -1;
  for (let address = start; address < end; address += chunkPages * pageBytes) {
    const count = Math.min(chunkPages, (end - address) / pageBytes);
    readSync(pageMap, entries, 0, 8 * count, (address / pageBytes) * 8);
    for (let page = 0; page < count; page++) {
      const place = address + page * pageBytes;
      // Present, or swapped out (Documentation/admin-guide/mm/pagemap.rst).
      if (entries[page]! >> 62n !== 0n) {
        if (runStart < 0) runStart = place;
      } else if (runStart >= 0) {
        yield { mapping, start: runStart, end: place };
        runStart = -1;
      }
    }
  }
  if (runStart >= 0) yield { mapping, start: runStart, end };
}

function findInRun(memory: number, run: Run, patterns: ReadonlyMap<string, Uint8Array>): Found[] {
  const bytes = Buffer.alloc(run.end - run.start);
  const count = readSync(memory, bytes, 0, bytes.length, run.start);
  const found: Found[] = [];
  for (const [name, pattern] of patterns) {
    for (let at = -1; (at = bytes.subarray(0, count).indexOf(pattern, at + 1)) >= 0; ) {
      found.push({ name, mapping: run.mapping, address: run.start + at });
    }
  }
  return found;
}
