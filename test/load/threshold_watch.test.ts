/** Thresholds while a run goes on: windows, the end of a run that is missed, and reports. */

import { describe, expect, test } from "bun:test";
import { Histogram } from "../../src/load/histogram.ts";
import type { Measures } from "../../src/load/measures.ts";
import { Random } from "../../src/load/random.ts";
import type { Interval, Report } from "../../src/load/report.ts";
import {
  judgeReport,
  type ThresholdResults,
  ThresholdWatch,
} from "../../src/load/threshold_watch.ts";
import { parseThreshold } from "../../src/load/thresholds.ts";
import { histogramOf, type MadeUp, madeUpMeasures } from "./support/measures.ts";

interface Course extends ThresholdResults {
  /** Which threshold has ended the run, and when. */
  readonly endedBy: string | undefined;
  readonly endedAt: number | undefined;
}

/** The measures of intervals together. */
function together(intervals: readonly MadeUp[]): Measures {
  const outcomes: Record<string, number> = {};
  const response = new Histogram();
  const sums = { milliseconds: 0, due: 0 };
  let checks: NonNullable<MadeUp["checks"]> = {};
  const steps: Record<string, Record<string, Histogram>> = {};
  for (const interval of intervals) {
    for (const [outcome, count] of Object.entries(interval.outcomes ?? {})) {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
    }
    if (interval.times?.response) response.merge(interval.times.response);
    sums.milliseconds += interval.milliseconds ?? 1000;
    sums.due += interval.due ?? 0;
    for (const [name, { passed, failed }] of Object.entries(interval.checks ?? {})) {
      const before = checks[name] ?? { passed: 0, failed: 0 };
      const after = { passed: before.passed + passed, failed: before.failed + failed };
      checks = { ...checks, [name]: after };
    }
    Object.assign(steps, interval.steps);
  }
  return madeUpMeasures({ ...sums, outcomes, times: { response }, checks, steps });
}

/** A run of intervals that ends as a threshold wants, or with the last one. */
function course(texts: readonly string[], intervals: readonly MadeUp[]): Course {
  const watch = new ThresholdWatch(texts.map((text) => parseThreshold(text)));
  let end = 0;
  for (const [index, interval] of intervals.entries()) {
    end += interval.milliseconds ?? 1000;
    const passed = intervals.slice(0, index + 1);
    const ending = watch.interval(end, madeUpMeasures(interval), together(passed));
    if (ending !== undefined) {
      return { ...watch.finish(together(passed)), endedBy: ending.text, endedAt: end };
    }
  }
  return { ...watch.finish(together(intervals)), endedBy: undefined, endedAt: undefined };
}

/** A second with so many iterations of so many milliseconds. */
function second(count: number, ms: number, failed = 0): MadeUp {
  const response = histogramOf(Array.from({ length: count }, () => ms));
  return { due: count, outcomes: { ok: count - failed, reset: failed }, times: { response } };
}

const seconds = (count: number, each: MadeUp): MadeUp[] =>
  Array.from({ length: count }, () => each);

describe("over the whole run", () => {
  test("a threshold is judged at the end alone", () => {
    const { thresholds, reasons } = course(
      ["max<50ms", "errors<1%", "rate>50"],
      [second(100, 60), ...seconds(9, second(100, 10))],
    );
    expect(thresholds).toEqual([
      { text: "max<50ms", held: false, value: 60, unit: "ms", missedAt: undefined },
      { text: "errors<1%", held: true, value: 0, unit: "%", missedAt: undefined },
      { text: "rate>50", held: true, value: 100, unit: "/s", missedAt: undefined },
    ]);
    expect(reasons).toEqual(["max<50ms was missed: 60 ms"]);
  });

  test("one that has nothing to judge is missed, and says why", () => {
    const { thresholds, reasons } = course(
      ["p99<50ms", "check(found)>99%", "step(login).p95<1s", "wait.p99<1s"],
      seconds(3, { due: 5, checks: { fount: { passed: 1, failed: 0 } } }),
    );
    expect(thresholds.map(({ held, value }) => ({ held, value }))).toEqual(
      seconds(4, { held: false, value: undefined } as MadeUp) as never,
    );
    expect(reasons).toEqual([
      "p99<50ms was missed: there were no times of response to judge",
      'check(found)>99% was missed: there was no check "found"; did you mean "fount"?',
      'step(login).p95<1s was missed: there was no step "login"',
      "wait.p99<1s was missed: there were no times of wait to judge",
    ]);
  });
});

