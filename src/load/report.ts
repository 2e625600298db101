/**
 * What a run has found out, as plain data. Every time is in milliseconds with a fraction, of the monotonic clock.
 * `JSON.stringify` writes a report, with each histogram as its numbers and in HdrHistogram's encoding.
 */

import type { Histogram } from "./histogram.ts";
import type { PackedHistogram } from "./packed_histogram.ts";

/** The version of a report's shape. It grows when a reader of older reports would misunderstand a newer one. */
export const reportVersion = 1;

/**
 * How an iteration or a request has ended: `ok`, or the kind of its failure, such as `connect refused`, `reset`,
 * `timeout`, `tls CERT_HAS_EXPIRED`, `status 5xx`, `check failed`. outcomes.ts has all of them.
 */
export type Outcome = string;

/** Counts by outcome. Those that have not come are left out. */
export type Counts = Readonly<Record<Outcome, number>>;

/** The iterations of the scenario. `due` is `sent + dropped + unsent`, and `sent` is all of `outcomes` and `unfinished`. */
export interface IterationLedger {
  /** How many were due. In a closed loop an iteration is due when a connection is free for it. */
  readonly due: number;
  /** How many were begun. */
  readonly sent: number;
  /** Those that were never begun, since every connection was busy (`overload: "drop"`). */
  readonly droppedBusy: number;
  /** Those that were never begun, since the generator itself was late by more than its limit, and does not catch up. */
  readonly droppedLate: number;
  /** Those that were due and still waited for a connection at the end. */
  readonly unsent: number;
  /** `ok` and each kind of failure. */
  readonly outcomes: Counts;
  /** Those that were under way at the end, and did not end in the grace period. */
  readonly unfinished: number;
}

/** The requests that the iterations have made. `sent` is all of `outcomes` and `unfinished`. */
export interface RequestLedger {
  /** How many were sent. */
  readonly sent: number;
  /** `ok` and each kind of failure. */
  readonly outcomes: Counts;
  /** Those that had no whole answer at the end. */
  readonly unfinished: number;
  /** Bytes of all connections, with TLS those within the records. */
  readonly bytesSent: number;
  /** As `bytesSent`. */
  readonly bytesReceived: number;
}

/** How long things took. Iterations that are unfinished are in none of them. */
export interface Latencies {
  /** From the time when an iteration was due to its end, by outcome. */
  readonly response: Readonly<Record<Outcome, Histogram>>;
  /** From the first byte that was sent to the end of an iteration, by outcome. */
  readonly service: Readonly<Record<Outcome, Histogram>>;
  /** From the time when an iteration was due until it had a connection. */
  readonly wait: Histogram;
  /** From the sending of each request to the end of its answer, by outcome. */
  readonly requests: Readonly<Record<Outcome, Histogram>>;
  /** Connection attempts that succeeded: name look-up and TLS not included. */
  readonly connect: Histogram;
  /** TLS handshakes that succeeded. */
  readonly handshake: Histogram;
  /**
   * How late the generator itself was: from the time when an iteration was due and had a connection to its begin;
   * in a closed loop, how late a timer of the same thread was.
   */
  readonly lateness: Histogram;
}

/** A step of the scenario (`c.step`), in the order in which each was first taken. */
export interface StepReport {
  /** As the scenario calls it. */
  readonly name: string;
  /** From its begin to its end, by outcome. */
  readonly outcomes: Readonly<Record<Outcome, Histogram>>;
}

/** A check of the scenario (`c.check`). */
export interface CheckReport {
  /** As the scenario calls it. */
  readonly name: string;
  /** How often it held. */
  readonly passed: number;
  /** How often it did not. */
  readonly failed: number;
}

/** A kind of failure, with the first of them. */
export interface FailureReport {
  /** Its kind. */
  readonly outcome: Outcome;
  /** How many iterations have ended with it. */
  readonly count: number;
  /** The first one; undefined if only its count is known. */
  readonly example: FailureExample | undefined;
}

/** The first failure of a kind. */
export interface FailureExample {
  /** What the error said, up to 500 characters. */
  readonly message: string;
  /** Node's code of the error, such as `ECONNRESET`, if it has one. */
  readonly code: string | undefined;
  /** The call that failed, such as `connect`, `handshake`, `write`, `read`. */
  readonly phase: string | undefined;
  /** When it came, from the start of the run. */
  readonly at: number;
  /** The number of the iteration. */
  readonly iteration: number;
}

/** A part of the run, mostly of one second. A long run has longer ones, so that there are at most 1,200. */
export interface Interval {
  /** From the start of the run. */
  readonly start: number;
  /** How long it is. */
  readonly milliseconds: number;
  /** The iterations that were due in it. */
  readonly due: number;
  /** The iterations that were begun in it. */
  readonly sent: number;
  /** The iterations that were due in it, and never begun. */
  readonly dropped: number;
  /** The iterations that have ended in it. */
  readonly outcomes: Counts;
  /** The requests that have ended in it. */
  readonly requests: number;
  /** Bytes of all connections that came in it. */
  readonly bytesReceived: number;
  /** Of all outcomes. */
  readonly response: PackedHistogram;
  /** As `response`. */
  readonly service: PackedHistogram;
  /** Of the generator. */
  readonly lateness: PackedHistogram;
  /** Connections that are open at its end. */
  readonly connections: number;
  /** Iterations under way at its end. */
  readonly inFlight: number;
  /** Iterations that wait for a connection at its end. */
  readonly queued: number;
  /** What each thread has used of a CPU, 1 for all of it. */
  readonly threads: readonly number[];
}

