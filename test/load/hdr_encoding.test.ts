/** The encoding of histograms, against Java's library and the one of npm, both ways. */

import { describe, expect, test } from "bun:test";
import { deflateSync, inflateSync } from "node:zlib";
import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { bucketCount, leastOf, mostNanoseconds } from "../../src/load/buckets.ts";
import { decodeCounts, encodeCounts } from "../../src/load/hdr_encoding.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { Random } from "../../src/load/random.ts";
import { recorded } from "../support/recorded.ts";
import javaHistograms from "./java/histograms.json";

const percents = [0.01, 10, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100];

function spread(seed: number, count: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.exponential() ** 3);
}

function counts(...pairs: [bucket: number, count: number][]): Float64Array {
  const all = new Float64Array(bucketCount);
  for (const [bucket, count] of pairs) all[bucket] = count;
  return all;
}

describe("Java's library", () => {
  const ours = javaHistograms.filter(({ name }) => name !== "two digits");

  test.each(ours)("reads $name", ({ hdr, count, mean, standardDeviation, percentiles }) => {
    const histogram = Histogram.decode(hdr);
    expect(histogram.count).toBe(count);
    const found = histogram.percentiles(percentiles.map(([percent]) => percent!));
    const theirs = percentiles.map(([, value]) => Math.min(value!, mostNanoseconds) / 1e6);
    expect(found).toEqual(theirs);
    expect(Math.abs(histogram.mean * 1e6 - mean)).toBeLessThanOrEqual(mean * 0.0005);
    const difference = Math.abs(histogram.standardDeviation * 1e6 - standardDeviation);
    expect(difference).toBeLessThanOrEqual(standardDeviation * 0.0005);
  });

  test.each(ours)("would have written the same bytes of $name", ({ hdr }) => {
    const plain = (text: string): Buffer => inflateSync(Uint8Array.fromBase64(text).subarray(8));
    expect(plain(Histogram.decode(hdr).encode())).toEqual(plain(hdr));
  });

  test("a histogram of another layout is refused with what differs", () => {
    const { hdr } = javaHistograms.find(({ name }) => name === "two digits")!;
    expect(() => Histogram.decode(hdr)).toThrow(
      "the histogram has another layout: its significant digits is 2, not 3",
    );
  });
});

describe("the library of npm", () => {
  const layout = {
    lowestDiscernibleValue: 1,
    highestTrackableValue: mostNanoseconds,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 64,
  } as const;

  test("reads the same percentiles from our text", () => {
    const histogram = recorded([...spread(1, 20_000), 0, 3_600_000]);
    const theirs = decodeFromCompressedBase64(histogram.encode(), 64);
    expect(theirs.totalCount).toBe(20_002);
    for (const percent of percents) {
      const value = Math.min(theirs.getValueAtPercentile(percent), mostNanoseconds);
      expect([percent, value / 1e6]).toEqual([percent, histogram.percentile(percent)]);
    }
  });

  test("its text is read to the same percentiles", () => {
    const theirs = build(layout);
    for (const value of spread(2, 20_000)) theirs.recordValue(Math.round(value * 1e6));
    const histogram = Histogram.decode(encodeIntoCompressedBase64(theirs));
    expect(histogram.count).toBe(20_000);
    for (const percent of percents) {
      const value = theirs.getValueAtPercentile(percent) / 1e6;
      expect([percent, histogram.percentile(percent)]).toEqual([percent, value]);
    }
  });
});

test("counts of all sizes and runs of all lengths come back", () => {
  const random = new Random(7);
  for (const density of [0, 0.0001, 0.01, 0.5, 1]) {
    const all = new Float64Array(bucketCount).map(() =>
      random.fraction() < density ? Math.floor(2 ** (random.fraction() * 36)) : 0,
    );
    expect(decodeCounts(encodeCounts(all))).toEqual(all);
  }
  const ends = counts([0, 1], [1, Number.MAX_SAFE_INTEGER - 2], [bucketCount - 1, 1]);
  expect(decodeCounts(encodeCounts(ends))).toEqual(ends);
});