describe("over windows", () => {
  test("each must hold, wherever it begins", () => {
    // Two bad seconds at 9 s and 10 s: windows that begin every 10 s would have one each.
    const intervals = [
      ...seconds(9, second(100, 10)),
      second(100, 10, 50),
      second(100, 10, 50),
      ...seconds(9, second(100, 10)),
    ];
    const { thresholds, reasons } = course(
      ["errors<6% over 10s", "errors<11% over 10s", "errors<6%"],
      intervals,
    );
    expect(thresholds).toEqual([
      { text: "errors<6% over 10s", held: false, value: 10, unit: "%", missedAt: 11_000 },
      { text: "errors<11% over 10s", held: true, value: 10, unit: "%", missedAt: undefined },
      { text: "errors<6%", held: true, value: 5, unit: "%", missedAt: undefined },
    ]);
    expect(reasons).toEqual([
      "errors<6% over 10s was missed: 10% in the worst 10 s, first at 11 s",
    ]);
  });

  test("a percentile is that of the window's times alone", () => {
    const intervals = [
      ...seconds(20, second(100, 10)),
      ...seconds(5, second(100, 80)),
      ...seconds(20, second(100, 10)),
    ];
    const { thresholds } = course(
      ["p50<50ms over 5s", "p40<50ms over 10s", "mean<46ms over 10s", "min>20ms over 5s"],
      intervals,
    );
    expect(thresholds.map(({ held }) => held)).toEqual([false, true, true, false]);
    expect(thresholds[0]).toMatchObject({ value: 80, missedAt: 23_000 });
    expect(thresholds[2]!.value).toBeCloseTo(45, 6);
    expect(thresholds[3]).toMatchObject({ value: 10, missedAt: 5000 });
  });

  test("are the same as merging the histograms of each window", () => {
    const random = new Random(7);
    const nothing = madeUpMeasures({});
    const times = Array.from({ length: 100 }, () =>
      Array.from({ length: 1 + random.below(50) }, () => 10 ** (random.fraction() * 5 - 2)),
    );
    const intervals = times.map((each) =>
      madeUpMeasures({ times: { response: histogramOf(each) } }),
    );
    for (const [statistic, read] of [
      ["p50", (histogram: Histogram): number => histogram.percentile(50)],
      ["p99.9", (histogram: Histogram): number => histogram.percentile(99.9)],
      ["max", (histogram: Histogram): number => histogram.most],
      ["mean", (histogram: Histogram): number => histogram.mean],
    ] as const) {
      let worst = 0;
      for (let first = 0; first + 20 <= times.length; first++) {
        worst = Math.max(worst, read(histogramOf(times.slice(first, first + 20).flat())));
      }
      const watch = new ThresholdWatch([parseThreshold(`${statistic}<1h over 20s`)]);
      for (const [index, interval] of intervals.entries()) {
        watch.interval((index + 1) * 1000, interval, nothing);
      }
      const { thresholds } = watch.finish(nothing);
      expect(thresholds[0]!.value).toBeCloseTo(worst, 6);
    }
  });

  test("a target that answers no more for a window is missed", () => {
    const silent: MadeUp = { due: 10 };
    const texts = ["p99<50ms over 3s", "errors<1% over 3s"];
    const intervals = [...seconds(5, second(10, 5)), ...seconds(3, silent), second(10, 5)];
    const { thresholds, reasons } = course(texts, intervals);
    expect(thresholds.map(({ held, missedAt }) => ({ held, missedAt }))).toEqual([
      { held: false, missedAt: 8000 },
      { held: false, missedAt: 8000 },
    ]);
    expect(reasons).toEqual([
      "p99<50ms over 3s was missed: a part of the run has no value, first at 8 s",
      "errors<1% over 3s was missed: a part of the run has no value, first at 8 s",
    ]);
  });

  test("a pause of the load is none", () => {
    const intervals = [
      ...seconds(5, second(10, 5)),
      ...seconds(5, { isIdle: true }),
      ...seconds(5, second(10, 5)),
    ];
    const { thresholds } = course(["p99<50ms over 3s", "errors<1% over 3s"], intervals);
    expect(thresholds.map(({ held }) => held)).toEqual([true, true]);
  });

  test("a check or a step need not come in each window, but in one", () => {
    const checked: MadeUp = { ...second(10, 5), checks: { found: { passed: 9, failed: 0 } } };
    const intervals = [...seconds(5, second(10, 5)), checked, ...seconds(5, second(10, 5))];
    expect(course(["check(found)>99% over 2s"], intervals).thresholds[0]).toMatchObject({
      held: true,
      value: 100,
    });
    const without = course(["check(found)>99% over 2s"], seconds(5, second(10, 5)));
    expect(without.thresholds[0]).toMatchObject({ held: false, value: undefined });
    expect(without.reasons).toEqual([
      'check(found)>99% over 2s was missed: there was no check "found"',
    ]);
  });

  test("a rate is not judged when no more is sent", () => {
    const intervals = [
      ...seconds(6, second(100, 5)),
      { ...second(2, 5), isDraining: true },
      { ...second(0, 5), isDraining: true },
    ];
    expect(course(["rate>=100 over 2s"], intervals).thresholds[0]).toMatchObject({
      held: true,
      value: 100,
    });
  });

  test("a run that is shorter than a window is one", () => {
    const { thresholds } = course(["p99<50ms over 10s"], seconds(3, second(10, 60)));
    expect(thresholds[0]).toMatchObject({ held: false, value: 60 });
  });

  test("intervals may be longer than a window, and of different lengths", () => {
    const long: MadeUp = { ...second(100, 10), milliseconds: 7000 };
    const bad: MadeUp = { ...second(100, 70), milliseconds: 500 };
    const { thresholds } = course(["max<50ms over 2s"], [long, bad, bad, long]);
    expect(thresholds[0]).toMatchObject({ held: false, value: 70, missedAt: 7500 });
  });

  test("keep a bounded number of parts, however long the window and the run", () => {
    const watch = new ThresholdWatch([parseThreshold("p99<1s over 5m")]);
    const random = new Random(3);
    const nothing = madeUpMeasures({});
    const choices = Array.from({ length: 50 }, () =>
      madeUpMeasures(second(20, 1 + random.below(500))),
    );
    let end = 0;
    const heapAfter = (count: number): number => {
      const until = end + count * 1000;
      while (end < until) {
        end += 1000;
        watch.interval(end, choices[random.below(choices.length)]!, nothing);
      }
      Bun.gc(true);
      return process.memoryUsage().heapUsed;
    };
    const before = heapAfter(400);
    // A part takes some kilobytes: without letting go of any it would be megabytes.
    expect(heapAfter(4000) - before).toBeLessThan(200_000);
    expect(watch.finish(madeUpMeasures({})).thresholds[0]!.held).toBe(true);
  });
});

