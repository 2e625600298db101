/** Histograms that are kept packed. */

import { expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import { PackedHistogram } from "../../src/load/packed_histogram.ts";
import { Random } from "../../src/load/random.ts";
import { recorded } from "../support/recorded.ts";

test("what is unpacked has all that was packed", () => {
  const random = new Random(4);
  const histogram = recorded(Array.from({ length: 5000 }, () => random.exponential() * 20));
  const packed = new PackedHistogram(histogram);
  expect(packed.numbers).toEqual(histogram.numbers());
  const unpacked = packed.unpack();
  expect(unpacked.numbers()).toEqual(histogram.numbers());
  expect([...unpacked.buckets()]).toEqual([...histogram.buckets()]);
});

test("JSON brings a packed histogram back", () => {
  const packed = new PackedHistogram(recorded([1.25, 7, 7.000001]));
  const text = JSON.stringify(packed);
  expect(JSON.stringify(PackedHistogram.from(JSON.parse(text)))).toBe(text);
  const empty = new PackedHistogram(new Histogram());
  expect(PackedHistogram.from(JSON.parse(JSON.stringify(empty))).unpack().count).toBe(0);
});

test("a second with 20,000 values is packed into a few KiB", () => {
  const random = new Random(5);
  const values = Array.from({ length: 20_000 }, () => 0.2 + random.exponential() ** 2);
  expect(JSON.stringify(new PackedHistogram(recorded(values))).length).toBeLessThan(8192);
});
