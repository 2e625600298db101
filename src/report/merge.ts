/** Merges the reports of generators that ran at the same time, each with a part of the load, into one of the whole load. */

import { Histogram } from "../load/histogram.ts";
import { PackedHistogram } from "../load/packed_histogram.ts";
import type {
  Ages,
  CheckReport,
  Counts,
  FailureReport,
  Interval,
  Outcome,
  PlanReport,
  Report,
  StepReport,
  ThreadReport,
} from "../load/report.ts";
import { checkedSwitch, ownOptions } from "../values/checks.ts";
import { mergedVerdict } from "./merged_verdict.ts";

/** Options of `mergeReports`. */
export interface MergeOptions {
  /** Whether reports of different targets, scenarios or versions of plait, or of runs at different times, may be merged. */
  readonly allowDifferent?: boolean;
}

const known: ReadonlySet<string> = new Set(["allowDifferent"]);

/**
 * Merges reports. Counts and histograms are added, so that each percentile is that of all samples. Intervals are added
 * by their start. Threads are numbered on, in the order of the reports. A generator that was the bottleneck makes the
 * merged generator one.
 *
 * Thresholds on latencies, errors, rates and counts of the whole run are judged on the whole load. Others, such as those
 * of windows and steps, hold if each generator held them, and their value is the worst one.
 *
 * @throws {RangeError} for fewer than two reports
 * @throws {Error} if they do not belong together, in a sentence that says why
 */
export function mergeReports(reports: readonly Report[], options: MergeOptions = {}): Report {
  const { allowDifferent } = ownOptions(options, known, "mergeReports");
  if (reports.length < 2) throw new RangeError("mergeReports needs two reports or more");
  if (!checkedSwitch(allowDifferent, "allowDifferent", false)) checkBelongTogether(reports);
  const [first] = reports as readonly [Report, ...Report[]];
  const most = (read: (report: Report) => number): number => Math.max(...reports.map(read));
  const latencies = reports.map((report) => report.latencies);
  const whole: Omit<Report, "verdict"> = {
    format: first.format,
    version: first.version,
    plait: distinct(reports.map(({ plait }) => plait)),
    command: commands(reports),
    startedAt: reports.map(({ startedAt }) => startedAt).toSorted()[0]!,
    machine: {
      cpus: sum(reports.map(({ machine }) => machine.cpus)),
      cpu: distinct(reports.map(({ machine }) => machine.cpu)),
      system: distinct(reports.map(({ machine }) => machine.system)),
      bun: distinct(reports.map(({ machine }) => machine.bun)),
    },
    plan: mergedPlan(reports.map(({ plan }) => plan)),
    sendingMilliseconds: most((report) => report.sendingMilliseconds),
    milliseconds: most((report) => report.milliseconds),
    resolveMilliseconds: most((report) => report.resolveMilliseconds),
    connectMilliseconds: most((report) => report.connectMilliseconds),
    iterations: {
      due: sum(reports.map(({ iterations }) => iterations.due)),
      sent: sum(reports.map(({ iterations }) => iterations.sent)),
      droppedBusy: sum(reports.map(({ iterations }) => iterations.droppedBusy)),
      droppedLate: sum(reports.map(({ iterations }) => iterations.droppedLate)),
      unsent: sum(reports.map(({ iterations }) => iterations.unsent)),
      outcomes: addedCounts(reports.map(({ iterations }) => iterations.outcomes)),
      unfinished: sum(reports.map(({ iterations }) => iterations.unfinished)),
    },
    requests: {
      sent: sum(reports.map(({ requests }) => requests.sent)),
      outcomes: addedCounts(reports.map(({ requests }) => requests.outcomes)),
      unfinished: sum(reports.map(({ requests }) => requests.unfinished)),
      bytesSent: sum(reports.map(({ requests }) => requests.bytesSent)),
      bytesReceived: sum(reports.map(({ requests }) => requests.bytesReceived)),
    },
    latencies: {
      response: addedByOutcome(latencies.map(({ response }) => response)),
      service: addedByOutcome(latencies.map(({ service }) => service)),
      wait: added(latencies.map(({ wait }) => wait)),
      requests: addedByOutcome(latencies.map(({ requests }) => requests)),
      connect: added(latencies.map(({ connect }) => connect)),
      handshake: added(latencies.map(({ handshake }) => handshake)),
      lateness: added(latencies.map(({ lateness }) => lateness)),
    },
    steps: mergedSteps(reports.flatMap(({ steps }) => steps)),
    checks: mergedChecks(reports.flatMap(({ checks }) => checks)),
    failures: mergedFailures(reports.flatMap(({ failures }) => failures)),
    unfinishedAges: mergedAges(reports.map(({ unfinishedAges }) => unfinishedAges)),
    unsentAges: mergedAges(reports.map(({ unsentAges }) => unsentAges)),
    intervals: mergedIntervals(reports),
    threads: reports
      .flatMap(({ threads }) => threads)
      .map((report, thread): ThreadReport => ({ ...report, thread })),
  };
  return { ...whole, verdict: mergedVerdict(reports, whole) };
}

