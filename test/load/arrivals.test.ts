/** Due times against their definition, and Poisson arrivals against the statistics of the process. */

import { describe, expect, test } from "bun:test";
import { Arrivals, Rate, type Stage } from "../../src/load/arrivals.ts";
import { Random } from "../../src/load/random.ts";

function timesOf(rate: Rate, random?: Random): number[] {
  const arrivals = new Arrivals(rate, random);
  const times: number[] = [];
  for (let time = arrivals.next(); time !== Number.POSITIVE_INFINITY; time = arrivals.next()) {
    times.push(time);
  }
  return times;
}

/** How many are due by a time, by the trapezoids of the stages. */
function dueBy(stages: readonly Stage[], time: number): number {
  let due = 0;
  let start = 0;
  for (const { milliseconds, from, to } of stages) {
    const part = Math.min(Math.max(time - start, 0), milliseconds);
    const end = milliseconds === 0 ? to : from + ((to - from) * part) / milliseconds;
    due += (((from + end) / 2) * part) / 1000;
    start += milliseconds;
  }
  return due;
}

test("a constant rate spaces them evenly, from the start on", () => {
  const times = timesOf(Rate.constant(20_000, 10_000));
  expect(times).toHaveLength(200_000);
  expect(times.slice(0, 3)).toEqual([0, 0.05, 0.1]);
  expect(times.at(-1)).toBeCloseTo(9999.95, 9);
});

const ramps: Record<string, Stage[]> = {
  "up from 0": [{ milliseconds: 10_000, from: 0, to: 1000 }],
  "down to 0": [{ milliseconds: 10_000, from: 1000, to: 0 }],
  "up, on, and down": [
    { milliseconds: 1000, from: 10, to: 2000 },
    { milliseconds: 3000, from: 2000, to: 2000 },
    { milliseconds: 500, from: 2000, to: 1 },
  ],
  "with steps and a pause": [
    { milliseconds: 1000, from: 100, to: 100 },
    { milliseconds: 0, from: 100, to: 5000 },
    { milliseconds: 100, from: 5000, to: 5000 },
    { milliseconds: 2000, from: 0, to: 0 },
    { milliseconds: 1000, from: 100, to: 100 },
  ],
};

describe.each(Object.entries(ramps))("a rate that goes %s", (_name, stages) => {
  const rate = new Rate(stages);

  test("has each arrival due when so many are due", () => {
    const times = timesOf(rate);
    expect(times).toHaveLength(Math.ceil(rate.total));
    for (const [index, time] of times.entries()) {
      expect(Math.abs(dueBy(stages, time) - index)).toBeLessThan(1e-6 * (index + 1));
      if (index > 0) expect(time).toBeGreaterThan(times[index - 1]!);
    }
  });

  test("is the slope of what is due", () => {
    for (let time = 7; time < rate.milliseconds; time += 10) {
      const slope = (dueBy(stages, time + 0.001) - dueBy(stages, time)) * 1e6;
      expect(Math.abs(rate.at(time) - slope)).toBeLessThan(1);
    }
    expect(rate.at(rate.milliseconds)).toBe(0);
  });

  test("has Poisson arrivals of the same number, within four standard deviations", () => {
    for (let seed = 0; seed < 20; seed++) {
      const { length } = timesOf(rate, new Random(seed));
      expect(Math.abs(length - rate.total)).toBeLessThan(4 * Math.sqrt(rate.total));
    }
  });
});

test("Poisson arrivals have exponential intervals, independent of each other", () => {
  const times = timesOf(Rate.constant(1000, 200_000), new Random(7));
  const intervals = times.slice(1).map((time, index) => time - times[index]!);
  const mean = intervals.reduce((sum, each) => sum + each) / intervals.length;
  expect(Math.abs(mean - 1)).toBeLessThan(0.01);
  // The share of intervals above t is e^-t.
  for (const limit of [0.1, 0.5, 1, 2, 4]) {
    const share = intervals.filter((each) => each > limit).length / intervals.length;
    expect(Math.abs(share - Math.exp(-limit))).toBeLessThan(0.005);
  }
  let product = 0;
  for (let index = 1; index < intervals.length; index++) {
    product += (intervals[index]! - 1) * (intervals[index - 1]! - 1);
  }
  expect(Math.abs(product / intervals.length)).toBeLessThan(0.01);
});

test("the same seed gives the same arrivals, and another one gives others", () => {
  const rate = Rate.constant(1000, 1000);
  expect(timesOf(rate, new Random(1))).toEqual(timesOf(rate, new Random(1)));
  expect(timesOf(rate, new Random(1))).not.toEqual(timesOf(rate, new Random(2)));
});

describe("random numbers", () => {
  test("are the same for a seed and a stream, and differ for each stream", () => {
    const first = (seed: number, stream: number) => new Random(seed, stream).uint32();
    const seen = new Set<number>();
    for (let stream = 0; stream < 100_000; stream++) seen.add(first(3, stream));
    // So many of 2^32 collide about once.
    expect(seen.size).toBeGreaterThan(100_000 - 10);
    expect(first(3, 2 ** 40)).toBe(first(3, 2 ** 40));
    expect(first(3, 2 ** 40)).not.toBe(first(3, 0));
    expect(first(2 ** 40, 3)).not.toBe(first(0, 3));
  });

  test("of a stream are spread evenly, also the first ones of many streams", () => {
    const counts = (draw: (index: number) => number): number => {
      const cells = new Array<number>(100).fill(0);
      for (let index = 0; index < 100_000; index++) cells[draw(index)]!++;
      return cells.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    };
    const one = new Random(5);
    // Chi squared with 99 degrees of freedom: 160 is beyond 1 in 10,000.
    expect(counts(() => one.below(100))).toBeLessThan(160);
    expect(counts((index) => new Random(5, index).below(100))).toBeLessThan(160);
    expect(counts((index) => new Random(index, 5).below(100))).toBeLessThan(160);
  });
});
