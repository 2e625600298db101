import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";

const folder = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd";

/**
 * The number of descriptors that this process has open. It may fall at any time, when the garbage
 * collector finds one that an earlier test has left behind.
 */
export function openDescriptors(): number {
  return readdirSync(folder).length;
}

/** How often this process has a file open. Linux only. */
export function timesOpen(path: string): number {
  return readdirSync(folder).filter((descriptor) => {
    try {
      return readlinkSync(join(folder, descriptor)) === path;
    } catch {
      // The descriptor by which the folder was read is closed by now.
      return false;
    }
  }).length;
}
