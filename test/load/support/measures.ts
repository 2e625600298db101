/** Measures that a test makes up. */

import { bucketCount, bucketOf } from "../../../src/load/buckets.ts";
import { Histogram } from "../../../src/load/histogram.ts";
import {
  allOf,
  type CheckMeasures,
  type Measures,
  type SeriesName,
} from "../../../src/load/measures.ts";
import type { Counts } from "../../../src/load/report.ts";

export interface MadeUp {
  milliseconds?: number;
  due?: number;
  sent?: number;
  dropped?: number;
  outcomes?: Counts;
  unsent?: number;
  unfinished?: number;
  requests?: number;
  requestOutcomes?: Counts;
  isIdle?: boolean;
  isDraining?: boolean;
  times?: Partial<Record<SeriesName, Histogram>>;
  steps?: Record<string, Record<string, Histogram>>;
  checks?: Record<string, CheckMeasures>;
}

/** By default those of a second in which nothing came. */
export function madeUpMeasures(made: MadeUp): Measures {
  const { times = {}, steps = {}, checks = {} } = made;
  return {
    milliseconds: 1000,
    due: 0,
    sent: 0,
    dropped: 0,
    outcomes: {},
    unsent: 0,
    unfinished: 0,
    requests: 0,
    requestOutcomes: {},
    isIdle: false,
    isDraining: false,
    ...made,
    times: (series) => times[series] ?? new Histogram(),
    step(name) {
      const step = steps[name];
      if (step === undefined) return undefined;
      const all = new Histogram();
      const outcomes: Record<string, number> = {};
      for (const [outcome, histogram] of Object.entries(step)) {
        outcomes[outcome] = histogram.count;
        all.merge(histogram);
      }
      return { outcomes, times: () => all };
    },
    check: (name) => checks[name],
    allChecks: () => allOf(Object.values(checks)),
    stepNames: () => Object.keys(steps),
    checkNames: () => Object.keys(checks),
  };
}

/** A histogram of times in milliseconds. */
export function histogramOf(times: readonly number[]): Histogram {
  const histogram = new Histogram();
  const counts = new Uint32Array(bucketCount);
  const nanoseconds = times.map((time) => Math.min(Math.round(time * 1e6), 3_600_000_000_000));
  for (const each of nanoseconds) counts[bucketOf(each)]! += 1;
  const sum = nanoseconds.reduce((all, each) => all + each, 0);
  const least = Math.min(...nanoseconds);
  histogram.add(counts, times.length, least, Math.max(...nanoseconds), sum);
  return histogram;
}
