/** Compares reports with the first one: how much each number has changed, and whether that is more than noise. */

import type { Histogram } from "../load/histogram.ts";
import { Random } from "../load/random.ts";
import type { Outcome, PlanReport, Report } from "../load/report.ts";
import { type DifferenceThreshold, parseDifferenceThreshold } from "./difference_threshold.ts";
import { embeddedReports } from "./document.ts";
import { parseReport } from "./json.ts";
import { merged } from "./page_data.ts";
import { type Drawn, leastBlocks, Resampling, sendingIntervals, sum } from "./resampling.ts";

/** More lines would not be told apart in a chart. */
export const mostCompared = 8;
/** So many drawings of each run. The ends of the interval are then known to about a tenth of its width. */
const drawings = 500;
const seed = 1;

/** A report, and how a comparison calls it. */
export interface NamedReport {
  /** Such as the name of the file. */
  readonly name: string;
  /** As `readReport` returns it. */
  readonly report: Report;
}

/** The unit of a quantity. Errors are in percent of the iterations that ended, and their changes in percentage points. */
export type QuantityUnit = "ms" | "/s" | "%";

/** How much a quantity differs from that of the first run. */
export interface Change {
  /** In the unit of the quantity. */
  readonly difference: number;
  /** In percent of the first run; undefined if that has 0, and for errors. */
  readonly percent: number | undefined;
  /**
   * Where the change is in 95 of 100 drawings of the intervals of both runs, as `percent`, for errors as `difference`.
   * Undefined for what is not in intervals, and for runs with too few of them.
   */
  readonly noise: readonly [low: number, high: number] | undefined;
  /** `same` if 0 is within the noise; `unknown` without a measure of noise. */
  readonly verdict: "better" | "worse" | "same" | "unknown";
}

/** A quantity of all runs. */
export interface QuantityComparison {
  /** Such as `rate`, `errors`, `mean`, `p99`, `max`, `service.p99`, as thresholds have it. */
  readonly name: string;
  /** Of its values. */
  readonly unit: QuantityUnit;
  /** Of each run. Undefined if the run has nothing to compute it from. */
  readonly values: readonly (number | undefined)[];
  /** Of each run but the first. Undefined if a value is missing. */
  readonly changes: readonly (Change | undefined)[];
}

/** What has come of a threshold on a change. */
export interface ThresholdComparison {
  /** As it was given, such as `p99<+5%`. */
  readonly text: string;
  /** The name of the run. */
  readonly run: string;
  /** Whether the change is within the limit. */
  readonly held: boolean;
  /** The change. Undefined if there was nothing to compare, and then it is not held. */
  readonly value: number | undefined;
  /** Of `value`. */
  readonly unit: "%" | "points" | "ms" | "/s";
  /** Whether the change is within the noise, so that another pair of runs may have another result. */
  readonly isWithinNoise: boolean;
}

/** Runs, and how they differ from the first one. */
export interface Comparison {
  /** The first one is what the others are compared with. */
  readonly runs: readonly NamedReport[];
  /** Why the comparison may mislead: other plans, generators that were the bottleneck. In a sentence each. */
  readonly warnings: readonly string[];
  /** Rate, errors and times, in the order of a report. */
  readonly quantities: readonly QuantityComparison[];
  /** For each threshold, all runs but the first. */
  readonly thresholds: readonly ThresholdComparison[];
  /** 1 if a threshold is missed. */
  readonly exitCode: 0 | 1;
}

interface Quantity {
  readonly name: string;
  readonly unit: QuantityUnit;
  readonly isBetterHigher: boolean;
  read(run: Run): number | undefined;
  /** The latency whose drawings have it. Undefined if none has. */
  readonly drawings: "response" | "service" | undefined;
  drawn(drawn: Drawn, percents: readonly number[]): number | undefined;
}

/**
 * Compares reports with the first one.
 *
 * @param thresholds on the changes, such as `p99<+5%`, `rate>-2%`, `errors<+0.1%`, `service.p50<+3ms`
 * @throws {RangeError} for fewer than two reports or more than 8, and for thresholds that are none
 */
export function compareReports(
  reports: readonly NamedReport[],
  thresholds: readonly string[] = [],
): Comparison {
  if (reports.length < 2 || reports.length > mostCompared) {
    throw new RangeError(
      `compareReports takes 2 to ${mostCompared} reports, not ${reports.length}`,
    );
  }
  const wanted = thresholds.map(parseDifferenceThreshold);
  const names = [...new Set([...usual, ...wanted.map(({ quantity }) => quantity)])];
  const quantities = names.map(quantityOf).sort(byPlace);
  const percents = [...new Set(quantities.map(({ name }) => percentOf(name)))]
    .filter((percent) => percent !== undefined)
    .sort((one, other) => one - other);
  const runs = reports.map(({ report }, index) => new Run(report, percents, index));
  const compared = quantities.map((quantity) => compareQuantity(quantity, runs));
  const judged = reports
    .slice(1)
    .flatMap(({ name }, index) => wanted.map((each) => judge(each, compared, name, index)));
  return {
    runs: reports,
    warnings: warningsOf(reports),
    quantities: compared,
    thresholds: judged,
    exitCode: judged.every(({ held }) => held) ? 0 : 1,
  };
}

