/** Histograms against the sorted values. */

import { expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import { Recorder } from "../../src/load/recorder.ts";
import { Random } from "../../src/load/random.ts";

function recorded(values: readonly number[]): Histogram {
  const recorder = new Recorder(new SharedArrayBuffer(Recorder.bytes), 0);
  for (const value of values) recorder.record(value);
  const histogram = new Histogram();
  recorder.drainInto(histogram, 0);
  return histogram;
}

test("percentiles are within a thousandth of the sorted values, and never above the greatest", () => {
  const random = new Random(1);
  const values = Array.from({ length: 50_000 }, () => random.exponential() ** 4);
  const histogram = recorded(values);
  const sorted = values.toSorted((left, right) => left - right);
  for (const percent of [0, 1, 50, 90, 99, 99.9, 99.99, 99.999, 100]) {
    const exact = sorted[Math.max(Math.ceil((percent / 100) * sorted.length), 1) - 1]!;
    const found = histogram.percentile(percent);
    expect(found).toBeGreaterThanOrEqual(exact - 1e-6);
    expect(found).toBeLessThanOrEqual(exact * 1.001 + 1e-6);
    expect(found).toBeLessThanOrEqual(histogram.most);
  }
  expect(histogram.count).toBe(values.length);
  expect(histogram.least).toBeCloseTo(sorted[0]!, 5);
  expect(histogram.most).toBeCloseTo(sorted.at(-1)!, 5);
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  expect(histogram.mean).toBeCloseTo(mean, 4);
});

test("one value is each percentile", () => {
  const histogram = recorded([1234.567891]);
  for (const percent of [0, 50, 99.9, 100]) {
    expect(histogram.percentile(percent)).toBe(1234.567891);
  }
});

test("nothing, less than nothing, and more than an hour", () => {
  const empty = recorded([]);
  expect([empty.count, empty.least, empty.most, empty.mean, empty.percentile(99)]).toEqual([
    ...[0, 0, 0, 0, 0],
  ]);
  const ends = recorded([-1, 1e9]);
  expect([ends.count, ends.least, ends.most]).toEqual([2, 0, 3_600_000]);
});

test("what is drained is gone, and histograms add up", () => {
  const recorder = new Recorder(new SharedArrayBuffer(Recorder.bytes), 0);
  const [first, second, both] = [new Histogram(), new Histogram(), new Histogram()];
  recorder.record(5);
  recorder.drainInto(first, 0);
  recorder.drainInto(second, 0);
  expect([first.count, second.count]).toEqual([1, 0]);
  recorder.record(1);
  recorder.record(9);
  recorder.drainInto(second, 0);
  both.merge(first);
  both.merge(second);
  both.merge(new Histogram());
  expect([both.count, both.least, both.most, both.mean]).toEqual([3, 1, 9, 5]);
  expect([...both.buckets()].map(([, count]) => count)).toEqual([1, 1, 1]);
});
