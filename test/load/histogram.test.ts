/** Histograms against the sorted values. */

import { expect, test } from "bun:test";
import { leastOf } from "../../src/load/buckets.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { Random } from "../../src/load/random.ts";
import { Recorder } from "../../src/load/recorder.ts";
import { recorded } from "../support/recorded.ts";

test("percentiles are within a thousandth of the sorted values, and never above the greatest", () => {
  const random = new Random(1);
  const values = Array.from({ length: 50_000 }, () => random.exponential() ** 4);
  const histogram = recorded(values);
  const sorted = values.toSorted((left, right) => left - right);
  for (const percent of [0, 1, 50, 90, 99, 99.9, 99.99, 99.999, 100]) {
    const rank = Math.ceil((Math.round(percent * 1000) * sorted.length) / 100_000);
    const exact = sorted[Math.max(rank, 1) - 1]!;
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

test("a percentile that is a whole number of values has no value more", () => {
  const thousand = recorded(Array.from({ length: 1000 }, (_, index) => index / 1e6));
  // 99.9 / 100 * 1000 is 999.0000000000001.
  expect(thousand.percentiles([99, 99.9, 100])).toEqual([0.000989, 0.000998, 0.000999]);
  // 99.9 * 41000 / 100 is 40959.00000000001.
  const [most, rest] = [Array(40_959).fill(1e-6), Array(41).fill(2e-6)];
  expect(recorded([...most, ...rest]).percentile(99.9)).toBe(1e-6);
  const ten = recorded([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((value) => value / 1e6));
  const tens = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
  expect(ten.percentiles(tens).map((value) => Math.round(value * 1e6))).toEqual([
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  ]);
});

test("a histogram that is cleared is as a new one", () => {
  const histogram = recorded([1, 2, 3]);
  histogram.clear();
  expect(histogram.toJSON()).toEqual(new Histogram().toJSON());
  histogram.merge(recorded([7]));
  expect(histogram.toJSON()).toEqual(recorded([7]).toJSON());
});

test("numbers are the same as one by one", () => {
  const random = new Random(2);
  const histogram = recorded(Array.from({ length: 30_000 }, () => random.exponential() * 3));
  const { count, least, mean, most } = histogram;
  const at = (percent: number): number => histogram.percentile(percent);
  expect(histogram.numbers()).toEqual({
    ...{ count, least, mean, most },
    ...{ p50: at(50), p75: at(75), p90: at(90), p95: at(95) },
    ...{ p99: at(99), p999: at(99.9), p9999: at(99.99) },
  });
  const empty = Object.values(new Histogram().numbers());
  expect(empty).toEqual(Array(11).fill(0));
});

test("the standard deviation is that of the values", () => {
  const random = new Random(3);
  const values = Array.from({ length: 20_000 }, () => 5 + random.exponential());
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const exact = Math.sqrt(squares / values.length);
  expect(Math.abs(recorded(values).standardDeviation - exact)).toBeLessThan(exact / 1000);
  expect(recorded([]).standardDeviation).toBe(0);
});

test("values up to a limit are counted, its bucket included", () => {
  const histogram = recorded([0, 0.5, 1, 1.9, 2.5, 3_600_000]);
  const limits = [-1, 0, 0.4, 0.5, 1, 2, 2.4, 2.6, 1e9];
  expect(limits.map((limit) => histogram.countUpTo(limit))).toEqual([0, 1, 1, 2, 3, 4, 4, 5, 6]);
  expect(histogram.countsUpTo(limits)).toEqual([0, 1, 1, 2, 3, 4, 4, 5, 6]);
  expect(new Histogram().countUpTo(5)).toBe(0);
});

test("the curve goes from the least to the greatest value, with finer steps towards 100 percent", () => {
  const random = new Random(6);
  const histogram = recorded(Array.from({ length: 100_000 }, () => random.exponential()));
  const points = [...histogram.curve()];
  expect(points.length).toBeLessThan(200);
  expect(points.at(-1)).toEqual({ percent: 100, milliseconds: histogram.most, count: 100_000 });
  for (const [index, point] of points.entries()) {
    if (point.percent < 100) expect(point.milliseconds).toBe(histogram.percentile(point.percent));
    expect(point.count).toBe(histogram.countUpTo(point.milliseconds));
    if (index > 0) expect(point.percent).toBeGreaterThan(points[index - 1]!.percent);
  }
  expect(points.filter(({ percent }) => percent >= 99.9).length).toBeGreaterThan(20);
  expect([...new Histogram().curve()]).toEqual([]);
  expect([...recorded([1e-6, 2e-6]).curve(1)]).toEqual([
    { percent: 0, milliseconds: 1e-6, count: 1 },
    { percent: 100, milliseconds: 2e-6, count: 2 },
  ]);
  const one = [{ percent: 100, milliseconds: 7, count: 1 }];
  expect([...recorded([7]).curve()]).toEqual(one);
});

test("JSON brings a histogram back with its exact numbers", () => {
  const random = new Random(8);
  const histogram = recorded(Array.from({ length: 10_000 }, () => random.exponential() * 50));
  const text = JSON.stringify(histogram);
  const back = Histogram.from(JSON.parse(text));
  expect(JSON.stringify(back)).toBe(text);
  expect([back.least, back.most, back.mean]).toEqual([
    ...[histogram.least, histogram.most, histogram.mean],
  ]);
  expect(JSON.stringify(Histogram.from(JSON.parse(JSON.stringify(new Histogram()))))).toBe(
    JSON.stringify(new Histogram()),
  );
});

test("numbers that do not belong to the counts are refused", () => {
  const json = recorded([1, 2, 3]).toJSON();
  expect(Histogram.from(json).count).toBe(3);
  const wrong = [
    ...[{ count: 4 }, { least: 2 }, { least: -1 }, { most: 2.5 }, { mean: 4 }, { mean: 0 }],
    ...[{ most: undefined }, { mean: "2" }, { count: null }],
  ];
  for (const numbers of wrong) {
    expect(() => Histogram.from({ ...json, ...numbers })).toThrow("not those of its `hdr`");
  }
  // Numbers that have the right bucket, or would have by the arithmetic of buckets.
  const hour = recorded([3_600_000]).toJSON();
  expect(() => Histogram.from({ ...hour, most: 3_600_001 })).toThrow("not those of its `hdr`");
  const odd = recorded([leastOf(21_503) / 1e6]).toJSON();
  expect(() => Histogram.from({ ...odd, least: -1e-6 })).toThrow("not those of its `hdr`");
  for (const nothing of [undefined, null, 5, {}, { hdr: 5 }]) {
    expect(() => Histogram.from(nothing)).toThrow("a histogram has no `hdr`");
  }
});
