/** Merged reports are those of one generator that had made the whole load. */

import { describe, expect, test } from "bun:test";
import { PackedHistogram } from "../../src/load/packed_histogram.ts";
import { Random } from "../../src/load/random.ts";
import type { Interval, Report } from "../../src/load/report.ts";
import { parseReport, reportJson } from "../../src/report/json.ts";
import { type MergeOptions, mergeReports } from "../../src/report/merge.ts";
import { merged } from "../../src/report/page_data.ts";
import { recorded } from "../support/recorded.ts";
import { sampleReport } from "../support/sample_report.ts";

const one = sampleReport({ withFailures: true, seconds: 5, seed: 1 });
const other = sampleReport({ withFailures: true, seconds: 3, rate: 250, seed: 2 });

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

test("percentiles of the merge are those of all samples together", () => {
  const random = new Random(7);
  const samples = [4000, 900, 50].map((count, index) =>
    Array.from({ length: count }, () => (index + 1) ** 3 * (0.2 + random.exponential())),
  );
  const reports = samples.map((values): Report => {
    const histogram = recorded(values);
    const latencies = { ...one.latencies, wait: histogram, response: { ok: histogram } };
    const [first] = one.intervals as [Interval];
    return {
      ...one,
      latencies,
      intervals: [{ ...first, response: new PackedHistogram(histogram) }],
    };
  });
  const merged = mergeReports(reports);
  const all = recorded(samples.flat());
  const percents = Array.from({ length: 1001 }, (_, index) => index / 10);
  for (const histogram of [
    merged.latencies.wait,
    merged.latencies.response.ok!,
    merged.intervals[0]!.response.unpack(),
  ]) {
    expect(histogram.count).toBe(samples.flat().length);
    expect(histogram.percentiles(percents)).toEqual(all.percentiles(percents));
    expect([histogram.least, histogram.most]).toEqual([all.least, all.most]);
    expect(histogram.mean).toBeCloseTo(all.mean, 6);
  }
});

describe("the merge of two generators", () => {
  const merged = mergeReports([one, other]);

  test("has a ledger that adds up", () => {
    const { due, sent, droppedBusy, droppedLate, unsent, outcomes, unfinished } = merged.iterations;
    expect(due).toBe(one.iterations.due + other.iterations.due);
    expect(due).toBe(sent + droppedBusy + droppedLate + unsent);
    expect(sent).toBe(total(outcomes) + unfinished);
    expect(merged.requests.sent).toBe(total(merged.requests.outcomes) + merged.requests.unfinished);
    for (const { outcome, count } of merged.failures) expect(count).toBe(outcomes[outcome]!);
    expect(total(outcomes) - outcomes.ok!).toBe(
      merged.failures.reduce((sum, { count }) => sum + count, 0),
    );
    const steps = merged.steps.map(({ name, outcomes }) => [name, outcomes.ok!.count]);
    expect(steps).toEqual([
      ["login", one.steps[0]!.outcomes.ok!.count + other.steps[0]!.outcomes.ok!.count],
      ["item", one.steps[1]!.outcomes.ok!.count + other.steps[1]!.outcomes.ok!.count],
    ]);
    expect(merged.checks[0]!.passed).toBe(one.checks[0]!.passed + other.checks[0]!.passed);
  });

  test("aligns intervals by their start, the shorter run with the longer one", () => {
    expect(merged.intervals.map(({ start }) => start)).toEqual(
      one.intervals.map(({ start }) => start),
    );
    merged.intervals.forEach((interval, index) => {
      const [left, right] = [one.intervals[index]!, other.intervals[index]];
      expect(interval.due).toBe(left.due + (right?.due ?? 0));
      expect(interval.threads).toEqual([...left.threads, ...(right?.threads ?? [0, 0])]);
      const count = total(interval.outcomes);
      expect(interval.response.numbers.count).toBe(count);
    });
  });

  test("has the longer intervals of two generators", () => {
    const halves = { ...other, intervals: pairs(other.intervals) };
    const { intervals } = mergeReports([one, halves]);
    expect(intervals.map(({ start, milliseconds }) => [start, milliseconds])).toEqual(
      pairs(one.intervals).map(({ start, milliseconds }) => [start, milliseconds]),
    );
    const due = intervals.reduce((sum, interval) => sum + interval.due, 0);
    expect(due).toBe(merged.iterations.due);
  });

  test("lists all threads and commands, and adds up the connections", () => {
    expect(merged.threads.map(({ thread }) => thread)).toEqual([0, 1, 2, 3]);
    expect(merged.plan).toMatchObject({
      ...{ connections: 32, threads: 4, shape: "400/s + 250/s", target: one.plan.target },
    });
    expect(merged.command).toBe(`${one.command}\n${other.command}`);
    expect(merged.machine.cpus).toBe(4);
    expect(mergeReports([one, one]).plan.shape).toBe("2 × 400/s");
  });

  test("is a report like another", () => {
    expect(reportJson(parseReport(reportJson(merged)))).toBe(reportJson(merged));
  });
});

