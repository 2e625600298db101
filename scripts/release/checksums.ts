/** The checksums of a folder's files, as sha256sum(1) writes and checks them. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const checksumFile = "SHA256SUMS";

/** The hash of a file in hexadecimal digits. */
export function sha256Of(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
}

export function writeChecksums(folder: string): void {
  writeFileSync(join(folder, checksumFile), checksumsOf(folder));
}

/** Every file is in the list with its own hash, and the list has no others. */
export function checksumFaults(folder: string): string[] {
  const expected = checksumsOf(folder).split("\n");
  const found = readFileSync(join(folder, checksumFile), "utf8").split("\n");
  return [...new Set(found).symmetricDifference(new Set(expected))].map(
    (line) => `it is not right about ${line.replace(/^\S+ +/, "")}`,
  );
}

function checksumsOf(folder: string): string {
  const lines = readdirSync(folder)
    .filter((name) => name !== checksumFile)
    .sort()
    .map((name) => `${sha256Of(join(folder, name))}  ${name}\n`);
  return lines.join("");
}