describe("abort", () => {
  test("ends the run when it is missed", () => {
    const intervals = [...seconds(3, second(100, 5)), ...seconds(9, second(100, 5, 100))];
    const ended = course(["errors<30% abort"], intervals);
    expect(ended).toMatchObject({ endedBy: "errors<30% abort", endedAt: 5000 });
    expect(ended.thresholds).toEqual([
      { text: "errors<30% abort", held: false, value: 40, unit: "%", missedAt: 5000 },
    ]);
  });

  test("not before its time, from when on what is missed so far counts", () => {
    const intervals = [...seconds(3, second(100, 5, 100)), ...seconds(9, second(100, 5))];
    expect(course(["errors<50% abort after 4s"], intervals)).toMatchObject({ endedAt: 4000 });
    const mended = course(["errors<50% abort after 8s"], intervals);
    expect(mended.endedBy).toBeUndefined();
    expect(mended.thresholds[0]).toMatchObject({ held: true, value: 25, missedAt: undefined });
  });

  test("what comes after it has ended the run does not mend it", () => {
    const watch = new ThresholdWatch([parseThreshold("errors<1% abort")]);
    const bad = madeUpMeasures(second(100, 5, 2));
    expect(watch.interval(1000, bad, bad)?.text).toBe("errors<1% abort");
    const { thresholds } = watch.finish(madeUpMeasures(second(1000, 5, 2)));
    expect(thresholds[0]).toMatchObject({ held: false, value: 2, missedAt: 1000 });
  });

  test("over windows it ends the run at the first that is missed after its time", () => {
    const intervals = [
      ...seconds(2, second(100, 90)),
      ...seconds(4, second(100, 5)),
      ...seconds(4, second(100, 70)),
    ];
    const ended = course(["max<50ms over 1s abort after 5s"], intervals);
    expect(ended.endedAt).toBe(7000);
    // The windows before count, though they do not end it.
    expect(ended.thresholds[0]).toMatchObject({ held: false, value: 90, missedAt: 1000 });
  });

  test("nothing ends while nothing has come, or without `abort`", () => {
    expect(course(["p99<1s abort"], seconds(5, { due: 1 })).endedBy).toBeUndefined();
    expect(course(["max<1ms over 1s"], seconds(5, second(1, 5))).endedBy).toBeUndefined();
  });
});

