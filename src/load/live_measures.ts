/** What thresholds are judged on while a run goes on. */

import { Histogram } from "./histogram.ts";
import { allOf, type CheckMeasures, type Measures, type SeriesName, total } from "./measures.ts";
import type { Counts, Outcome } from "./report.ts";
import { type Histograms, namesOf, type OpenInterval, type Totals } from "./tally.ts";

/** Where the times of a series are among the histograms. */
const subjects: Readonly<Record<SeriesName, string>> = {
  response: "response",
  service: "service",
  wait: "wait",
  lateness: "lateness",
  connect: "connect",
  handshake: "handshake",
  requests: "request",
};

/** The measures of an interval, with the totals before and behind it. */
export function intervalMeasures(
  interval: OpenInterval,
  before: Totals,
  behind: Totals,
  isDraining: boolean,
): Measures {
  const { milliseconds, due, sent, dropped, outcomes, requests, histograms } = interval;
  const { inFlight, queued } = interval;
  return {
    ...{ milliseconds, due, sent, dropped, outcomes, requests, isDraining },
    ...{ unsent: undefined, unfinished: undefined },
    requestOutcomes: difference(behind.named("request"), before.named("request")),
    isIdle: due === 0 && inFlight === 0 && queued === 0 && total(outcomes) === 0,
    ...named(
      histograms,
      checksOf(difference(behind.named("check"), before.named("check"))),
      stepsOf(behind),
    ),
  };
}

/** The measures from the start of a run up to now. */
export function measuresSoFar(
  milliseconds: number,
  totals: Totals,
  histograms: Histograms,
): Measures {
  return {
    milliseconds,
    due: totals.of("due"),
    sent: totals.of("sent"),
    dropped: totals.of("dropped busy") + totals.of("dropped late"),
    outcomes: totals.named("response"),
    unsent: undefined,
    unfinished: undefined,
    requests: totals.of("request"),
    requestOutcomes: totals.named("request"),
    isIdle: totals.of("due") === 0,
    isDraining: false,
    ...named(histograms, checksOf(totals.named("check")), stepsOf(totals)),
  };
}

type Named = Pick<Measures, "times" | "step" | "check" | "allChecks" | "stepNames" | "checkNames">;

/** @param steps the names of the steps that were ever taken */
function named(
  histograms: Histograms,
  checks: ReadonlyMap<string, CheckMeasures>,
  steps: ReadonlySet<string>,
): Named {
  return {
    times: (series) => histograms.together(subjects[series]),
    step(name) {
      if (!steps.has(name)) return undefined;
      const outcomes: Record<Outcome, number> = {};
      const times = new Histogram();
      for (const [joined, histogram] of Object.entries(histograms.named("step"))) {
        const [step, outcome] = namesOf(joined);
        if (step !== name) continue;
        outcomes[outcome] = histogram.count;
        times.merge(histogram);
      }
      return { outcomes, times: () => times };
    },
    check: (name) => checks.get(name),
    allChecks: () => allOf(checks.values()),
    stepNames: () => [...steps],
    checkNames: () => [...checks.keys()],
  };
}

function stepsOf(totals: Totals): ReadonlySet<string> {
  return new Set(Object.keys(totals.named("step")).map((joined) => namesOf(joined)[0]));
}

/** Checks by name, from counts by name and result. */
export function checksOf(counts: Counts): ReadonlyMap<string, CheckMeasures> {
  const checks = new Map<string, { passed: number; failed: number }>();
  for (const [joined, count] of Object.entries(counts)) {
    const [name, result] = namesOf(joined);
    let check = checks.get(name);
    if (check === undefined) checks.set(name, (check = { passed: 0, failed: 0 }));
    check[result === "passed" ? "passed" : "failed"] += count;
  }
  return checks;
}

function difference(behind: Counts, before: Counts): Counts {
  const counts = Object.entries(behind).map(([name, count]) => [name, count - (before[name] ?? 0)]);
  return Object.fromEntries(counts);
}
