/**
 * The signature of a library for macOS, which loads none on arm64 whose pages do not have the hashes that are in it. It
 * is ad hoc: it names no one. The layout is that of `cs_blobs.h` in XNU; its numbers are big-endian.
 */

import type { Place } from "./mach_o_file.ts";

const signatureMagic = 0xfade0cc0;
const directoryMagic = 0xfade0c02;
const adHoc = 0x2;
/** It may be replaced by another signature. */
const signedByLinker = 0x20000;
const sha256 = { kind: 2, bytes: 32 } as const;

/** The offsets of the fields of the directory of hashes. Those that are left out are 0. */
const field = {
  ...{ length: 4, version: 8, flags: 12, hashes: 16, name: 20, pages: 28, limit: 32 },
  ...{ hashBytes: 36, kind: 37, page: 39, codeBytes: 72 },
} as const;
const directoryHeadBytes = 88;
/** The magic of the signature, its length, the count of its parts, and the kind and offset of the only part. */
const headBytes = 20;
/** As codesign(1) of Apple hashes for all processors. */
const hashedBytes = 4096;
/** What the signature calls the library. */
const name = "libplait.dylib\0";
const hashesOffset = headBytes + directoryHeadBytes + name.length;

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

/** The length of the signature of so many bytes. */
export function signatureBytes(length: number): number {
  return hashesOffset + Math.ceil(length / hashedBytes) * sha256.bytes;
}

/** The signature of all that comes before it in a library. `codeBytes` are those of the segment with the code. */
export function signatureOf(bytes: Buffer, codeBytes: number): Buffer {
  const hashes = hashesOf(bytes, hashedBytes);
  const head = Buffer.alloc(hashesOffset);
  const size = head.length + hashes.length;
  const directoryBytes = size - headBytes;
  const kindOfDirectory = 0;
  [signatureMagic, size, 1, kindOfDirectory, headBytes].forEach((value, index) => {
    head.writeUInt32BE(value, index * 4);
  });
  const directory = head.subarray(headBytes);
  const nameOffset = directoryHeadBytes;
  const set = (at: number, value: number): void => void directory.writeUInt32BE(value, at);
  set(0, directoryMagic);
  set(field.length, directoryBytes);
  set(field.version, 0x20400);
  set(field.flags, adHoc | signedByLinker);
  set(field.hashes, hashesOffset - headBytes);
  set(field.name, nameOffset);
  set(field.pages, hashes.length / sha256.bytes);
  set(field.limit, bytes.length);
  directory.writeUInt8(sha256.bytes, field.hashBytes);
  directory.writeUInt8(sha256.kind, field.kind);
  directory.writeUInt8(Math.log2(hashedBytes), field.page);
  directory.writeBigUInt64BE(BigInt(codeBytes), field.codeBytes);
  directory.write(name, nameOffset);
  return Buffer.concat([head, hashes]);
}

function hashesOf(bytes: Buffer, pageBytes: number): Buffer {
  const hashes: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += pageBytes) {
    const page = bytes.subarray(start, Math.min(start + pageBytes, bytes.length));
    hashes.push(new Bun.CryptoHasher("sha256").update(page).digest());
  }
  return Buffer.concat(hashes);
}