describe("a report", () => {
  const good = histogramOf(Array.from({ length: 100 }, () => 10));
  const bad = histogramOf(Array.from({ length: 50 }, () => 70));
  const packed = (histogram: Histogram): { unpack(): Histogram } => ({ unpack: () => histogram });
  const interval = (index: number, histogram: Histogram, outcomes: object): object => ({
    start: index * 1000,
    milliseconds: 1000,
    due: 100,
    sent: 100,
    dropped: 0,
    outcomes,
    requests: 100,
    response: packed(histogram),
    service: packed(histogram),
    lateness: packed(new Histogram()),
    inFlight: 0,
    queued: 0,
  });
  const report = {
    milliseconds: 6000,
    sendingMilliseconds: 5000,
    iterations: {
      due: 500,
      sent: 500,
      droppedBusy: 3,
      droppedLate: 2,
      unsent: 1,
      outcomes: { ok: 450, reset: 20, timeout: 30 },
      unfinished: 0,
    },
    requests: { outcomes: { ok: 590, "status 5xx": 10 } },
    latencies: {
      response: { ok: good, timeout: bad },
      service: { ok: good },
      wait: good,
      requests: { ok: good, "status 5xx": bad },
      connect: new Histogram(),
      handshake: new Histogram(),
      lateness: good,
    },
    steps: [{ name: "login", outcomes: { ok: good, reset: bad } }],
    checks: [
      { name: "found", passed: 99, failed: 1 },
      { name: "fresh", passed: 0, failed: 100 },
    ],
    intervals: [
      interval(0, good, { ok: 100 }),
      interval(1, good, { ok: 100 }),
      interval(2, bad, { ok: 50, reset: 20, timeout: 30 }),
      interval(3, good, { ok: 100 }),
      interval(4, good, { ok: 99 }),
      interval(5, good, { ok: 1 }),
    ] as unknown as Interval[],
  } as unknown as Report;

  test.each<[string, number | undefined, number | undefined]>([
    ["max<50ms", 70, undefined],
    ["p50<50ms", 10, undefined],
    ["service.max<50ms", 10, undefined],
    ["wait.mean<50ms", 10, undefined],
    ["connect.p50<50ms", undefined, undefined],
    ["requests.max<50ms", 70, undefined],
    ["errors<20%", 10, undefined],
    ["failures(timeout)<100", 30, undefined],
    ["status(5xx)<50", 10, undefined],
    ["rate<1k", 500 / 6, undefined],
    ["requests.rate<1k", 100, undefined],
    ["count<1k", 500, undefined],
    ["dropped<2%", 1, undefined],
    ["unsent<2", 1, undefined],
    ["unfinished<2", 0, undefined],
    ["check(found)>90%", 99, undefined],
    ["check>90%", 49.5, undefined],
    ["step(login).max<50ms", 70, undefined],
    ["step(login).errors<50%", 100 / 3, undefined],
    ["errors<5% abort", 10, undefined],
    ["errors<40% over 1s abort after 5s", 50, 3000],
    ["errors<40% over 1s", 50, 3000],
    ["p50<50ms over 1s", 70, 3000],
    ["rate>=99 over 1s", 99, undefined],
    ["wait.max<50ms over 1s", undefined, undefined],
    ["step(login).max<50ms over 1s", undefined, undefined],
  ])("holds or misses %p", (text, value, missedAt) => {
    const { thresholds } = judgeReport([parseThreshold(text)], report);
    const [result] = thresholds;
    expect(result!.missedAt).toBe(missedAt);
    if (value === undefined) expect(result).toMatchObject({ held: false, value: undefined });
    else expect(result!.value).toBeCloseTo(value, 1);
  });
});
