/**
 * Thresholds: what a run must hold, as texts such as `p99<50ms`, `errors<0.1%` or `step(login).p95<200ms over 10s abort`.
 * This file reads them and judges one on plain measures. threshold_watch.ts judges them while a run goes on.
 *
 * A threshold that has nothing to judge is missed: a run without answers must not pass for a fast one.
 */

import { rangeMistake, typeMistake } from "../values/checks.ts";
import { duration, milliseconds, perSecond, wholeNumber } from "./durations.ts";
import type { Histogram } from "./histogram.ts";
import { type Measures, type SeriesName, seriesNames, total } from "./measures.ts";
import { nearest } from "./nearest.ts";
import type { Counts, ThresholdReport } from "./report.ts";

/** A count of what came, and of all that it is a part of. Without any of these there is nothing to judge. */
export interface Sum {
  readonly part: number;
  readonly whole: number;
}

/** What a threshold is about: a statistic of times, or a sum, which gives a count, a share or a rate. */
export type Subject =
  | {
      readonly kind: "times";
      /** Undefined if it has none, or it is not known. */
      read(measures: Measures): Histogram | undefined;
      statistic(times: Times): number;
    }
  | { readonly kind: "sum"; read(measures: Measures): Sum | undefined };

/** What a statistic is taken of. */
export interface Times {
  readonly count: number;
  readonly least: number;
  readonly most: number;
  readonly mean: number;
  percentile(percent: number): number;
}

export type Comparison = "<" | "<=" | ">" | ">=";

export interface Threshold {
  /** As it was given. */
  readonly text: string;
  readonly subject: Subject;
  readonly comparison: Comparison;
  /** In `unit`. */
  readonly limit: number;
  readonly unit: ThresholdReport["unit"];
  /** If it must hold in every window: the length of one in milliseconds. */
  readonly window: number | undefined;
  /** If it ends the run when it is missed: not before so many milliseconds. */
  readonly abortAfter: number | undefined;
  /** Whether each part of a run has some of it. Steps, checks and connection attempts may come in some parts only. */
  readonly isSteady: boolean;
  /** Why there may be nothing to judge, such as a step that does not exist. */
  absence(measures: Measures): string;
}

/** The most thresholds of a run. */
export const mostThresholds = 100;
/** Letters of a threshold. */
const mostLength = 1000;

const grammar =
  /^\s*([A-Za-z][\w.-]*)\s*(?:\((.*?)\)(?:\.([\w.]+)(?:\((.*?)\))?)?)?\s*(<=|>=|<|>)\s*([\d.]+\s*?[\w%/µμ]*?)(\s+over\s+[\w.]+)?(\s+abort(?:\s+after\s+[\w.]+)?)?\s*$/;
const examples =
  "p99<50ms, errors<0.1%, rate>1000, check(found)>99%, step(login).p95<200ms over 10s";

/**
 * Reads a threshold.
 *
 * @param kinds the kinds of failures that exist; without it `failures(...)` takes any
 * @throws {TypeError} {RangeError} for what is none, with the nearest name that would be right
 */
export function parseThreshold(text: string, kinds?: readonly string[]): Threshold {
  const isText = typeof text === "string" && text.length <= mostLength;
  const found = isText ? grammar.exec(text) : null;
  if (found === null) {
    const given = JSON.stringify(text)?.slice(0, mostLength);
    throw typeMistake(`${given} is no threshold: examples are ${examples}`);
  }
  const [, name, argument, member, memberArgument, comparison, limitText, overText, abortText] =
    found as unknown as (string | undefined)[];
  const measure = measureOf({ text, name: name!, argument, member, memberArgument, kinds });
  const { limit, unit } = limitOf(limitText!.trim(), measure, text);
  const threshold: Threshold = {
    text: text.trim(),
    subject: subjectOf(measure),
    comparison: comparison as Comparison,
    limit,
    unit,
    window: suffix(overText, "over", `the window of ${JSON.stringify(text)}`),
    abortAfter:
      abortText?.trim() === "abort"
        ? 0
        : suffix(abortText, "after", `the time after "abort" of ${JSON.stringify(text)}`),
    isSteady: measure.isSteady,
    absence: measure.absence ?? (() => "there was nothing to judge"),
  };
  checkMeaning(threshold, measure);
  return threshold;
}

