/** The verdict on a load that several generators have made together. */

import type { Report, ThresholdReport, Verdict } from "../load/report.ts";
import { merged } from "./page_data.ts";
import { sum } from "./resampling.ts";

/** A merged report, whose verdict is not known yet. */
type Whole = Omit<Report, "verdict">;

/** The verdict on the whole load. */
export function mergedVerdict(reports: readonly Report[], whole: Whole): Verdict {
  const verdicts = reports.map(({ verdict }) => verdict);
  const generatorWasBottleneck = verdicts.some((verdict) => verdict.generatorWasBottleneck);
  const thresholds = mergedThresholds(reports, whole);
  const codes = new Set(verdicts.map(({ exitCode }) => exitCode));
  const isHeld = thresholds.every(({ held }) => held);
  const missed = thresholds.filter(({ held }) => !held).map(({ text }) => text);
  const reasons = missed.map((text) => `The threshold ${text} was missed.`);
  // A missed threshold of one generator is judged again on the whole.
  const others = verdicts.map(({ exitCode, reasons }) => (exitCode === 1 ? [] : reasons));
  return {
    exitCode: codes.has(130) ? 130 : codes.has(3) ? 3 : generatorWasBottleneck ? 4 : isHeld ? 0 : 1,
    reasons: [...attributed(others), ...reasons],
    thresholds,
    generatorWasBottleneck,
    generatorReasons: attributed(verdicts.map(({ generatorReasons }) => generatorReasons)),
  };
}

/** Sentences of the generators, each with the number of its generator, from 1 on. */
function attributed(sentences: readonly (readonly string[])[]): string[] {
  return sentences.flatMap((own, index) =>
    own.map((sentence) => `Generator ${index + 1} of ${sentences.length}: ${sentence}`),
  );
}

function mergedThresholds(reports: readonly Report[], whole: Whole): ThresholdReport[] {
  const texts = new Set(
    reports.flatMap(({ verdict }) => verdict.thresholds.map(({ text }) => text)),
  );
  return [...texts].map((text) => {
    const judged = reports.flatMap((report) => {
      const threshold = report.verdict.thresholds.find((each) => each.text === text);
      return threshold === undefined ? [] : [{ report, threshold }];
    });
    return mergedThreshold(judged, whole);
  });
}

interface Judged {
  readonly report: Report;
  readonly threshold: ThresholdReport;
}

function mergedThreshold(judged: readonly Judged[], whole: Whole): ThresholdReport {
  const reports = judged.map(({ threshold }) => threshold);
  const { text, unit } = reports[0]!;
  const values = reports.map(({ value }) => value).filter((value) => value !== undefined);
  const missed = reports.map(({ missedAt }) => missedAt).filter((at) => at !== undefined);
  const missedAt = missed.length === 0 ? undefined : Math.min(...missed);
  if (values.length === 0) return { text, unit, held: false, value: undefined, missedAt };
  const { quantity, operator, limit, scale } =
    /^(?<quantity>.*?)\s*(?<operator><=|>=|<|>)\s*(?<limit>[\d.]+)\s*(?<scale>\S*)$/.exec(text)
      ?.groups ?? {};
  const bound = Number(limit) * (scales[scale ?? ""] ?? 1);
  const value = wholeValue(quantity ?? "", judged, values, whole);
  if (operator !== undefined && value !== undefined) {
    const held = isWithin(value, operator, bound);
    return { text, unit, held, value, missedAt: held ? undefined : missedAt };
  }
  const isUpper = operator?.startsWith("<") ?? true;
  const worst = isUpper ? Math.max(...values) : Math.min(...values);
  return { text, unit, held: reports.every(({ held }) => held), value: worst, missedAt };
}

/** Milliseconds of each unit of time. */
const scales: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

/**
 * The value of the whole load. Undefined for what cannot be computed from it: a formula is used only if it gives each
 * generator's own value.
 */
function wholeValue(
  quantity: string,
  judged: readonly Judged[],
  values: readonly number[],
  whole: Whole,
): number | undefined {
  const unit = judged[0]!.threshold.unit;
  if (unit === "/s" || unit === "") {
    const isOfWindows = judged.some(({ threshold }) => threshold.missedAt !== undefined);
    return isOfWindows ? undefined : sum(values);
  }
  const formula = formulas.find((each) =>
    judged.every(({ report, threshold }) => {
      const own = each(quantity, report);
      const { value } = threshold;
      return own === value || Math.abs((own ?? NaN) - (value ?? NaN)) <= 1e-6 * Math.abs(own ?? 0);
    }),
  );
  return formula?.(quantity, whole);
}

/** Values by the names of thresholds: of latencies, and of errors with and without what was unfinished. */
const formulas: readonly ((quantity: string, whole: Whole) => number | undefined)[] = [
  (quantity, { latencies }) => {
    const response = merged(latencies.response);
    const percent = /^p(\d+(?:\.\d+)?)$/.exec(quantity)?.[1];
    if (percent !== undefined) return response.percentile(Number(percent));
    return { mean: response.mean, max: response.most }[quantity];
  },
  (quantity, { iterations: { sent, outcomes } }) =>
    quantity === "errors" && sent > 0 ? (1 - (outcomes.ok ?? 0) / sent) * 100 : undefined,
  (quantity, { iterations: { outcomes } }) => {
    const ended = sum(Object.values(outcomes));
    return quantity === "errors" && ended > 0 ? (1 - (outcomes.ok ?? 0) / ended) * 100 : undefined;
  },
];

function isWithin(value: number, operator: string, limit: number): boolean {
  if (operator === "<") return value < limit;
  if (operator === "<=") return value <= limit;
  return operator === ">" ? value > limit : value >= limit;
}
