/** Comparisons: what has changed, what is noise, what is not to be compared, and thresholds on changes. */

import { describe, expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import { PackedHistogram } from "../../src/load/packed_histogram.ts";
import { Random } from "../../src/load/random.ts";
import type { Interval, Report } from "../../src/load/report.ts";
import {
  type Comparison,
  compareReports,
  mostCompared,
  parseReportFile,
  type QuantityComparison,
} from "../../src/report/compare.ts";
import { comparisonHtml } from "../../src/report/comparison_html.ts";
import { comparisonText } from "../../src/report/comparison_text.ts";
import { htmlReport } from "../../src/report/html.ts";
import { reportJson } from "../../src/report/json.ts";
import { recorded } from "../support/recorded.ts";
import { sampleReport } from "../support/sample_report.ts";

const bound = 30_000;
const sample = sampleReport({ seconds: 10 });
const failing = sampleReport({ seconds: 10, withFailures: true, seed: 2 });

interface Made {
  readonly seed: number;
  readonly intervals?: number;
  /** Latencies are so many times those of another run. */
  readonly factor?: number;
  readonly perInterval?: number;
  /** Failures in each interval. */
  readonly failed?: number;
}

/** A run whose intervals have independent values of the exponential distribution. */
function made({ seed, intervals = 12, factor = 1, perInterval = 60, failed = 0 }: Made): Report {
  const random = new Random(seed);
  const all = new Histogram();
  const [first] = sample.intervals as [Interval];
  const outcomes = { ok: perInterval - failed, "status 5xx": failed };
  const parts = Array.from({ length: intervals }, (_, index): Interval => {
    const values = Array.from(
      { length: perInterval },
      () => factor * (5 + 10 * random.exponential()),
    );
    const histogram = recorded(values);
    all.merge(histogram);
    const packed = new PackedHistogram(histogram);
    return {
      ...{ ...first, start: index * 1000, milliseconds: 1000, outcomes },
      ...{ sent: perInterval, response: packed, service: packed },
    };
  });
  const sent = intervals * perInterval;
  return {
    ...sample,
    plan: { ...sample.plan, seed },
    ...{ intervals: parts, sendingMilliseconds: intervals * 1000, milliseconds: intervals * 1000 },
    latencies: { ...sample.latencies, response: { ok: all }, service: { ok: all } },
    iterations: {
      ...{ ...sample.iterations, due: sent, sent, unfinished: 0 },
      outcomes: { ok: sent - intervals * failed, "status 5xx": intervals * failed },
    },
  };
}

function compared(one: Report, other: Report, thresholds: readonly string[] = []): Comparison {
  return compareReports(
    [
      { name: "one", report: one },
      { name: "other", report: other },
    ],
    thresholds,
  );
}

function named({ quantities }: Comparison, name: string): QuantityComparison {
  return quantities.find((quantity) => quantity.name === name)!;
}

describe("the noise", () => {
  test(
    "covers what differs between runs of the same kind, and shows a real change",
    () => {
      const pairs = Array.from(
        { length: 10 },
        (_, index) => [2 * index + 1, 2 * index + 2] as const,
      );
      const same = pairs.map(([one, other]) =>
        compared(made({ seed: one }), made({ seed: other })),
      );
      for (const name of ["mean", "p50", "p99"]) {
        const clear = same.filter((each) => named(each, name).changes[0]!.verdict !== "same");
        // One in twenty is expected.
        expect([name, clear.length <= 2]).toEqual([name, true]);
        for (const each of same) {
          const { percent, noise } = named(each, name).changes[0]!;
          expect(noise![1] - noise![0]).toBeLessThan(100);
          expect(percent! > noise![0] - 20 && percent! < noise![1] + 20).toBe(true);
        }
      }
      const slower = compared(made({ seed: 1 }), made({ seed: 2, factor: 1.3 }));
      for (const name of ["mean", "p50", "p90", "service.p50"]) {
        expect([name, named(slower, name).changes[0]!.verdict]).toEqual([name, "worse"]);
      }
      const faster = compared(made({ seed: 1, factor: 1.3 }), made({ seed: 2 }));
      expect(named(faster, "p50").changes[0]!.verdict).toBe("better");
    },
    bound,
  );

  test("is of the whole run, with the percentiles of all its values", () => {
    const one = made({ seed: 1 });
    const { values, changes } = named(compared(one, made({ seed: 2 })), "p99");
    expect(values[0]).toBe(one.latencies.response.ok!.percentile(99));
    expect(changes[0]!.percent).toBeCloseTo((values[1]! / values[0]! - 1) * 100, 9);
    expect(changes[0]!.difference).toBeCloseTo(values[1]! - values[0]!, 9);
  });

  test("is there between a run and itself, where nothing has changed", () => {
    const one = made({ seed: 1 });
    const { percent, noise, verdict } = named(compared(one, one), "p50").changes[0]!;
    expect([percent, verdict]).toEqual([0, "same"]);
    expect(noise![0]).toBeLessThan(-2);
    expect(noise![1]).toBeGreaterThan(2);
  });

  test("is not claimed for a maximum, nor for few intervals", () => {
    expect(named(compared(sample, failing), "max").changes[0]).toMatchObject({
      ...{ noise: undefined, verdict: "unknown" },
    });
    const short = compared(made({ seed: 1, intervals: 7 }), made({ seed: 2 }));
    expect(named(short, "p50").changes[0]!.verdict).toBe("unknown");
    const longer = compared(made({ seed: 1, intervals: 8 }), made({ seed: 2 }));
    expect(named(longer, "p50").changes[0]!.verdict).not.toBe("unknown");
  });

  test("of rates and errors comes from the intervals too", () => {
    const less = compared(made({ seed: 1 }), made({ seed: 2, perInterval: 54, failed: 6 }));
    expect(named(less, "rate").changes[0]).toMatchObject({ percent: -10, verdict: "worse" });
    const { values, changes } = named(less, "errors");
    expect(values[1]).toBeCloseTo(100 / 9, 9);
    expect(changes[0]).toMatchObject({ percent: undefined, verdict: "worse" });
    expect(changes[0]!.difference).toBeCloseTo(100 / 9, 9);
  });

  test("is the same each time", () => {
    expect(compared(sample, failing)).toEqual(compared(sample, failing));
  });
});

describe("a warning", () => {
  // So short that its noise is not computed.
  const short = sampleReport({ seconds: 4 });
  const changed = (change: Partial<Report["plan"]>): Report => {
    return { ...short, plan: { ...short.plan, ...change } };
  };

  test.each<[what: string, report: Report]>([
    ["the shape of the load: 9/s, not 400/s as one", changed({ shape: "9/s" })],
    ["the number of connections: 3, not 16", changed({ connections: 3 })],
    ["the loop: closed, not open", changed({ isOpenLoop: false })],
    ["the rule for busy connections: drop, not queue", changed({ overload: "drop" })],
    ["the scenario: else.ts", changed({ scenario: "else.ts" })],
    ["the machine", { ...short, machine: { ...short.machine, cpu: "another" } }],
    ["how long it sent: 20.0 s, not 4.0 s", { ...short, sendingMilliseconds: 20_000 }],
  ])("tells of %s", (what, report) => {
    const { warnings } = compared(short, report);
    expect(warnings[0]).toStartWith("other differs in ");
    expect(warnings[0]).toContain(what);
  });

  test("tells of a generator that was the bottleneck, and of a run that did not end", () => {
    const late = sampleReport({ seconds: 4, isBottleneck: true });
    expect(compared(short, late).warnings).toEqual([
      expect.stringContaining("In other the generator was the bottleneck"),
    ]);
    const interrupted: Report = { ...short, verdict: { ...short.verdict, exitCode: 130 } };
    expect(compared(interrupted, short).warnings).toEqual(["one was interrupted."]);
  });

  test("is not given for another target or seed", () => {
    expect(compared(short, changed({ target: "http://[::1]:9/", seed: 9 })).warnings).toEqual([]);
  });
});

describe("a threshold on a change", () => {
  const slower = made({ seed: 2, factor: 1.3, perInterval: 57, failed: 3 });
  const one = made({ seed: 1 });

  const cases: readonly [text: string, held: boolean][] = [
    ["p50<+5%", false],
    ["p50<+50%", true],
    ["p50 <= 50%", true],
    ["service.p50<+1ms", false],
    ["response.p50<+1s", true],
    ["p50<+100us", false],
    ["mean>-1%", true],
    ["max<+500%", true],
    ["p99.99<+500%", true],
    ["rate>-2%", false],
    ["rate>=-5%", true],
    ["rate>-2/s", false],
    ["errors<+0.1%", false],
    ["errors<+6%", true],
  ];

  test("holds or is missed", () => {
    const comparison = compared(
      one,
      slower,
      cases.map(([text]) => text),
    );
    expect(comparison.thresholds.map(({ text, held }) => [text, held])).toEqual([...cases]);
    expect(comparison.exitCode).toBe(1);
    expect(compared(one, slower, ["errors<+6%"]).exitCode).toBe(0);
  });

  test("is judged for each run", () => {
    const runs = [one, one, slower].map((report, index) => ({ name: `run ${index}`, report }));
    const { thresholds, exitCode } = compareReports(runs, ["p50<+5%"]);
    expect(thresholds.map(({ run, held }) => [run, held])).toEqual([
      ["run 1", true],
      ["run 2", false],
    ]);
    expect(thresholds[0]!.isWithinNoise).toBe(true);
    expect(exitCode).toBe(1);
  });

  test("is not held without anything to compare", () => {
    const none: Report = { ...one, latencies: { ...one.latencies, response: {} } };
    const { thresholds, exitCode } = compared(one, none, ["p99<+5%"]);
    expect(thresholds[0]).toMatchObject({ held: false, value: undefined });
    expect(exitCode).toBe(1);
  });

  test.each([
    ["p99", "write one like"],
    ["p99<5", "in % or ms or us or s"],
    ["rate>-2ms", "in % or /s"],
    ["errors<+1ms", "in %"],
    ["latency<+5%", "latency is not rate, errors, mean, max"],
    ["p101<+5%", "p101 is not"],
    ["p99<+5%%", "write one like"],
  ])("%s is refused", (text, advice) => {
    expect(() => compared(one, slower, [text])).toThrow(RangeError);
    expect(() => compared(one, slower, [text])).toThrow(advice);
  });
});

test("one report is no comparison, and too many are refused", () => {
  const run = { name: "one", report: sample };
  expect(() => compareReports([run])).toThrow(RangeError);
  expect(() => compareReports(Array(mostCompared + 1).fill(run))).toThrow(RangeError);
});

test("the text has a table for each run, warnings above and thresholds below", () => {
  const runs = [sample, failing, sampleReport({ seconds: 10, connections: 3 })];
  const named = runs.map((report, index) => ({ name: `${"abc"[index]}.json`, report }));
  const text = comparisonText(compareReports(named, ["errors<+0.1%"]));
  expect(text).toStartWith("Warning: c.json differs in the number of connections: 3, not 16 as");
  expect(text).toContain("\nb.json against a.json\n");
  expect(text).toContain("\nc.json against a.json\n");
  expect(text).toMatch(/\nerrors +0 % +\d\.\d\d % +\+\d\.\d points .* worse\n/);
  expect(text).toMatch(
    /\nmissed {2}errors<\+0.1% {2}b.json: \+\d\.\d points\nheld {4}errors<\+0.1% {2}c/,
  );
  for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
});

test("reports are read from JSON and from their pages", () => {
  const page = htmlReport(failing);
  const json = reportJson(failing);
  expect(reportJson(parseReportFile(json, "a.json"))).toBe(json);
  expect(reportJson(parseReportFile(page, "a.html"))).toBe(json);
  expect(() => parseReportFile("<!doctype html><p>hello", "b.html")).toThrow(
    "b.html is not the page of a load test",
  );
  const comparison = comparisonHtml(compared(sample, failing));
  expect(() => parseReportFile(comparison, "c.html")).toThrow("c.html is a comparison");
  expect(() => parseReportFile(page.replace('"due":', '"dew":'), "d.html")).toThrow("d.html");
});
