import { readdirSync } from "node:fs";

const folder = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd";

/** The number of descriptors that this process has open. */
export function openDescriptors(): number {
  return readdirSync(folder).length;
}