/**
 * Reads a report from the text of its file: JSON, or the page of a report.
 *
 * @param name what the text is called in errors, such as its path
 * @throws {Error} in a sentence, if it is neither
 */
export function parseReportFile(text: string, name: string): Report {
  if (!/^\s*<!doctype html>/i.test(text)) return parseReport(text, name);
  const [json, ...others] = embeddedReports(text);
  if (json === undefined) throw new Error(`${name} is not the page of a load test`);
  if (others.length > 0) throw new Error(`${name} is a comparison, and has several reports`);
  return parseReport(json, name);
}

// The numbers of a run.

class Run {
  readonly report: Report;
  readonly percents: readonly number[];
  readonly drawn: Readonly<Record<"response" | "service", readonly Drawn[]>>;
  readonly latencies: Readonly<Record<"response" | "service" | "wait", Histogram>>;

  /** @param index of the run: the drawings of each are independent of those of the others */
  constructor(report: Report, percents: readonly number[], index: number) {
    const { response, service, wait } = report.latencies;
    this.report = report;
    this.percents = percents;
    this.latencies = { response: merged(response), service: merged(service), wait };
    this.drawn = {
      response: this.#draw("response", 2 * index),
      service: this.#draw("service", 2 * index + 1),
    };
  }

  #draw(latency: "response" | "service", stream: number): readonly Drawn[] {
    const { report, percents } = this;
    const resampling = new Resampling(report, latency);
    if (resampling.blocks < leastBlocks) return [];
    const random = new Random(seed, stream);
    return Array.from({ length: drawings }, () => resampling.draw(random, percents));
  }
}

const usual = ["rate", "errors", "mean", "p50", "p90", "p99", "p99.9", "max"];
usual.push("service.p50", "service.p99");

/** The order of a table: rates and errors, then latencies by their percentiles. */
function byPlace(one: Quantity, other: Quantity): number {
  return placeOf(one.name) - placeOf(other.name);
}

function placeOf(name: string): number {
  const { kind, rest } = partsOf(name);
  const place = percentOf(name) ?? { rate: -3, errors: -2, mean: -1, max: 101 }[rest] ?? 0;
  return ["response", "service", "wait"].indexOf(kind) * 1000 + place;
}

function partsOf(name: string): { kind: "response" | "service" | "wait"; rest: string } {
  const other = /^(service|wait)\.(.*)$/.exec(name);
  if (other === null) return { kind: "response", rest: name };
  return { kind: other[1] as "service" | "wait", rest: other[2]! };
}

function percentOf(name: string): number | undefined {
  const { rest } = partsOf(name);
  return rest.startsWith("p") ? Number(rest.slice(1)) : undefined;
}

function quantityOf(name: string): Quantity {
  if (name === "rate") {
    return {
      ...{ name, unit: "/s", isBetterHigher: true, drawings: "response" },
      read: ({ report }) => rateOf(report),
      drawn: ({ rate }) => rate,
    };
  }
  if (name === "errors") {
    return {
      ...{ name, unit: "%", isBetterHigher: false, drawings: "response" },
      read: ({ report }) => errorsOf(report),
      drawn: ({ errors }) => errors * 100,
    };
  }
  const { kind, rest } = partsOf(name);
  const percent = percentOf(name);
  return {
    ...{ name, unit: "ms", isBetterHigher: false },
    // The maximum is a single value, and says nothing about others. Intervals have no wait.
    drawings: rest === "max" || kind === "wait" ? undefined : kind,
    read: ({ latencies }) => {
      const histogram = latencies[kind];
      if (histogram.count === 0) return undefined;
      if (percent !== undefined) return histogram.percentile(percent);
      return rest === "mean" ? histogram.mean : histogram.most;
    },
    drawn: ({ mean, percentiles }, percents) => {
      return percent === undefined ? mean : percentiles?.[percents.indexOf(percent)];
    },
  };
}

/** What was sent in each second of the time of sending. */
function rateOf(report: Report): number | undefined {
  const intervals = sendingIntervals(report);
  const milliseconds = sum(intervals.map((interval) => interval.milliseconds));
  if (milliseconds === 0) return undefined;
  return (sum(intervals.map(({ sent }) => sent)) / milliseconds) * 1000;
}

/** What failed, in percent of what ended. What was unfinished is neither. */
function errorsOf({ iterations: { outcomes } }: Report): number | undefined {
  const ended = sum(Object.values(outcomes));
  return ended === 0 ? undefined : (1 - (outcomes.ok ?? 0) / ended) * 100;
}

// Changes.

