/**
 * The signature of a library for macOS, which loads none on arm64 whose pages do not have the hashes that are in it. It
 * is ad hoc: it names no one. The layout is that of `cs_blobs.h` in XNU; its numbers are big-endian.
 */

import type { Place } from "./mach_o_file.ts";

const signatureMagic = 0xfade0cc0;
const directoryMagic = 0xfade0c02;
const adHoc = 0x2;
const sha256 = { kind: 2, bytes: 32 } as const;

/** The offsets of the fields of the directory of hashes. */
const field = { flags: 12, hashes: 16, pages: 28, limit: 32, kind: 37, page: 39 } as const;

/** What is wrong with the signature. */
export function signatureFaults(bytes: Buffer, { offset, size }: Place): string[] {
  const number = (at: number): number => bytes.readUInt32BE(offset + at);
  if (offset + size !== bytes.length) return ["its signature is not its end"];
  if (number(0) !== signatureMagic) return ["its signature is none"];
  const parts = Array.from({ length: number(8) }, (_, index) => number(16 + index * 8));
  const directory = parts.find((part) => number(part) === directoryMagic);
  if (directory === undefined) return ["its signature has no hashes"];
  const faults: string[] = [];
  if ((number(directory + field.flags) & adHoc) === 0) faults.push("its signature is not ad hoc");
  if (bytes.readUInt8(offset + directory + field.kind) !== sha256.kind) {
    return [...faults, "its pages are not hashed by SHA-256"];
  }
  const pageBytes = 2 ** bytes.readUInt8(offset + directory + field.page);
  const expected = hashesOf(bytes.subarray(0, offset), pageBytes);
  const pages = number(directory + field.pages);
  if (number(directory + field.limit) !== offset || pages !== expected.length / sha256.bytes) {
    return [...faults, "its signature does not cover it"];
  }
  const hashes = offset + directory + number(directory + field.hashes);
  if (!bytes.subarray(hashes, hashes + expected.length).equals(expected)) {
    faults.push("it was changed after it was signed");
  }
  return faults;
}

function hashesOf(bytes: Buffer, pageBytes: number): Buffer {
  const hashes: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += pageBytes) {
    const page = bytes.subarray(start, Math.min(start + pageBytes, bytes.length));
    hashes.push(new Bun.CryptoHasher("sha256").update(page).digest());
  }
  return Buffer.concat(hashes);
}
