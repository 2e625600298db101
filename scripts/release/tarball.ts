/** Reads the tarball of a package. */

import { readFileSync } from "node:fs";

export interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly modified: number;
  readonly owner: number;
  readonly isFile: boolean;
  readonly bytes: Buffer;
}

const blockBytes = 512;

/** The entries in their order. The format is that of ustar (pax(1)), without its extensions. */
export function readTarball(path: string): Entry[] {
  const bytes = Buffer.from(Bun.gunzipSync(readFileSync(path)));
  const entries: Entry[] = [];
  for (let at = 0; bytes[at] !== 0; ) {
    const text = (offset: number, length: number): string =>
      bytes.toString("utf8", at + offset, at + offset + length).replace(/\0.*$/s, "");
    const octal = (offset: number, length: number): number =>
      Number.parseInt(text(offset, length).trim() || "0", 8);
    const size = octal(124, 12);
    const kind = text(156, 1);
    const prefix = text(345, 155);
    entries.push({
      path: prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`,
      ...{ mode: octal(100, 8), modified: octal(136, 12), owner: octal(108, 8) },
      isFile: kind === "0" || kind === "",
      bytes: bytes.subarray(at + blockBytes, at + blockBytes + size),
    });
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
  }
  return entries;
}
