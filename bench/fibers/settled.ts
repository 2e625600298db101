// Reads the program's own resident memory when it has stopped changing.

import { residentBytes } from "../harness/resident-memory.ts";

const SETTLED_BYTES = 64 * 1024;
const SETTLE_POLL_MS = 100;
const SETTLE_POLLS = 20;

/** The pause is that of the driver in use, since Bun's timers do not run inside block(). */
export async function settledOwnBytes(
  pause: (milliseconds: number) => Promise<unknown>,
): Promise<number> {
  let previous = Number.NaN;
  for (let poll = 0; poll < SETTLE_POLLS; poll++) {
    // Twice, since what the first collection frees may hold what the second can free.
    Bun.gc(true);
    Bun.gc(true);
    await pause(SETTLE_POLL_MS);
    const bytes = residentBytes("self");
    if (Math.abs(bytes - previous) <= SETTLED_BYTES) return bytes;
    previous = bytes;
  }
  return previous;
}
