/**
 * Judges thresholds while a run goes on, interval by interval: over windows, and those that end the run. Its memory
 * is bounded: a window keeps up to 60 parts of what it measures.
 */

import { bucketCount, bucketOf, greatestOf } from "./buckets.ts";
import type { Histogram } from "./histogram.ts";
import { type Measures, measuresOf, measuresOfInterval } from "./measures.ts";
import type { Report, ThresholdReport } from "./report.ts";
import {
  holds,
  judgedValue,
  missedSentence,
  type Sum,
  type Threshold,
  type Times,
  valueOfSum,
} from "./thresholds.ts";

/** How many parts a window has at most. It slides by a part. */
const mostParts = 60;

/** What has come of the thresholds of a run. */
export interface ThresholdResults {
  readonly thresholds: readonly ThresholdReport[];
  /** A sentence for each that was missed. */
  readonly reasons: readonly string[];
}

export class ThresholdWatch {
  readonly #watched: readonly Watched[];

  constructor(thresholds: readonly Threshold[]) {
    this.#watched = thresholds.map((threshold) =>
      threshold.window === undefined ? new WatchedWhole(threshold) : new WatchedWindows(threshold),
    );
  }

  /**
   * Takes an interval that has ended. Intervals come in order and without gaps.
   *
   * @param end its end, in milliseconds from the start of the run
   * @param interval what came in it alone
   * @param soFar what came from the start of the run up to its end
   * @returns the threshold that ends the run; undefined if it goes on
   */
  interval(end: number, interval: Measures, soFar: Measures): Threshold | undefined {
    let ending: Threshold | undefined;
    for (const watched of this.#watched) {
      if (watched.interval(end, interval, soFar)) ending ??= watched.threshold;
    }
    return ending;
  }

  /** Judges what is left at the end of the run. */
  finish(whole: Measures): ThresholdResults {
    const thresholds: ThresholdReport[] = [];
    const reasons: string[] = [];
    for (const watched of this.#watched) {
      const report = watched.finish(whole);
      thresholds.push(report);
      if (report.held) continue;
      const absence = watched.threshold.absence(whole);
      reasons.push(missedSentence(watched.threshold, report, absence));
    }
    return { thresholds, reasons };
  }
}

/**
 * Judges the thresholds of a finished run, over windows with the intervals that its report has. None of these has
 * steps, checks or times of connecting: a threshold on them over windows is missed.
 */
export function judgeReport(thresholds: readonly Threshold[], report: Report): ThresholdResults {
  // The run has ended: what would have ended it is judged as all others are.
  const watch = new ThresholdWatch(thresholds.map((each) => ({ ...each, abortAfter: undefined })));
  const whole = measuresOf(report);
  for (const interval of report.intervals) {
    const end = interval.start + interval.milliseconds;
    watch.interval(end, measuresOfInterval(interval, report), whole);
  }
  return watch.finish(whole);
}

interface Watched {
  readonly threshold: Threshold;
  /** Whether it ends the run. */
  interval(end: number, interval: Measures, soFar: Measures): boolean;
  finish(whole: Measures): ThresholdReport;
}

/** A threshold over the whole run. While it goes on, only one that may end it is judged. */
class WatchedWhole implements Watched {
  readonly threshold: Threshold;
  /** Since when it is missed; and its value when it has ended the run. */
  #missedAt: number | undefined;
  #ended: number | undefined;

  constructor(threshold: Threshold) {
    this.threshold = threshold;
  }