test("what is decoded has the values of the outermost buckets", () => {
  const histogram = Histogram.decode(encodeCounts(counts([5000, 2], [9000, 1])));
  expect(histogram.count).toBe(3);
  expect(histogram.least * 1e6).toBe(leastOf(5000));
  expect(histogram.most * 1e6).toBe(leastOf(9001) - 1);
});

/** A text with this payload behind a right header. */
function encoded(payload: readonly number[], length = payload.length): string {
  const plain = Buffer.alloc(40 + payload.length);
  plain.writeUInt32BE(0x1c849313, 0);
  plain.writeUInt32BE(length, 4);
  plain.writeInt32BE(3, 12);
  plain.writeBigInt64BE(1n, 16);
  plain.writeBigInt64BE(BigInt(mostNanoseconds), 24);
  plain.writeDoubleBE(1, 32);
  plain.set(payload, 40);
  return compressed(plain);
}

/** The bytes for a run of empty buckets, more than 8,192 and less than a million. */
function run(buckets: number): number[] {
  const value = buckets * 2 - 1;
  return [(value & 127) | 128, ((value >> 7) & 127) | 128, value >> 14];
}

function compressed(plain: Uint8Array, cookie = 0x1c849314): string {
  const body = deflateSync(plain);
  const words = Buffer.alloc(8);
  words.writeUInt32BE(cookie, 0);
  words.writeUInt32BE(body.length, 4);
  return Buffer.concat([words, body]).toString("base64");
}

describe("damaged text is refused", () => {
  test("the payload of these tests is right where it is not damaged", () => {
    expect(decodeCounts(encoded([4, 1, 6]))).toEqual(counts([0, 2], [2, 3]));
    const last = encoded([...run(bucketCount - 1), 2]);
    expect(decodeCounts(last)).toEqual(counts([bucketCount - 1, 1]));
  });

  test.each([
    ["no text", "", "its header is cut"],
    ["no base64", "HIST*", "it is not base64"],
    [
      "text of another kind",
      Buffer.from("a text, not a histogram").toString("base64"),
      "version 2",
    ],
    ["another version", compressed(Buffer.alloc(40), 0x1c849302), "version 2"],
    ["another version within", compressed(Buffer.alloc(40)), "version 2"],
    ["a short header", compressed(Buffer.alloc(39)), "its header is cut"],
    ["a wrong length", encoded([4], 2), "its length"],
    ["a cut count", encoded([4, 0x80]), "its last count is cut"],
    ["a count of nine bytes", encoded([...Array(8).fill(0x80), 1]), "too large"],
    ["a run of nine bytes", encoded([0x81, ...Array(7).fill(0x80), 1]), "too large"],
    ["a count of 2^53", encoded([...Array(7).fill(0x80), 32]), "too large"],
    ["a value above an hour", encoded([0xff, 0xff, 0x7f, 2]), "above an hour"],
    ["a value in the bucket behind the last", encoded([...run(bucketCount), 2]), "above an hour"],
    ["more than there can be", compressed(Buffer.alloc(10_000_000)), "zlib"],
    ["a long text", "A".repeat(4_000_000), "characters"],
  ])("%s", (_, text, reason) => {
    expect(() => decodeCounts(text)).toThrow(/^the encoding of a histogram is damaged: /);
    expect(() => decodeCounts(text)).toThrow(reason);
  });

  test("each cut and each changed byte is refused or read, and nothing else happens", () => {
    const bytes = Uint8Array.fromBase64(recorded(spread(3, 200)).encode());
    let refused = 0;
    const attempt = (damagedBytes: Uint8Array): void => {
      try {
        expect(decodeCounts(damagedBytes.toBase64()).length).toBe(bucketCount);
      } catch (error) {
        expect(String(error)).toMatch(/^Error: the (encoding of a )?histogram (is|has) /);
        refused++;
      }
    };
    for (let end = 0; end < bytes.length; end++) attempt(bytes.slice(0, end));
    for (let at = 0; at < bytes.length; at++) attempt(bytes.with(at, bytes[at]! ^ 0x55));
    // zlib's check sum finds them.
    expect(refused).toBe(2 * bytes.length);
  });
});
