/** The verdict on a run, and on the generator itself. */

import type { Histogram } from "./histogram.ts";
import { generatorShort } from "./outcomes.ts";
import { mostLateness } from "./pacer.ts";
import type { IterationLedger, ThreadReport, Verdict } from "./report.ts";
import type { ThresholdResults } from "./threshold_watch.ts";

/** A thread that used more than this of a CPU had no more to give. */
const busyShare = 0.95;
/** Lateness at p99, in milliseconds, above which the times of an open loop are the generator's more than the target's. */
const lateMilliseconds = 10;

/** With fewer times one in ten is judged: one in a hundred would be nearly the greatest. */
const manyTimes = 1000;

/** What the verdict on the generator is made of. */
export interface GeneratorFacts {
  readonly isOpenLoop: boolean;
  readonly iterations: IterationLedger;
  readonly lateness: Histogram;
  readonly threads: readonly Pick<ThreadReport, "thread" | "cpuShare">[];
}

/** How it shows that the generator was the bottleneck, in a sentence each; none if it does not. */
export function generatorReasons(facts: GeneratorFacts): string[] {
  const { isOpenLoop, iterations, lateness, threads } = facts;
  const reasons: string[] = [];
  if (iterations.droppedLate > 0) {
    reasons.push(
      `the generator stood still: ${iterations.droppedLate} iterations were due while it was late by more than ${mostLateness} ms, and were not sent`,
    );
  } else if (lateness.most > mostLateness) {
    reasons.push(`the generator stood still for ${Math.round(lateness.most)} ms`);
  }
  const isMany = lateness.count >= manyTimes;
  const late = lateness.percentile(isMany ? 99 : 90);
  if (late > lateMilliseconds) {
    const what = isOpenLoop ? "sends" : "timers";
    reasons.push(
      `one in ${isMany ? "a hundred" : "ten"} ${what} of the generator was late by ${late.toFixed(1)} ms or more`,
    );
  }
  const busy = threads.filter(({ cpuShare }) => cpuShare > busyShare);
  if (busy.length > 0) {
    const share = Math.round(Math.max(...busy.map(({ cpuShare }) => cpuShare)) * 100);
    const which =
      threads.length === 1 ? "its thread" : `${busy.length} of ${threads.length} threads`;
    reasons.push(
      `${which} used all of a CPU (${share} %): more threads, or more machines, are needed`,
    );
  }
  for (const [outcome, count] of Object.entries(iterations.outcomes)) {
    if (outcome.startsWith(generatorShort)) reasons.push(`${count} iterations failed: ${outcome}`);
  }
  return reasons;
}

/** What the verdict is made of. */
export interface VerdictFacts extends GeneratorFacts {
  readonly thresholds: ThresholdResults;
  readonly wasInterrupted: boolean;
  /** Why the threads have given up, if they have. */
  readonly givenUp: string | undefined;
  /** Why the target was never reached, if it was not. */
  readonly notReached: string | undefined;
}

export function verdictOf(facts: VerdictFacts): Verdict {
  const { thresholds, wasInterrupted, givenUp, notReached } = facts;
  const blamed = generatorReasons(facts);
  const reasons: string[] = [];
  if (wasInterrupted) reasons.push("the run was interrupted");
  if (notReached !== undefined) reasons.push(`the target could not be reached: ${notReached}`);
  else if (givenUp !== undefined) reasons.push(`the run was given up: ${givenUp}`);
  if (blamed.length > 0) reasons.push("the generator was the bottleneck, not the target");
  reasons.push(...thresholds.reasons);
  let exitCode: Verdict["exitCode"] = 0;
  if (wasInterrupted) exitCode = 130;
  else if (notReached !== undefined || givenUp !== undefined) exitCode = 3;
  else if (blamed.length > 0) exitCode = 4;
  else if (thresholds.reasons.length > 0) exitCode = 1;
  return {
    exitCode,
    reasons,
    thresholds: thresholds.thresholds,
    generatorWasBottleneck: blamed.length > 0,
    generatorReasons: blamed,
  };
}