/** Intervals of twice the length. */
function pairs(intervals: readonly Interval[]): Interval[] {
  return intervals
    .filter((_, index) => index % 2 === 0)
    .map((interval, index) => {
      const next = intervals[2 * index + 1];
      if (next === undefined) return interval;
      return { ...interval, milliseconds: 2000, due: interval.due + next.due };
    });
}

describe("the verdict", () => {
  const calm = sampleReport({ seconds: 4, rate: 100, seed: 3 });
  const late = sampleReport({ seconds: 8, isBottleneck: true });

  test("blames the generator if one was the bottleneck", () => {
    const { verdict } = mergeReports([calm, late]);
    expect(verdict.exitCode).toBe(4);
    expect(verdict.generatorWasBottleneck).toBe(true);
    expect(verdict.generatorReasons).toEqual([
      `Generator 2 of 2: ${late.verdict.generatorReasons[0]}`,
    ]);
    expect(mergeReports([calm, calm]).verdict).toMatchObject({
      ...{ exitCode: 0, generatorWasBottleneck: false, reasons: [] },
    });
  });

  test("judges percentiles and errors on the whole load", () => {
    const failing = sampleReport({ seconds: 4, rate: 100, seed: 4, withFailures: true });
    const reports = [failing, calm, calm, calm];
    const { verdict, latencies, iterations } = mergeReports(reports);
    const [p99, errors] = verdict.thresholds;
    expect(p99!.value).toBe(merged(latencies.response).percentile(99));
    expect(p99!.value).not.toBe(failing.verdict.thresholds[0]!.value);
    expect(errors!.value).toBeCloseTo((1 - iterations.outcomes.ok! / iterations.sent) * 100, 9);
    expect(errors!.value).toBeLessThan(failing.verdict.thresholds[1]!.value! / 3);
    // What one generator alone has missed, the whole may hold.
    const limit = Math.ceil(failing.verdict.thresholds[1]!.value! / 2);
    const strict = (report: Report): Report => {
      const [, own] = report.verdict.thresholds;
      const value = own!.value!;
      const text = `errors<${limit}%`;
      const threshold = { ...own!, text, held: value < limit, value, missedAt: undefined };
      return { ...report, verdict: { ...report.verdict, thresholds: [threshold] } };
    };
    expect(strict(failing).verdict.thresholds[0]!.held).toBe(false);
    expect(mergeReports(reports.map(strict)).verdict.thresholds[0]!.held).toBe(true);
  });

  test("judges rates on the sum, and takes the worst of values that it cannot compute", () => {
    const missing = (report: Report, value: number): Report => ({
      ...report,
      verdict: {
        ...report.verdict,
        exitCode: 1,
        reasons: ["The threshold rate>150 was missed."],
        thresholds: [
          { text: "rate>150", held: false, value, unit: "/s", missedAt: undefined },
          { text: "p99<50ms", held: value < 90, value, unit: "ms", missedAt: undefined },
        ],
      },
    });
    const { verdict } = mergeReports([missing(calm, 80), missing(calm, 100)]);
    expect(verdict.exitCode).toBe(1);
    expect(verdict.reasons).toEqual(["The threshold p99<50ms was missed."]);
    expect(verdict.thresholds).toMatchObject([
      { text: "rate>150", held: true, value: 180 },
      { text: "p99<50ms", held: false, value: 100 },
    ]);
  });

  test("is interrupted if one was", () => {
    const interrupted: Report = { ...calm, verdict: { ...calm.verdict, exitCode: 130 } };
    expect(mergeReports([interrupted, late]).verdict.exitCode).toBe(130);
  });
});

describe("refused is a merge", () => {
  const changed = (change: Partial<Report["plan"]>): Report => {
    return { ...other, plan: { ...other.plan, ...change } };
  };

  test.each<[what: string, report: Report]>([
    ["targets", changed({ target: "http://127.0.0.1:9/" })],
    ["scenarios", changed({ scenario: "else.ts" })],
    ["loops", changed({ isOpenLoop: false })],
    ["versions of plait", { ...other, plait: "9.9.9" }],
    ["one after the other", { ...other, startedAt: "2026-11-27T12:10:00.000Z" }],
  ])("of different %s, unless allowed", (what, report) => {
    expect(() => mergeReports([one, report])).toThrow(what);
    const merged = mergeReports([one, report], { allowDifferent: true });
    expect(merged.iterations.due).toBe(one.iterations.due + report.iterations.due);
  });

  test("of a single report, and with an unknown option", () => {
    expect(() => mergeReports([one])).toThrow(RangeError);
    const wrong = { allow: true } as MergeOptions;
    expect(() => mergeReports([one, other], wrong)).toThrow("allow");
  });
});