/** Whether a value holds it. */
export function holds({ comparison, limit }: Threshold, value: number): boolean {
  if (comparison === "<") return value < limit;
  if (comparison === "<=") return value <= limit;
  if (comparison === ">") return value > limit;
  return value >= limit;
}

/** The value of a sum in the unit of its threshold; undefined if there is nothing to judge. */
export function valueOfSum(
  { part, whole }: Sum,
  unit: ThresholdReport["unit"],
): number | undefined {
  if (whole === 0) return undefined;
  if (unit === "%") return (100 * part) / whole;
  // The whole of a rate is its time.
  if (unit === "/s") return (1000 * part) / whole;
  return part;
}

/** The value of a threshold's subject; undefined if there is nothing to judge. */
export function judgedValue({ subject, unit }: Threshold, measures: Measures): number | undefined {
  if (subject.kind === "sum") {
    const sum = subject.read(measures);
    return sum === undefined ? undefined : valueOfSum(sum, unit);
  }
  const times = subject.read(measures);
  return times === undefined || times.count === 0 ? undefined : subject.statistic(times);
}

/** A sentence about a threshold that was missed. */
export function missedSentence(
  threshold: Threshold,
  { value, missedAt }: ThresholdReport,
  absence: string,
): string {
  const { text, window } = threshold;
  const at = missedAt === undefined ? "" : `, first at ${duration(missedAt)}`;
  if (value === undefined) return `${text} was missed: ${absence}${at}`;
  if (holds(threshold, value)) return `${text} was missed: a part of the run has no value${at}`;
  const where = window === undefined ? "" : ` in the worst ${duration(window)}`;
  return `${text} was missed: ${shownValue(value, threshold.unit)}${where}${at}`;
}

/** A value with its unit, such as `73.2 ms`, `0.25%`, `1020/s`. */
export function shownValue(value: number, unit: ThresholdReport["unit"]): string {
  if (unit === "ms") return duration(value);
  return `${Number(value.toPrecision(4))}${unit}`;
}

/** The parts of the text that say what is measured. */
interface Named {
  readonly text: string;
  readonly name: string;
  readonly argument: string | undefined;
  readonly member: string | undefined;
  readonly memberArgument: string | undefined;
  readonly kinds: readonly string[] | undefined;
}

/** What is measured, before its limit says whether a count or a share is meant. */
type Measure = {
  readonly isSteady: boolean;
  /** Whether it is known only when the run has ended. */
  readonly isFinal?: boolean;
  readonly absence?: (measures: Measures) => string;
} & (
  | {
      readonly kind: "times";
      read(measures: Measures): Histogram | undefined;
      statistic(times: Times): number;
    }
  | {
      /** A count can be limited as such or by its share; the others only as they are. */
      readonly kind: "count" | "total" | "share" | "rate";
      read(measures: Measures): Sum | undefined;
    }
);

const oddNames = ["failures(timeout)", "status(5xx)", "check(NAME)", "step(NAME).p95"];
const statistics = ["p50", "p90", "p95", "p99", "p99.9", "mean", "min", "max"];

