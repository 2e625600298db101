/**
 * What a run tells while it goes on: to the live view, the logs and the metrics. The engine makes one of these at the
 * end of each interval and hands it to each listener, one after the other.
 */

import type { Histogram } from "./histogram.ts";
import type { Interval, PlanReport, Report } from "./report.ts";

/**
 * An interval that has just ended, with histograms that can be added up. They belong to the engine, which uses them
 * again: a listener reads them before it returns, and keeps none.
 */
export interface LiveInterval
  extends Omit<Interval, "response" | "service" | "lateness">,
    Readonly<Record<"response" | "service" | "lateness", Histogram>> {
  /** How long iterations have waited for a connection. */
  readonly wait: Histogram;
}

/**
 * All since the start of the run, in the shape of the report. It balances at any time: what waits for a connection is
 * `unsent`, and what is under way is `unfinished`. As above, a listener keeps no histogram.
 */
export type Totals = Pick<
  Report,
  "iterations" | "requests" | "latencies" | "steps" | "checks" | "failures"
>;

/** What a run tells at the end of an interval. */
export interface Progress {
  /** As in the report. */
  readonly plan: PlanReport;
  /** When the run began, by the wall clock (ISO 8601), as in the report. */
  readonly startedAt: string;
  /** Whether new iterations begin, or those under way are awaited. */
  readonly phase: "sending" | "draining";
  /** Milliseconds since the start of the run. */
  readonly elapsed: number;
  /** For how many milliseconds iterations will begin; undefined if their number ends the run. */
  readonly plannedMilliseconds: number | undefined;
  /** How many iterations will begin; undefined if the time ends the run. */
  readonly plannedIterations: number | undefined;
  /** Iterations per second that are wanted now; undefined in a closed loop. */
  readonly wantedRate: number | undefined;
  /** The interval that has ended. */
  readonly interval: LiveInterval;
  /** All since the start. */
  readonly totals: Totals;
  /** How it shows that the generator, not the target, limits the run; empty if it does not. */
  readonly generatorReasons: readonly string[];
}

/** Takes what a run tells at the end of each interval. It must return soon, and must not throw. */
export type ProgressListener = (progress: Progress) => void;
