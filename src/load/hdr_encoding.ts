/**
 * The compressed encoding of HdrHistogram, version 2: the counts of all buckets as ZigZag LEB128 numbers, where a
 * negative one stands for a run of empty buckets, behind a header of 40 bytes; compressed by zlib; in base64.
 * Other HdrHistogram libraries and their tools read and write it.
 */

import { deflateSync, inflateSync } from "node:zlib";
import { bucketCount, mostNanoseconds } from "./buckets.ts";

const plainCookie = 0x1c849313;
const compressedCookie = 0x1c849314;
/** The layout of buckets.ts, in the terms of the header. */
const significantDigits = 3;
const leastNanoseconds = 1n;

const headerBytes = 40;
const compressedHeaderBytes = 8;
/** A count is below 2^53. Its ZigZag form has one bit more, which 8 bytes of 7 bits hold. */
const mostCountBytes = 8;
const mostPlainBytes = headerBytes + bucketCount * mostCountBytes;
/** Base64 of the most bytes that zlib makes of so many: it adds 5 bytes to each 16 KiB that it cannot compress. */
const mostCharacters = Math.ceil((mostPlainBytes * 1.001 + 64) / 3) * 4;

let scratch: Uint8Array<ArrayBuffer> | undefined;

/** The counts of all buckets as text. */
export function encodeCounts(counts: Float64Array): string {
  // A run encodes some histograms each second. So this memory is used again.
  const plain = (scratch ??= new Uint8Array(mostPlainBytes));
  const end = writeCounts(counts, plain);
  const header = new DataView(plain.buffer);
  header.setUint32(0, plainCookie);
  header.setUint32(4, end - headerBytes);
  header.setInt32(8, 0);
  header.setInt32(12, significantDigits);
  header.setBigInt64(16, leastNanoseconds);
  header.setBigInt64(24, BigInt(mostNanoseconds));
  // Values are whole numbers as they are, without a ratio.
  header.setFloat64(32, 1);
  const compressed = deflateSync(plain.subarray(0, end));
  const encoded = new Uint8Array(compressedHeaderBytes + compressed.length);
  const words = new DataView(encoded.buffer);
  words.setUint32(0, compressedCookie);
  words.setUint32(4, compressed.length);
  encoded.set(compressed, compressedHeaderBytes);
  return encoded.toBase64();
}

/**
 * The counts of all buckets from their text. Texts of other libraries are read too, if their histogram has the
 * layout of buckets.ts.
 *
 * @throws {Error} for damaged text, and for a histogram of another layout
 */
export function decodeCounts(text: string): Float64Array {
  const plain = decompressed(text);
  if (plain.length < headerBytes) throw damaged("its header is cut");
  const header = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  if (header.getUint32(0) !== plainCookie) throw damaged("it is not of version 2");
  checkLayout(header);
  if (header.getUint32(4) !== plain.length - headerBytes) {
    throw damaged("its length is not that of its header");
  }
  return readCounts(plain.subarray(headerBytes));
}

/** Writes counts behind the header. Returns where they end. */
function writeCounts(counts: Float64Array, plain: Uint8Array): number {
  // As Java does, the first bucket is written even if it is empty.
  const used = Math.max(counts.findLastIndex((count) => count > 0) + 1, 1);
  let at = headerBytes;
  for (let bucket = 0; bucket < used; ) {
    const begin = bucket;
    while (bucket < used && counts[bucket] === 0) bucket++;
    const empty = bucket - begin;
    // ZigZag: 2n for a count of n, 2n - 1 for a run of n empty buckets. A single empty one is a count of 0.
    let value = empty === 0 ? counts[bucket++]! * 2 : empty === 1 ? 0 : empty * 2 - 1;
    // Not by shifts: they would cut the value to 32 bits.
    for (; value >= 128; value = Math.floor(value / 128)) plain[at++] = (value % 128) | 128;
    plain[at++] = value;
  }
  return at;
}

function readCounts(payload: Uint8Array): Float64Array {
  const counts = new Float64Array(bucketCount);
  let bucket = 0;
  let total = 0;
  for (let at = 0; at < payload.length; ) {
    const isRun = (payload[at]! & 1) === 1;
    let value = 0;
    let bytes = 0;
    let byte: number;
    do {
      if (at >= payload.length) throw damaged("its last count is cut");
      if (bytes === mostCountBytes) throw damaged("a count is too large");
      byte = payload[at++]!;
      value += (byte & 127) * 128 ** bytes++;
    } while (byte >= 128);
    if (isRun) {
      bucket += (value + 1) / 2;
    } else {
      if (bucket >= bucketCount && value > 0) throw damaged("it has values above an hour");
      if (bucket < bucketCount) counts[bucket] = value / 2;
      bucket++;
      total += value / 2;
      if (total > Number.MAX_SAFE_INTEGER) throw damaged("a count is too large");
    }
  }
  return counts;
}

function decompressed(text: string): Uint8Array {
  if (text.length > mostCharacters) throw damaged(`it has over ${mostCharacters} characters`);
  let encoded: Uint8Array;
  try {
    encoded = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    throw damaged("it is not base64");
  }
  if (encoded.length < compressedHeaderBytes) throw damaged("its header is cut");
  const words = new DataView(encoded.buffer);
  if (words.getUint32(0) !== compressedCookie) throw damaged("it is not of version 2, compressed");
  if (words.getUint32(4) !== encoded.length - compressedHeaderBytes) {
    throw damaged("its length is not that of its header");
  }
  try {
    return inflateSync(encoded.subarray(compressedHeaderBytes), {
      maxOutputLength: mostPlainBytes,
    });
  } catch (error) {
    throw damaged("zlib cannot read it", error);
  }
}

/**
 * Two fields are not looked at. The third word says how a library has rotated its array in memory, and the counts are
 * encoded in the order of their values all the same. The ratio of the values is for floating-point histograms, which
 * have another encoding around this one. The library of npm fills both with other numbers than Java's.
 */
function checkLayout(header: DataView): void {
  const layout = {
    "significant digits": [header.getInt32(12), significantDigits],
    "least value": [header.getBigInt64(16), leastNanoseconds],
    "greatest value": [header.getBigInt64(24), BigInt(mostNanoseconds)],
  };
  for (const [name, [found, ours]] of Object.entries(layout)) {
    if (found !== ours) {
      throw new Error(`the histogram has another layout: its ${name} is ${found}, not ${ours}`);
    }
  }
}

function damaged(reason: string, cause?: unknown): Error {
  return new Error(`the encoding of a histogram is damaged: ${reason}`, { cause });
}