function measureOf(named: Named): Measure {
  const { name, argument, member } = named;
  if (argument === undefined) return plainMeasure(named);
  if (name === "step") return stepMeasure(named, argument);
  if (member !== undefined) throw unknownName(named);
  const what = argument.trim();
  if (name === "check") {
    return {
      kind: "share",
      isSteady: false,
      read: (measures) => shareOfPassed(measures.check(what)),
      absence: (measures) => absent("check", what, measures.checkNames()),
    };
  }
  if (name === "failures") {
    checkKind(what, named);
    return failures((outcome) => outcome === what || outcome.startsWith(`${what} `));
  }
  if (name === "status") {
    if (!/^[2-5]xx$/.test(what)) {
      throw typeMistake(
        `${JSON.stringify(named.text)}: a class of statuses is 2xx, 3xx, 4xx or 5xx, not ${JSON.stringify(what)}`,
      );
    }
    return {
      kind: "count",
      isSteady: true,
      read({ requestOutcomes }) {
        if (requestOutcomes === undefined) return undefined;
        return { part: requestOutcomes[`status ${what}`] ?? 0, whole: total(requestOutcomes) };
      },
    };
  }
  throw unknownName(named);
}

function plainMeasure(named: Named): Measure {
  const { name } = named;
  const plain = plainMeasures[name];
  if (plain !== undefined && Object.hasOwn(plainMeasures, name)) return plain;
  const dot = name.indexOf(".");
  const series = seriesNames.find((each) => each === name.slice(0, dot));
  if (dot > 0 && series !== undefined) {
    const statistic = statisticOf(name.slice(dot + 1), named);
    if (statistic !== undefined) return timesMeasure(series, statistic);
  }
  const statistic = statisticOf(name, named);
  if (statistic !== undefined) return timesMeasure("response", statistic);
  throw unknownName(named);
}

const plainMeasures: Readonly<Record<string, Measure>> = {
  errors: failures((outcome) => outcome !== "ok"),
  rate: rate(({ outcomes }) => total(outcomes)),
  "requests.rate": rate(({ requests }) => requests),
  count: { kind: "total", isSteady: true, read: ({ outcomes }) => totalOf(total(outcomes)) },
  "requests.count": { kind: "total", isSteady: true, read: ({ requests }) => totalOf(requests) },
  dropped: {
    kind: "count",
    isSteady: false,
    read: ({ dropped, due }) => ({ part: dropped, whole: due }),
  },
  unsent: {
    kind: "count",
    isSteady: true,
    isFinal: true,
    read: ({ unsent, due }) => (unsent === undefined ? undefined : { part: unsent, whole: due }),
  },
  unfinished: {
    kind: "count",
    isSteady: true,
    isFinal: true,
    read: ({ unfinished, sent }) =>
      unfinished === undefined ? undefined : { part: unfinished, whole: sent },
  },
  check: {
    kind: "share",
    isSteady: false,
    read: (measures) => shareOfPassed(measures.allChecks()),
    absence: () => "no check was made",
  },
};

function failures(isCounted: (outcome: string) => boolean): Measure {
  return { kind: "count", isSteady: true, read: ({ outcomes }) => countOf(outcomes, isCounted) };
}

function countOf(outcomes: Counts, isCounted: (outcome: string) => boolean): Sum {
  let part = 0;
  for (const [outcome, count] of Object.entries(outcomes)) if (isCounted(outcome)) part += count;
  return { part, whole: total(outcomes) };
}

function rate(ended: (measures: Measures) => number): Measure {
  return { kind: "rate", isSteady: true, read: (measures) => rateOf(measures, ended(measures)) };
}

/** A rate needs no events to be judged: none are a rate of 0. When no more is sent it says nothing about the target. */
function rateOf(measures: Measures, part: number): Sum | undefined {
  return measures.isDraining ? undefined : { part, whole: measures.milliseconds };
}

/** A number of all can be judged when there are none. */
function totalOf(count: number): Sum {
  return { part: count, whole: 1 };
}

function timesMeasure(series: SeriesName, statistic: (times: Times) => number): Measure {
  return {
    kind: "times",
    isSteady: series === "response" || series === "service" || series === "requests",
    read: (measures) => measures.times(series),
    statistic,
    absence: () => `there were no times of ${series} to judge`,
  };
}

