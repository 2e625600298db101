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
const field = {
  length: 4,
  flags: 12,
  hashes: 16,
  pages: 28,
  limit: 32,
  kind: 37,
  page: 39,
} as const;
/** A signature with one part has this before it: its magic, length, count, and the part's kind and offset. */
const headBytes = 20;

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

/** Signs the bytes as `signature` has signed others, and returns the new signature. Throws if it has several parts. */
export function signedLike(signature: Buffer, bytes: Buffer): Buffer {
  const directory = signature.subarray(headBytes);
  if (
    signature.readUInt32BE(0) !== signatureMagic ||
    signature.readUInt32BE(8) !== 1 ||
    directory.readUInt32BE(0) !== directoryMagic ||
    directory.readUInt8(field.kind) !== sha256.kind
  ) {
    throw new Error("the linker signs in a way that is not known");
  }
  const hashes = hashesOf(bytes, 2 ** directory.readUInt8(field.page));
  const before = headBytes + directory.readUInt32BE(field.hashes);
  const made = Buffer.concat([signature.subarray(0, before), hashes]);
  made.writeUInt32BE(made.length, field.length);
  made.writeUInt32BE(made.length - headBytes, headBytes + field.length);
  made.writeUInt32BE(hashes.length / sha256.bytes, headBytes + field.pages);
  made.writeUInt32BE(bytes.length, headBytes + field.limit);
  return made;
}

/** The length of the signature that `signedLike` makes for so many bytes. */
export function signatureBytes(signature: Buffer, length: number): number {
  const directory = signature.subarray(headBytes);
  const pages = Math.ceil(length / 2 ** directory.readUInt8(field.page));
  return headBytes + directory.readUInt32BE(field.hashes) + pages * sha256.bytes;
}

function hashesOf(bytes: Buffer, pageBytes: number): Buffer {
  const hashes: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += pageBytes) {
    const page = bytes.subarray(start, Math.min(start + pageBytes, bytes.length));
    hashes.push(new Bun.CryptoHasher("sha256").update(page).digest());
  }
  return Buffer.concat(hashes);
}