function checkBelongTogether(reports: readonly Report[]): void {
  const refuse = (what: string, values: readonly string[]): void => {
    const all = new Set(values);
    if (all.size > 1) {
      throw new Error(
        `the reports have different ${what}, and are not merged: ${[...all].join(", ")}`,
      );
    }
  };
  refuse(
    "versions of plait",
    reports.map(({ plait }) => plait),
  );
  refuse(
    "targets",
    reports.map(({ plan }) => plan.target),
  );
  refuse(
    "scenarios",
    reports.map(({ plan }) => plan.scenario),
  );
  refuse(
    "loops",
    reports.map(({ plan }) => (plan.isOpenLoop ? "an open loop" : "a closed loop")),
  );
  const starts = reports.map(({ startedAt }) => Date.parse(startedAt));
  const ends = reports.map(({ milliseconds }, index) => starts[index]! + milliseconds);
  // The clocks of machines differ by less than this.
  if (Math.max(...starts) > Math.min(...ends) + clockTolerance) {
    throw new Error(
      "the reports are of runs one after the other, and are not merged: compare them",
    );
  }
}

const clockTolerance = 2000;

function mergedPlan(plans: readonly PlanReport[]): PlanReport {
  const [first] = plans as readonly [PlanReport, ...PlanReport[]];
  const shapes = [...Map.groupBy(plans, ({ shape }) => shape)].map(([shape, own]) =>
    own.length === 1 ? shape : `${own.length} × ${shape}`,
  );
  return {
    ...first,
    target: distinct(plans.map(({ target }) => target)),
    shape: shapes.join(" + "),
    scenario: distinct(plans.map(({ scenario }) => scenario)),
    connections: sum(plans.map(({ connections }) => connections)),
    threads: sum(plans.map(({ threads }) => threads)),
  };
}

function mergedSteps(steps: readonly StepReport[]): StepReport[] {
  return [...Map.groupBy(steps, ({ name }) => name)].map(([name, own]) => {
    return { name, outcomes: addedByOutcome(own.map(({ outcomes }) => outcomes)) };
  });
}

function mergedChecks(checks: readonly CheckReport[]): CheckReport[] {
  return [...Map.groupBy(checks, ({ name }) => name)].map(([name, own]) => ({
    name,
    passed: sum(own.map(({ passed }) => passed)),
    failed: sum(own.map(({ failed }) => failed)),
  }));
}

/** The most frequent kind first, each with the earliest example. */
function mergedFailures(failures: readonly FailureReport[]): FailureReport[] {
  const merged = [...Map.groupBy(failures, ({ outcome }) => outcome)].map(([outcome, own]) => {
    const examples = own.map(({ example }) => example).filter((example) => example !== undefined);
    const [example] = examples.toSorted((one, other) => one.at - other.at);
    return { outcome, count: sum(own.map(({ count }) => count)), example };
  });
  return merged.sort((one, other) => other.count - one.count);
}

function mergedAges(all: readonly (Ages | undefined)[]): Ages | undefined {
  const ages = all.filter((each) => each !== undefined && each.count > 0) as Ages[];
  if (ages.length === 0) return undefined;
  return {
    count: sum(ages.map(({ count }) => count)),
    least: Math.min(...ages.map(({ least }) => least)),
    most: Math.max(...ages.map(({ most }) => most)),
  };
}

/**
 * Intervals of all generators that lie in the same part of the run. The parts are as long as the intervals of the
 * generator with the longest ones.
 */