function compareQuantity(quantity: Quantity, runs: readonly Run[]): QuantityComparison {
  const { name, unit } = quantity;
  const values = runs.map((run) => quantity.read(run));
  const changes = runs.slice(1).map((run, index) => {
    const [from, to] = [values[0], values[index + 1]];
    if (from === undefined || to === undefined) return undefined;
    const noise = noiseOf(quantity, runs[0]!, run);
    return { ...relation(quantity, from, to), noise, verdict: verdictOf(quantity, noise) };
  });
  return { name, unit, values, changes };
}

function relation(
  { unit }: Quantity,
  from: number,
  to: number,
): Pick<Change, "difference" | "percent"> {
  const difference = to - from;
  const isShare = unit === "%";
  const percent = difference === 0 ? 0 : from === 0 ? undefined : (difference / from) * 100;
  return { difference, percent: isShare ? undefined : percent };
}

function noiseOf(quantity: Quantity, first: Run, run: Run): Change["noise"] {
  const changes: number[] = [];
  if (quantity.drawings === undefined) return undefined;
  const others = run.drawn[quantity.drawings];
  for (const [index, one] of first.drawn[quantity.drawings].entries()) {
    const other = others[index];
    const from = quantity.drawn(one, first.percents);
    const to = other && quantity.drawn(other, run.percents);
    if (from === undefined || to === undefined) return undefined;
    const { difference, percent } = relation(quantity, from, to);
    changes.push(quantity.unit === "%" ? difference : (percent ?? NaN));
  }
  if (changes.length === 0 || changes.some(Number.isNaN)) return undefined;
  changes.sort((one, other) => one - other);
  return [changes[Math.floor(drawings * 0.025)]!, changes[Math.ceil(drawings * 0.975) - 1]!];
}

function verdictOf({ isBetterHigher }: Quantity, noise: Change["noise"]): Change["verdict"] {
  if (noise === undefined) return "unknown";
  const [low, high] = noise;
  if (low <= 0 && high >= 0) return "same";
  return low > 0 === isBetterHigher ? "better" : "worse";
}

function judge(
  threshold: DifferenceThreshold,
  quantities: readonly QuantityComparison[],
  run: string,
  index: number,
): ThresholdComparison {
  const { text, quantity, isPercent } = threshold;
  const compared = quantities.find(({ name }) => name === quantity)!;
  const change = compared.changes[index];
  const isRelative = isPercent && compared.unit !== "%";
  const value = isRelative ? change?.percent : change?.difference;
  const unit = isRelative ? "%" : compared.unit === "%" ? "points" : compared.unit;
  return {
    ...{ text, run, value, unit },
    held: value !== undefined && threshold.holds(value),
    isWithinNoise: change?.verdict === "same",
  };
}

// Warnings.

const planNames: readonly [what: string, read: (plan: PlanReport) => string | number][] = [
  ["the shape of the load", ({ shape }) => shape],
  ["the loop", ({ isOpenLoop }) => (isOpenLoop ? "open" : "closed")],
  ["the number of connections", ({ connections }) => connections],
  ["the rule for busy connections", ({ overload, isOpenLoop }) => (isOpenLoop ? overload : "none")],
  ["the scenario", ({ scenario }) => scenario],
];

function warningsOf([first, ...others]: readonly NamedReport[]): string[] {
  const warnings: string[] = [];
  const differ = (name: string, what: string, from: string | number, to: string | number): void => {
    if (from !== to)
      warnings.push(`${name} differs in ${what}: ${to}, not ${from} as ${first!.name}.`);
  };
  for (const { name, report } of others) {
    for (const [what, read] of planNames) {
      differ(name, what, read(first!.report.plan), read(report.plan));
    }
    const [from, to] = [first!.report, report].map((each) => each.machine.cpu);
    differ(name, "the machine of the generator", from!, to!);
    const ratio = report.sendingMilliseconds / first!.report.sendingMilliseconds;
    if (ratio < 0.9 || ratio > 1.1) {
      const seconds = (each: Report): string => `${(each.sendingMilliseconds / 1000).toFixed(1)} s`;
      differ(name, "how long it sent", seconds(first!.report), seconds(report));
    }
  }
  for (const { name, report } of [first!, ...others]) {
    const { generatorWasBottleneck, exitCode } = report.verdict;
    if (generatorWasBottleneck) {
      warnings.push(
        `In ${name} the generator was the bottleneck: its numbers are not those of the target.`,
      );
    }
    if (exitCode === 130) warnings.push(`${name} was interrupted.`);
    if (exitCode === 3) warnings.push(`${name} could not reach its target.`);
  }
  return warnings;
}

/** The kinds of failures of all runs, the most frequent of all first, with their counts in each. */
export function failuresOf(
  runs: readonly NamedReport[],
): readonly (readonly [kind: Outcome, counts: readonly number[]])[] {
  const kinds = new Set(
    runs.flatMap(({ report }) =>
      Object.keys(report.iterations.outcomes).filter((kind) => kind !== "ok"),
    ),
  );
  return [...kinds]
    .map((kind) => [kind, runs.map(({ report }) => report.iterations.outcomes[kind] ?? 0)] as const)
    .sort(([, one], [, other]) => sum(other) - sum(one));
}