  interval(end: number, _interval: Measures, soFar: Measures): boolean {
    const { threshold } = this;
    if (threshold.abortAfter === undefined || this.#ended !== undefined) return false;
    const value = judgedValue(threshold, soFar);
    // Before anything has come there is nothing to say yet: the end will say it.
    if (value === undefined) return false;
    if (holds(threshold, value)) {
      this.#missedAt = undefined;
      return false;
    }
    this.#missedAt ??= end;
    if (end < threshold.abortAfter) return false;
    this.#ended = value;
    return true;
  }

  finish(whole: Measures): ThresholdReport {
    const { threshold } = this;
    const { text, unit } = threshold;
    // What came after it has ended the run does not mend it.
    const value = this.#ended ?? judgedValue(threshold, whole);
    const held = value !== undefined && holds(threshold, value);
    return { text, held, value, unit, missedAt: held ? undefined : this.#missedAt };
  }
}

/** A threshold that every window must hold. */
class WatchedWindows implements Watched {
  readonly threshold: Threshold;
  readonly #window: SumWindow | TimesWindow;
  /** The worst value of all windows. */
  #worst: number | undefined;
  #missedAt: number | undefined;

  constructor(threshold: Threshold) {
    this.threshold = threshold;
    this.#window =
      threshold.subject.kind === "sum"
        ? new SumWindow(threshold.window!)
        : new TimesWindow(threshold.window!);
  }

  interval(end: number, interval: Measures): boolean {
    const { threshold } = this;
    const isWhole = this.#add(interval);
    if (!isWhole) return false;
    const isMissed = this.#judge(end);
    return isMissed && threshold.abortAfter !== undefined && end >= threshold.abortAfter;
  }

  finish(whole: Measures): ThresholdReport {
    const { text, unit } = this.threshold;
    // A run that was shorter than a window is one.
    if (!this.#window.wasWhole) {
      const value = judgedValue(this.threshold, whole);
      const held = value !== undefined && holds(this.threshold, value);
      return { text, held, value, unit, missedAt: undefined };
    }
    const held = this.#worst !== undefined && this.#missedAt === undefined;
    return { text, held, value: this.#worst, unit, missedAt: this.#missedAt };
  }

  /** Whether there is a whole window now. */
  #add(interval: Measures): boolean {
    const { subject } = this.threshold;
    const { milliseconds, isIdle } = interval;
    if (this.#window instanceof SumWindow) {
      const sum = subject.kind === "sum" ? subject.read(interval) : undefined;
      // A rate says nothing about the time after the last iteration was sent.
      if (sum === undefined && interval.isDraining) return false;
      return this.#window.add(milliseconds, isIdle, sum);
    }
    const times = subject.kind === "times" ? subject.read(interval) : undefined;
    return this.#window.add(milliseconds, isIdle, times);
  }

  /** Whether the window is missed. */
  #judge(end: number): boolean {
    const { threshold } = this;
    const value = this.#value();
    if (value === undefined) {
      // Work was under way and none of it has ended: a target that answers no more must not pass.
      if (!threshold.isSteady || this.#window.isIdle) return false;
      this.#missedAt ??= end;
      return true;
    }
    const isUpper = threshold.comparison.startsWith("<");
    const worst = this.#worst ?? value;
    this.#worst = isUpper ? Math.max(worst, value) : Math.min(worst, value);
    if (holds(threshold, value)) return false;
    this.#missedAt ??= end;
    return true;
  }

  #value(): number | undefined {
    const { subject, unit } = this.threshold;
    if (this.#window instanceof SumWindow) return valueOfSum(this.#window.sum(), unit);
    if (subject.kind !== "times" || this.#window.count === 0) return undefined;
    return subject.statistic(this.#window);
  }
}

/** A part of a window: the intervals of a sixtieth of it, or one longer interval. */
interface Part {
  milliseconds: number;
  isIdle: boolean;
}

/** The last so many milliseconds, in parts. */
abstract class Window<Each extends Part> {
  readonly #milliseconds: number;
  readonly #partMilliseconds: number;
  /** The oldest first. */
  readonly parts: Each[] = [];
  #covered = 0;
  /** Whether there was ever a whole window. */
  wasWhole = false;

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
    this.#partMilliseconds = milliseconds / mostParts;
  }

  /** Whether there was nothing to do in all of it. */
  get isIdle(): boolean {
    return this.parts.every(({ isIdle }) => isIdle);
  }

  /** The part that an interval belongs to. */
  protected partFor(milliseconds: number, isIdle: boolean): Each {
    let part = this.parts.at(-1);
    if (part === undefined || part.milliseconds >= this.#partMilliseconds) {
      part = this.emptyPart();
      this.parts.push(part);
    }
    part.milliseconds += milliseconds;
    part.isIdle &&= isIdle;
    this.#covered += milliseconds;
    return part;
  }

  /** Lets go of the oldest parts that the window does not need. Whether it is whole. */
  protected slide(): boolean {
    // Clocks and sums of fractions are not exact.
    const wanted = this.#milliseconds * (1 - 1e-9);
    while (this.parts.length > 1 && this.#covered - this.parts[0]!.milliseconds >= wanted) {
      const part = this.parts.shift()!;
      this.#covered -= part.milliseconds;
      this.letGo(part);
    }
    const isWhole = this.#covered >= wanted;
    if (isWhole) this.wasWhole = true;
    return isWhole;
  }

  protected abstract emptyPart(): Each;
  protected abstract letGo(part: Each): void;
}

interface SumPart extends Part {
  part: number;
  whole: number;
}

class SumWindow extends Window<SumPart> {
  /** Whether it is a whole window with the interval. */
  add(milliseconds: number, isIdle: boolean, sum: Sum | undefined): boolean {
    const part = this.partFor(milliseconds, isIdle);
    part.part += sum?.part ?? 0;
    part.whole += sum?.whole ?? 0;
    return this.slide();
  }

  sum(): Sum {
    let part = 0;
    let whole = 0;
    for (const each of this.parts) {
      part += each.part;
      whole += each.whole;
    }
    return { part, whole };
  }

  protected emptyPart(): SumPart {
    return { milliseconds: 0, isIdle: true, part: 0, whole: 0 };
  }

  protected letGo(): void {
    // It has no sum beside those of its parts.
  }
}

interface TimesPart extends Part {
  least: number;
  most: number;
  /** The sum of all times. */
  total: number;
  count: number;
  /** How many times are in which bucket. */
  readonly counts: Map<number, number>;
}

class TimesWindow extends Window<TimesPart> implements Times {
  /** Of all parts. */
  readonly #counts = new Float64Array(bucketCount);
  count = 0;

  /** Whether it is a whole window with the interval. */
  add(milliseconds: number, isIdle: boolean, times: Histogram | undefined): boolean {
    const part = this.partFor(milliseconds, isIdle);
    if (times !== undefined && times.count > 0) {
      part.least = Math.min(part.least, times.least);
      part.most = Math.max(part.most, times.most);
      part.total += times.mean * times.count;
      part.count += times.count;
      this.count += times.count;
      for (const [nanoseconds, count] of times.buckets()) {
        const bucket = bucketOf(nanoseconds);
        part.counts.set(bucket, (part.counts.get(bucket) ?? 0) + count);
        this.#counts[bucket]! += count;
      }
    }
    return this.slide();
  }

  get least(): number {
    return Math.min(...this.parts.map(({ least }) => least));
  }

  get most(): number {
    return Math.max(...this.parts.map(({ most }) => most));
  }

  get mean(): number {
    return this.parts.reduce((sum, { total }) => sum + total, 0) / this.count;
  }

  /** As that of a histogram. */
  percentile(percent: number): number {
    // The least change makes up for a percent that is stored as a little more than it is, such as 99.9.
    const exact = (percent * (1 - Number.EPSILON / 2) * this.count) / 100;
    const rank = Math.max(Math.ceil(exact), 1);
    let seen = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(greatestOf(bucket) / 1e6, this.most);
    }
    return 0;
  }

  protected emptyPart(): TimesPart {
    return {
      milliseconds: 0,
      isIdle: true,
      least: Number.POSITIVE_INFINITY,
      most: 0,
      total: 0,
      count: 0,
      counts: new Map(),
    };
  }

  protected letGo(part: TimesPart): void {
    this.count -= part.count;
    for (const [bucket, count] of part.counts) this.#counts[bucket]! -= count;
  }
}
