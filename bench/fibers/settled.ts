// Reads this program's resident memory when it does not change any more.

import { residentBytes } from "../harness/resident-memory.ts";

const SETTLED_BYTES = 64 * 1024;
const SETTLE_POLL_MS = 100;
const SETTLE_POLLS = 20;

/** `pause` comes from the driver in use, since Bun's timers do not run inside block(). */
export async function settledOwnBytes(
  pause: (milliseconds: number) => Promise<unknown>,
): Promise<number> {
  let previous = Number.NaN;
  for (let poll = 0; poll < SETTLE_POLLS; poll++) {
    // Twice, since objects that the first collection frees may have kept others alive.
    Bun.gc(true);
    Bun.gc(true);
    await pause(SETTLE_POLL_MS);
    const bytes = residentBytes("self");
    if (Math.abs(bytes - previous) <= SETTLED_BYTES) return bytes;
    previous = bytes;
  }
  return previous;
}