function stepMeasure(named: Named, argument: string): Measure {
  const step = argument.trim();
  const { member, memberArgument } = named;
  const common = {
    isSteady: false,
    absence: (measures: Measures): string => absent("step", step, measures.stepNames()),
  };
  if (member === undefined) {
    throw typeMistake(
      `${JSON.stringify(named.text)}: say what of the step, such as step(${step}).p95`,
    );
  }
  if (memberArgument === undefined) {
    const statistic = statisticOf(member, named);
    if (statistic !== undefined) {
      return { ...common, kind: "times", read: (all) => all.step(step)?.times(), statistic };
    }
    if (member === "errors") return failuresOfStep((outcome) => outcome !== "ok");
    if (member === "rate" || member === "count") {
      const read = (measures: Measures): Sum | undefined => {
        const outcomes = measures.step(step)?.outcomes;
        if (outcomes === undefined) return undefined;
        if (member === "count") return totalOf(total(outcomes));
        return rateOf(measures, total(outcomes));
      };
      return { ...common, kind: member === "count" ? "total" : "rate", read };
    }
  } else if (member === "failures") {
    const kind = memberArgument.trim();
    checkKind(kind, named);
    return failuresOfStep((outcome) => outcome === kind || outcome.startsWith(`${kind} `));
  }
  throw unknownName(named);

  function failuresOfStep(isCounted: (outcome: string) => boolean): Measure {
    return {
      ...common,
      kind: "count",
      read(measures) {
        const outcomes = measures.step(step)?.outcomes;
        return outcomes === undefined ? undefined : countOf(outcomes, isCounted);
      },
    };
  }
}

/** A statistic of times by its name; undefined if there is none of that name. */
function statisticOf(name: string, { text }: Named): ((times: Times) => number) | undefined {
  if (name === "mean") return ({ mean }) => mean;
  if (name === "min") return ({ least }) => least;
  if (name === "max") return ({ most }) => most;
  const found = /^p(\d+(?:\.\d+)?)$/.exec(name);
  if (found === null) return undefined;
  const percent = Number(found[1]);
  if (percent > 100 || percent === 0) {
    throw rangeMistake(`${JSON.stringify(text)}: a percentile is above 0 and up to 100`);
  }
  return (times) => times.percentile(percent);
}

function shareOfPassed(
  check: { readonly passed: number; readonly failed: number } | undefined,
): Sum | undefined {
  return check && { part: check.passed, whole: check.passed + check.failed };
}

function absent(what: string, name: string, names: readonly string[]): string {
  if (names.includes(name)) return `the ${what} "${name}" has no value`;
  const right = nearest(name, names);
  const hint = right === undefined ? "" : `; did you mean "${right}"?`;
  return `there was no ${what} "${name}"${hint}`;
}

function checkKind(kind: string, { text, kinds }: Named): void {
  if (kinds === undefined) return;
  // The code of a TLS failure is OpenSSL's; `tls` alone is all of them.
  if (kind.startsWith("tls ")) return;
  if (kinds.some((each) => each === kind || each.startsWith(`${kind} `))) return;
  const right = nearest(kind, kinds);
  const hint =
    right === undefined ? `the kinds are ${kinds.join(", ")}` : `did you mean "${right}"?`;
  throw typeMistake(`${JSON.stringify(text)}: there is no failure "${kind}": ${hint}`);
}