/** A thread of the generator. */
export interface ThreadReport {
  /** From 0 on. */
  readonly thread: number;
  /** The iterations that it has begun. */
  readonly sent: number;
  /** CPU time that the thread has used while the run lasted. */
  readonly cpuMilliseconds: number;
  /** Of the time of the run, 1 for all of it. */
  readonly cpuShare: number;
  /** How late it was. */
  readonly lateness: Histogram;
}

/** What has come of a threshold. */
export interface ThresholdReport {
  /** As it was given, such as `p99<50ms`. */
  readonly text: string;
  /** False as well when there was nothing to judge. */
  readonly held: boolean;
  /** The value at the end, or the worst one of all windows. Undefined if there was nothing to judge. */
  readonly value: number | undefined;
  /** The unit of `value`. */
  readonly unit: "ms" | "%" | "/s" | "";
  /** When it was first missed, from the start of the run, for one that is judged over windows or aborts. */
  readonly missedAt: number | undefined;
}

/** What to make of a run. */
export interface Verdict {
  /** As documented: 0 held, 1 thresholds missed, 3 target not reached, 4 generator was the bottleneck, 130 interrupted. */
  readonly exitCode: 0 | 1 | 3 | 4 | 130;
  /** In a sentence each, the most important first. */
  readonly reasons: readonly string[];
  /** All of the run, in the order in which they were given. */
  readonly thresholds: readonly ThresholdReport[];
  /** Whether the generator, not the target, has limited the run, and how this shows. */
  readonly generatorWasBottleneck: boolean;
  /** In a sentence each; empty if it was not. */
  readonly generatorReasons: readonly string[];
}

/** The plan of the run, as the report repeats it. */
export interface PlanReport {
  /** Such as `https://127.0.0.1:8443/item`. */
  readonly target: string;
  /** Such as `closed loop`, `20000/s`, `20000/s, Poisson`, `10 s to 1000/s, 30 s to 20000/s`. */
  readonly shape: string;
  /** Whether iterations were due at times of their own. */
  readonly isOpenLoop: boolean;
  /** Of all threads together. */
  readonly connections: number;
  /** What happens when every connection is busy in an open loop. */
  readonly overload: "queue" | "grow" | "drop";
  /** How many have made the load. */
  readonly threads: number;
  /** Whether the threads had an event loop beside plait: `attached`. */
  readonly driver: "blocking" | "attached";
  /** It repeats the arrivals of a Poisson process, and `c.random`. */
  readonly seed: number;
  /** Such as `scenario.ts`, the name of the function, or the request of the command. */
  readonly scenario: string;
}

/** An age of what was unfinished or unsent at the end: the time since it was sent, or was due. */
export interface Ages {
  /** How many there were. */
  readonly count: number;
  /** The youngest, in milliseconds. */
  readonly least: number;
  /** The oldest, in milliseconds. */
  readonly most: number;
}

/** An attempt of a search for the highest rate. */
export interface SearchStep {
  /** Iterations per second. */
  readonly rate: number;
  /** Whether the run held its thresholds, and the generator kept up. */
  readonly held: boolean;
  /** Why it did not. */
  readonly reason: string | undefined;
}

/** All that a run has found out. */
export interface Report {
  /** Says what a file is. */
  readonly format: "plait load report";
  /** The version of the shape. */
  readonly version: typeof reportVersion;
  /** The version of plait. */
  readonly plait: string;
  /** The command line, if there was one. */
  readonly command: string | undefined;
  /** When it began, by the wall clock (ISO 8601). Nothing is computed from it. */
  readonly startedAt: string;
  /** What the load was made on: processors, their model, the system and the version of Bun. */
  readonly machine: {
    readonly cpus: number;
    readonly cpu: string;
    readonly system: string;
    readonly bun: string;
  };
  /** What was to be done. */
  readonly plan: PlanReport;
  /** What to make of it. */
  readonly verdict: Verdict;
  /** How long the run lasted until no more was sent. */
  readonly sendingMilliseconds: number;
  /** Until the last answer had come. */
  readonly milliseconds: number;
  /** How long it took to look up names, before the clock of the run. */
  readonly resolveMilliseconds: number;
  /** How long it took to connect all connections. */
  readonly connectMilliseconds: number;
  /** What became of the iterations. */
  readonly iterations: IterationLedger;
  /** What became of their requests. */
  readonly requests: RequestLedger;
  /** How long things took. */
  readonly latencies: Latencies;
  /** The steps of the scenario. */
  readonly steps: readonly StepReport[];
  /** The checks of the scenario. */
  readonly checks: readonly CheckReport[];
  /** The kinds of failures, the most frequent first. */
  readonly failures: readonly FailureReport[];
  /** Undefined if nothing was unfinished. */
  readonly unfinishedAges: Ages | undefined;
  /** Undefined if nothing was unsent. */
  readonly unsentAges: Ages | undefined;
  /** The run in parts, in their order. */
  readonly intervals: readonly Interval[];
  /** The threads of the generator. */
  readonly threads: readonly ThreadReport[];
  /** The attempts of a search, in their order. The report is that of the highest rate that held. */
  readonly search?: readonly SearchStep[];
}
