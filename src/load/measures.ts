/** What thresholds are judged on: a whole run, or a part of one. */

import { Histogram } from "./histogram.ts";
import type { Counts, Interval, Outcome, Report } from "./report.ts";

/** The times that a run measures, as `Latencies` in report.ts has them. */
export const seriesNames = [
  "response",
  "service",
  "wait",
  "lateness",
  "connect",
  "handshake",
  "requests",
] as const;

export type SeriesName = (typeof seriesNames)[number];

/** The measures of a run or of a part of it. A part has what came in it alone. */
export interface Measures {
  /** How long it lasted. */
  readonly milliseconds: number;
  /** Iterations, as in the ledger. */
  readonly due: number;
  readonly sent: number;
  /** Of both kinds. */
  readonly dropped: number;
  /** Iterations that have ended, by outcome. */
  readonly outcomes: Counts;
  /** Those that were left at the end of the run; undefined before it. */
  readonly unsent: number | undefined;
  readonly unfinished: number | undefined;
  /** Requests that have ended; their outcomes if they are known. */
  readonly requests: number;
  readonly requestOutcomes: Counts | undefined;
  /** Whether there was nothing to do: nothing due, under way or waiting for a connection. */
  readonly isIdle: boolean;
  /** Whether no more was sent, and only answers were waited for. */
  readonly isDraining: boolean;
  /** The times of all outcomes; undefined if they are not known. It is only read, and not after the call. */
  times(series: SeriesName): Histogram | undefined;
  /** A step, which may not have been taken in this part; undefined if the run has none of that name, or it is not known. */
  step(name: string): StepMeasures | undefined;
  /** A check, which may not have been made in this part; undefined as for a step. */
  check(name: string): CheckMeasures | undefined;
  /** All checks together; undefined if they are not known. */
  allChecks(): CheckMeasures | undefined;
  /** The names that `step` and `check` know, for the sentence about one that they do not. */
  stepNames(): readonly string[];
  checkNames(): readonly string[];
}

export interface StepMeasures {
  readonly outcomes: Counts;
  /** Of all outcomes. */
  times(): Histogram;
}

export interface CheckMeasures {
  readonly passed: number;
  readonly failed: number;
}

/** The measures of a whole run. */
export function measuresOf(report: Omit<Report, "verdict">): Measures {
  const { iterations, requests, latencies } = report;
  return {
    milliseconds: report.milliseconds,
    due: iterations.due,
    sent: iterations.sent,
    dropped: iterations.droppedBusy + iterations.droppedLate,
    outcomes: iterations.outcomes,
    unsent: iterations.unsent,
    unfinished: iterations.unfinished,
    requests: total(requests.outcomes),
    requestOutcomes: requests.outcomes,
    isIdle: iterations.due === 0,
    isDraining: false,
    times(series) {
      const times = latencies[series];
      return times instanceof Histogram ? times : merged(times);
    },
    step(name) {
      const step = report.steps.find((each) => each.name === name);
      if (step === undefined) return undefined;
      const outcomes: Record<Outcome, number> = {};
      for (const [outcome, { count }] of Object.entries(step.outcomes)) outcomes[outcome] = count;
      return { outcomes, times: () => merged(step.outcomes) };
    },
    check: (name) => report.checks.find((each) => each.name === name),
    allChecks: () => allOf(report.checks),
    stepNames: () => report.steps.map(({ name }) => name),
    checkNames: () => report.checks.map(({ name }) => name),
  };
}

/** The measures of an interval that a report has kept. Steps, checks and some times are not in it. */
export function measuresOfInterval(interval: Interval, report: Report): Measures {
  return {
    milliseconds: interval.milliseconds,
    due: interval.due,
    sent: interval.sent,
    dropped: interval.dropped,
    outcomes: interval.outcomes,
    unsent: undefined,
    unfinished: undefined,
    requests: interval.requests,
    requestOutcomes: undefined,
    isIdle:
      interval.due === 0 &&
      interval.inFlight === 0 &&
      interval.queued === 0 &&
      total(interval.outcomes) === 0,
    isDraining: interval.start + interval.milliseconds > report.sendingMilliseconds + 1,
    times(series) {
      if (series !== "response" && series !== "service" && series !== "lateness") return undefined;
      return interval[series].unpack();
    },
    step: () => undefined,
    check: () => undefined,
    allChecks: () => undefined,
    stepNames: () => [],
    checkNames: () => [],
  };
}

/** All checks together. */
export function allOf(checks: Iterable<CheckMeasures>): CheckMeasures {
  let passed = 0;
  let failed = 0;
  for (const check of checks) {
    passed += check.passed;
    failed += check.failed;
  }
  return { passed, failed };
}

/** The sum of counts. */
export function total(counts: Counts): number {
  let sum = 0;
  for (const count of Object.values(counts)) sum += count;
  return sum;
}

function merged(histograms: Readonly<Record<Outcome, Histogram>>): Histogram {
  const all = new Histogram();
  for (const histogram of Object.values(histograms)) all.merge(histogram);
  return all;
}