function unknownName(named: Named): TypeError {
  const { text, name, argument, member, memberArgument } = named;
  const members = [...statistics, "errors", "failures(timeout)", "rate", "count"];
  const given =
    (argument === undefined ? name : `${name}(${argument})`) +
    (member === undefined ? "" : `.${member}`) +
    (memberArgument === undefined ? "" : `(${memberArgument})`);
  const right = nearestRight();
  const hint = right === undefined ? `examples are ${examples}` : `did you mean ${right}?`;
  return typeMistake(`${JSON.stringify(text)}: nothing is measured as ${given}: ${hint}`);

  function nearestRight(): string | undefined {
    if (name === "step" && argument !== undefined) {
      const near = nearest(member ?? "", members);
      return near === undefined ? undefined : `step(${argument}).${near}`;
    }
    if (argument !== undefined) {
      // "p(99)" is how another tool writes it.
      const percentile = /^p$/i.test(name) && /^[\d.]+$/.test(argument.trim());
      if (percentile) return `p${argument.trim()}`;
      if (Object.hasOwn(plainMeasures, name)) return name;
      const near = nearest(name, ["failures", "status", "check", "step"]);
      return near === undefined || near === name ? undefined : `${near}(${argument})`;
    }
    const dot = name.indexOf(".");
    const series = dot > 0 ? nearest(name.slice(0, dot), seriesNames) : undefined;
    if (series !== undefined) {
      const near = statisticNear(name.slice(dot + 1));
      if (near !== undefined) return `${series}.${near}`;
    }
    const parenthesised = ["failures", "status", "step"].indexOf(name);
    if (parenthesised >= 0) return [oddNames[0], oddNames[1], oddNames[3]][parenthesised];
    return statisticNear(name) ?? nearest(name, [...Object.keys(plainMeasures), ...statistics]);
  }
}

/** Other words for the statistics. */
function statisticNear(name: string): string | undefined {
  const lower = name.toLowerCase();
  if (/^p\d+(\.\d+)?$/.test(lower)) return lower;
  if (/^(avg|average)$/.test(lower)) return "mean";
  if (/^(med|median)$/.test(lower)) return "p50";
  return nearest(name, statistics);
}

function limitOf(
  text: string,
  measure: Measure,
  whole: string,
): { readonly limit: number; readonly unit: ThresholdReport["unit"] } {
  const what = `the limit of ${JSON.stringify(whole)}`;
  if (measure.kind === "times") return { limit: milliseconds(text, what), unit: "ms" };
  if (measure.kind === "rate") return { limit: perSecond(text, what), unit: "/s" };
  const isShare = text.endsWith("%");
  if (measure.kind === "total" && isShare) {
    throw typeMistake(`${what} is a whole number such as 10000 or 10k, not "${text}"`);
  }
  if (measure.kind === "share" && !isShare) {
    throw typeMistake(`${what} is a share such as 99%, not "${text}"`);
  }
  if (!isShare) return { limit: wholeNumber(text, what), unit: "" };
  const limit = Number(text.slice(0, -1));
  if (Number.isNaN(limit)) throw typeMistake(`${what} is a share such as 99%, not "${text}"`);
  if (limit > 100) throw rangeMistake(`${what} is up to 100%, not "${text}"`);
  return { limit, unit: "%" };
}

function subjectOf(measure: Measure): Subject {
  if (measure.kind !== "times") return { kind: "sum", read: measure.read };
  return { kind: "times", read: measure.read, statistic: measure.statistic };
}

function suffix(text: string | undefined, word: string, what: string): number | undefined {
  if (text === undefined) return undefined;
  const ms = milliseconds(text.slice(text.lastIndexOf(word) + word.length).trim(), what);
  if (ms === 0 && word === "over") throw rangeMistake(`${what} is longer than 0`);
  return ms;
}

/** Refuses what can never hold, and what cannot be judged when it is asked for. */
function checkMeaning(threshold: Threshold, measure: Measure): void {
  const { text, comparison, limit, unit, window, abortAfter } = threshold;
  if (comparison === "<" && limit === 0) {
    throw rangeMistake(`${JSON.stringify(text)} never holds: nothing is below 0`);
  }
  if (comparison === ">" && unit === "%" && limit === 100) {
    throw rangeMistake(`${JSON.stringify(text)} never holds: nothing is above 100%`);
  }
  if (measure.isFinal === true && (window !== undefined || abortAfter !== undefined)) {
    const word = window === undefined ? "abort" : "over";
    throw typeMistake(`${JSON.stringify(text)}: ${word} has no meaning for what the end decides`);
  }
  const mayGrow = unit === "" && comparison.startsWith(">");
  if (mayGrow && abortAfter !== undefined && window === undefined) {
    throw typeMistake(`${JSON.stringify(text)}: abort has no meaning for a count that still grows`);
  }
}
