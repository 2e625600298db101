/** Units as people write them, and the sentences for what they get wrong. */

import { describe, expect, test } from "bun:test";
import { Rate } from "../../src/load/arrivals.ts";
import {
  bytes,
  duration,
  milliseconds,
  mostStages,
  parseStages,
  perSecond,
  wholeNumber,
} from "../../src/load/durations.ts";
import { Random } from "../../src/load/random.ts";

/** The sentence of an error, with its class. */
function mistakeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    const { name, message } = error as Error;
    expect(message).not.toContain("\n");
    return `${name}: ${message}`;
  }
  throw new Error("nothing was thrown");
}

describe("times", () => {
  test.each<[string | number, number]>([
    [1500, 1500],
    [0, 0],
    ["0", 0],
    ["0s", 0],
    ["30s", 30_000],
    ["500ms", 500],
    ["2m", 120_000],
    ["2min", 120_000],
    ["1h30m", 5_400_000],
    ["1h 30 min", 5_400_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["1.5 s", 1500],
    [".5s", 500],
    ["250us", 0.25],
    ["250µs", 0.25],
    ["7ns", 7e-6],
    [" 10s ", 10_000],
  ])("%p", (text, expected) => {
    expect(milliseconds(text)).toBeCloseTo(expected, 9);
  });

  test.each([
    ["", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not ""'],
    ["abc", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "abc"'],
    ["30x", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "30x"'],
    ["30m1h", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "30m1h"'],
    ["1s1s", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "1s1s"'],
    ["1h30", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "1h30"'],
    ["1m1min", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "1m1min"'],
    ["-3s", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "-3s"'],
    ["1e3s", 'TypeError: a duration is a time such as 30s, 500ms or 1h30m, not "1e3s"'],
    ["30", 'TypeError: a duration has no unit in "30": write 30s or 30ms'],
    [Number.NaN, "TypeError: a duration is a number, not NaN"],
    [-1, "RangeError: a duration is not negative and not infinite, not -1 milliseconds"],
    [null as never, "TypeError: a duration is a time such as 30s, 500ms or 1h30m, not null"],
  ])("%p is refused", (text, sentence) => {
    expect(mistakeOf(() => milliseconds(text))).toBe(sentence);
  });

  test("one that is too long is refused, and the option is named", () => {
    const digits = "9".repeat(400);
    expect(mistakeOf(() => milliseconds(`${digits}s`, "--timeout"))).toBe(
      "RangeError: --timeout is not negative and not infinite, not Infinity milliseconds",
    );
  });
});

describe("times for reports", () => {
  test.each([
    [0, "0 s"],
    [0.00012, "120 ns"],
    [0.23, "230 us"],
    [0.0009996, "1 us"],
    [0.999_96, "1 ms"],
    [1.2345, "1.23 ms"],
    [999.9, "1 s"],
    [1500, "1.5 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min"],
    [150_000, "2 min 30 s"],
    [3_599_700, "1 h"],
    [3_900_000, "1 h 5 min"],
    [-1500, "-1.5 s"],
    [Number.POSITIVE_INFINITY, "Infinity"],
  ])("%p ms", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  test("read back they are the same, to three digits or a second", () => {
    const random = new Random(1);
    for (let round = 0; round < 2000; round++) {
      const ms = 10 ** (random.fraction() * 12 - 5);
      const back = milliseconds(duration(ms));
      const step = ms < 60_000 ? ms * 0.005 : ms < 3_600_000 ? 500 : 30_000;
      expect(Math.abs(back - ms)).toBeLessThanOrEqual(step * 1.001);
    }
  });
});

describe("rates", () => {
  test.each<[string | number, number]>([
    [5, 5],
    ["20000", 20_000],
    ["20k", 20_000],
    ["20K/s", 20_000],
    ["1.5k/s", 1500],
    ["2M", 2e6],
    ["120/m", 2],
    ["120/min", 2],
    ["7200/h", 2],
    ["0.5", 0.5],
  ])("%p", (text, expected) => {
    expect(perSecond(text)).toBe(expected);
  });

  test.each(["", "20m", "20/", "20/d", "k", "1e5", "-5", "20 000", "20k/x"])(
    "%p is refused",
    (text) => {
      expect(mistakeOf(() => perSecond(text, "--rate"))).toBe(
        `TypeError: --rate is a rate such as 20000, 20k or 100/m, not ${JSON.stringify(text)}`,
      );
    },
  );
});

describe("whole numbers and sizes", () => {
  test.each<[string | number, number]>([
    [7, 7],
    ["10000", 10_000],
    ["10k", 10_000],
    ["1.1k", 1100],
    ["1.5M", 1_500_000],
    ["0", 0],
  ])("the count %p", (text, expected) => {
    expect(wholeNumber(text)).toBe(expected);
  });

  test.each<[string | number, number]>([
    [7, 7],
    ["65536", 65_536],
    ["10B", 10],
    ["64KB", 64_000],
    ["64k", 64_000],
    ["64KiB", 65_536],
    ["1.5MiB", 1_572_864],
    ["2 gib", 2_147_483_648],
    ["1.1MB", 1_100_000],
  ])("the size %p", (text, expected) => {
    expect(bytes(text)).toBe(expected);
  });

  test("what is none is refused", () => {
    expect(mistakeOf(() => wholeNumber("many", "-n"))).toBe(
      'TypeError: -n is a whole number such as 10000 or 10k, not "many"',
    );
    expect(mistakeOf(() => wholeNumber("1.5", "-n"))).toBe(
      "TypeError: -n is a whole number, not 1.5",
    );
    expect(mistakeOf(() => wholeNumber("9007199254740993", "-n"))).toBe(
      "RangeError: -n is between 0 and 9007199254740991, not 9007199254740993",
    );
    expect(mistakeOf(() => bytes("64XB"))).toBe(
      'TypeError: a number of bytes is a size such as 65536, 64KB or 64KiB, not "64XB"',
    );
    expect(mistakeOf(() => bytes("1.5B"))).toBe(
      "TypeError: a number of bytes is a whole number, not 1.5B",
    );
    expect(mistakeOf(() => bytes(-1))).toBe(
      "RangeError: a number of bytes is between 0 and 9007199254740991, not -1",
    );
  });
});

describe("stages", () => {
  test("ramp from the value before, at first from 0", () => {
    expect(parseStages("10s:1000,30s:20k")).toEqual([
      { milliseconds: 10_000, from: 0, to: 1000 },
      { milliseconds: 30_000, from: 1000, to: 20_000 },
    ]);
  });

  test("stay at a value with =, so that a spike is three of them", () => {
    expect(parseStages("10s=1000, 2s=5000, 10s=1000")).toEqual([
      { milliseconds: 10_000, from: 1000, to: 1000 },
      { milliseconds: 2000, from: 5000, to: 5000 },
      { milliseconds: 10_000, from: 1000, to: 1000 },
    ]);
  });

  test("jump with a time of 0, and go on from there", () => {
    expect(parseStages("0s:100,10s:200,0s:0,1m=0,5s:60/m")).toEqual([
      { milliseconds: 10_000, from: 100, to: 200 },
      { milliseconds: 60_000, from: 0, to: 0 },
      { milliseconds: 5000, from: 0, to: 1 },
    ]);
  });

  test("are what arrivals take", () => {
    const rate = new Rate(parseStages("10s:1000,10s=1000,10s:0"));
    expect(rate.total).toBe(20_000);
    expect(rate.at(5000)).toBe(500);
  });

  test("of connections have whole numbers", () => {
    expect(parseStages("10s:64,0s:256,30s:256", "connections")).toEqual([
      { milliseconds: 10_000, from: 0, to: 64 },
      { milliseconds: 30_000, from: 256, to: 256 },
    ]);
    expect(mistakeOf(() => parseStages("10s:100/m", "connections"))).toBe(
      'TypeError: the value of the stage "10s:100/m" is a whole number such as 10000 or 10k, not "100/m"',
    );
  });

  test.each([
    ["", 'TypeError: a stage is a time and a value, such as 30s:20000 or 30s=20000, not ""'],
    ["10s:5,,", 'TypeError: a stage is a time and a value, such as 30s:20000 or 30s=20000, not ""'],
    ["10s", 'TypeError: a stage is a time and a value, such as 30s:20000 or 30s=20000, not "10s"'],
    ["10:5", 'TypeError: the time of the stage "10:5" has no unit in "10": write 10s or 10ms'],
    [
      "10s:fast",
      'TypeError: the value of the stage "10s:fast" is a rate such as 20000, 20k or 100/m, not "fast"',
    ],
    ["10s:5,0s:9", 'TypeError: the stage "0s:9" comes last, and so has no effect'],
    ["0s=9", 'TypeError: the stage "0s=9" lasts no time: give it one, such as 10s'],
    ["10s:0,5s=0", 'RangeError: the stages "10s:0,5s=0" are 0 all the time'],
  ])("%p is refused", (text, sentence) => {
    expect(mistakeOf(() => parseStages(text))).toBe(sentence);
  });

  test("are bounded in number", () => {
    const text = Array.from({ length: mostStages + 1 }, () => "1s:1").join(",");
    expect(mistakeOf(() => parseStages(text))).toBe("RangeError: stages are up to 1000, not 1001");
  });
});