function mergedIntervals(reports: readonly Report[]): Interval[] {
  const length = Math.max(...reports.map(({ intervals }) => usualLength(intervals)), 10);
  const partOf = ({ start, milliseconds }: Interval): number =>
    Math.floor((start + milliseconds / 2) / length);
  const parts = new Map<number, Interval[][]>();
  reports.forEach(({ intervals }, generator) => {
    for (const interval of intervals) {
      const part = partOf(interval);
      if (!parts.has(part))
        parts.set(
          part,
          Array.from(reports, () => []),
        );
      parts.get(part)![generator]!.push(interval);
    }
  });
  const threads = reports.map((report) => report.threads.length);
  return [...parts]
    .toSorted(([one], [other]) => one - other)
    .map(([, own]) => mergedInterval(own, threads));
}

/** The median, to 10 milliseconds: clocks are read a little late, and the last interval is shorter. */
function usualLength(intervals: readonly Interval[]): number {
  const lengths = intervals
    .map(({ milliseconds }) => milliseconds)
    .sort((one, other) => one - other);
  return Math.round((lengths[lengths.length >> 1] ?? 0) / 10) * 10;
}

/** `own` has the intervals of each generator, in order; one that has ended earlier has none. */
function mergedInterval(own: readonly Interval[][], threads: readonly number[]): Interval {
  const all = own.flat();
  const start = Math.min(...all.map((interval) => interval.start));
  const end = Math.max(...all.map((interval) => interval.start + interval.milliseconds));
  const total = (key: "due" | "sent" | "dropped" | "requests" | "bytesReceived"): number =>
    sum(all.map((interval) => interval[key]));
  const atEnd = (key: "connections" | "inFlight" | "queued"): number =>
    sum(own.map((intervals) => intervals.at(-1)?.[key] ?? 0));
  const histogram = (key: "response" | "service" | "lateness"): PackedHistogram =>
    new PackedHistogram(added(all.map((interval) => interval[key].unpack())));
  return {
    start,
    milliseconds: end - start,
    due: total("due"),
    sent: total("sent"),
    dropped: total("dropped"),
    outcomes: addedCounts(all.map(({ outcomes }) => outcomes)),
    requests: total("requests"),
    bytesReceived: total("bytesReceived"),
    response: histogram("response"),
    service: histogram("service"),
    lateness: histogram("lateness"),
    connections: atEnd("connections"),
    inFlight: atEnd("inFlight"),
    queued: atEnd("queued"),
    threads: own.flatMap((intervals, generator) =>
      Array.from({ length: threads[generator]! }, (_, thread) => {
        const used = intervals.map((each) => (each.threads[thread] ?? 0) * each.milliseconds);
        return sum(used) / (end - start);
      }),
    ),
  };
}

function added(histograms: readonly Histogram[]): Histogram {
  const all = new Histogram();
  for (const histogram of histograms) all.merge(histogram);
  return all;
}

function addedByOutcome(
  all: readonly Readonly<Record<Outcome, Histogram>>[],
): Record<Outcome, Histogram> {
  const outcomes = new Set(all.flatMap((histograms) => Object.keys(histograms)));
  return Object.fromEntries(
    [...outcomes].map((outcome) => {
      const own = all.map((histograms) => histograms[outcome]).filter((each) => each !== undefined);
      return [outcome, added(own)];
    }),
  );
}

function addedCounts(all: readonly Counts[]): Counts {
  const counts: Record<Outcome, number> = {};
  for (const [outcome, count] of all.flatMap((each) => Object.entries(each))) {
    counts[outcome] = (counts[outcome] ?? 0) + count;
  }
  return counts;
}

/** The exact command of each generator, one in a line. */
function commands(reports: readonly Report[]): string | undefined {
  const given = reports.map(({ command }) => command).filter((command) => command !== undefined);
  return given.length === 0 ? undefined : given.join("\n");
}

/** Different texts, each once, with its number if there are several. */
function distinct(texts: readonly string[]): string {
  const groups = [...Map.groupBy(texts, (text) => text)];
  if (groups.length === 1) return groups[0]![0];
  return groups
    .map(([text, own]) => (own.length > 1 ? `${own.length} × ${text}` : text))
    .join(", ");
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
