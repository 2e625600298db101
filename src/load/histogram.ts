/** Histograms of latencies that are read: percentiles, sums, buckets. recorder.ts has those that are recorded. */

import { bucketCount, bucketOf, greatestOf, leastOf, mostNanoseconds } from "./buckets.ts";
import { decodeCounts, encodeCounts } from "./hdr_encoding.ts";

/** The numbers that are shown of a histogram, in milliseconds except `count`. All are 0 without values. */
export interface HistogramNumbers {
  /** How many values there are. */
  readonly count: number;
  readonly least: number;
  readonly mean: number;
  readonly most: number;
  readonly p50: number;
  readonly p75: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  /** 99.9 percent. */
  readonly p999: number;
  /** 99.99 percent. */
  readonly p9999: number;
}

/** A histogram as JSON has it. */
export interface HistogramJson extends HistogramNumbers {
  /** The counts in the compressed encoding of HdrHistogram, version 2, in nanoseconds. */
  readonly hdr: string;
}

/** A point of the percentile curve. */
export interface CurvePoint {
  /** From 0 to 100. */
  readonly percent: number;
  /** The value that so many percent do not exceed, in milliseconds. */
  readonly milliseconds: number;
  /** How many values are up to it. */
  readonly count: number;
}

/** A histogram that is read. Its values are in milliseconds. */
export class Histogram {
  readonly #counts: Float64Array;
  #count = 0;
  /** In nanoseconds, as all of these. */
  #least = 0;
  #most = 0;
  #total = 0;

  /** An empty histogram. */
  constructor();
  /** @internal One that uses this array for its counts. */
  constructor(counts: Float64Array);
  constructor(counts: Float64Array = new Float64Array(bucketCount)) {
    this.#counts = counts;
  }

  /**
   * Reads what `toJSON` has made. The least, the greatest and the mean value are as they were, not those of buckets.
   *
   * @throws {Error} if the encoding is damaged or the numbers do not belong to it
   */
  static from(json: unknown): Histogram {
    const numbers: Partial<Record<keyof HistogramJson, unknown>> = Object(json);
    if (typeof numbers.hdr !== "string") throw new Error("a histogram has no `hdr`");
    const histogram = Histogram.decode(numbers.hdr);
    histogram.#refine(numbers);
    return histogram;
  }

  /**
   * Reads what `encode` has made, or another HdrHistogram library. The encoding has only counts of buckets: the least
   * and the greatest value are those of the outermost buckets, and the mean is within a thousandth.
   *
   * @throws {Error} if it is damaged, or its layout is not 1 ns to 1 h with three digits
   */
  static decode(text: string): Histogram {
    const counts = decodeCounts(text);
    const histogram = new Histogram(counts);
    let count = 0;
    let total = 0;
    let least = 0;
    let last = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const inBucket = counts[bucket]!;
      if (inBucket === 0) continue;
      if (count === 0) least = leastOf(bucket);
      last = bucket;
      count += inBucket;
      total += inBucket * middleOf(bucket);
    }
    if (count === 0) return histogram;
    histogram.#count = count;
    histogram.#least = least;
    histogram.#most = Math.min(greatestOf(last), mostNanoseconds);
    histogram.#total = total;
    return histogram;
  }

  /** How many values it has. */
  get count(): number {
    return this.#count;
  }

  /** The least value; 0 without any. */
  get least(): number {
    return this.#least / 1e6;
  }

  /** The greatest value; 0 without any. */
  get most(): number {
    return this.#most / 1e6;
  }

  /** The sum of all values. */
  get total(): number {
    return this.#total / 1e6;
  }

  /** The mean; 0 without any. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#total / this.#count / 1e6;
  }

  /** The standard deviation, with each value taken for the middle of its bucket; 0 without any. */
  get standardDeviation(): number {
    if (this.#count === 0) return 0;
    const mean = this.#total / this.#count;
    let squares = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#counts[bucket]!;
      if (count > 0) squares += count * (middleOf(bucket) - mean) ** 2;
    }
    return Math.sqrt(squares / this.#count) / 1e6;
  }

  /**
   * A value that so many percent of all values do not exceed, and that is at most a thousandth above the
   * greatest of these. It never exceeds the greatest of all. 0 without any.
   */
  percentile(percent: number): number {
    return this.percentiles([percent])[0]!;
  }

  /** Several percentiles, each as `percentile` finds it, in one pass. `percents` must grow. */
  percentiles(percents: readonly number[]): number[] {
    const found: number[] = [];
    let bucket = -1;
    let seen = 0;
    for (const percent of percents) {
      const rank = this.#rankOf(percent);
      while (seen < rank) seen += this.#counts[++bucket]!;
      found.push(this.#greatestOf(bucket) / 1e6);
    }
    return found;
  }

  /**
   * Points of the percentile curve, from 0 to 100 percent. Their distance to 100 percent is halved by each `steps`
   * points, since the rare slow values are what the curve is drawn for. Without values there are no points.
   */
  *curve(steps = 10): Generator<CurvePoint, void> {
    let bucket = -1;
    let seen = 0;
    for (let step = 0; this.#count > 0 && seen < this.#count; step++) {
      const percent = 100 - 100 * 0.5 ** (step / steps);
      const rank = this.#rankOf(percent);
      if (step > 0 && rank <= seen) continue;
      while (seen < rank) seen += this.#counts[++bucket]!;
      const isLast = seen === this.#count;
      yield {
        percent: isLast ? 100 : percent,
        milliseconds: this.#greatestOf(bucket) / 1e6,
        count: seen,
      };
    }
  }

  /**
   * How many values are at most so large. Those in the same bucket as the limit count too: they exceed it by less
   * than a thousandth.
   */
  countUpTo(milliseconds: number): number {
    return this.countsUpTo([milliseconds])[0]!;
  }

  /** The same for several limits, in one pass. They must grow. */
  countsUpTo(limits: readonly number[]): number[] {
    let bucket = 0;
    let count = 0;
    return limits.map((milliseconds) => {
      if (milliseconds < 0) return 0;
      const last = bucketOf(Math.min(Math.floor(milliseconds * 1e6), mostNanoseconds));
      while (bucket <= last && count < this.#count) count += this.#counts[bucket++]!;
      return count;
    });
  }

  /** The numbers that are shown. */
  numbers(): HistogramNumbers {
    const [p50, p75, p90, p95, p99, p999, p9999] = this.percentiles(shownPercents) as [
      ...[number, number, number, number, number, number, number],
    ];
    const { count, least, mean, most } = this;
    return { count, least, mean, most, p50, p75, p90, p95, p99, p999, p9999 };
  }

  /** The numbers, and the counts in the encoding of HdrHistogram. */
  toJSON(): HistogramJson {
    return { ...this.numbers(), hdr: this.encode() };
  }

  /** The counts in the compressed encoding of HdrHistogram, version 2, in nanoseconds. */
  encode(): string {
    return encodeCounts(this.#counts);
  }

  /** Adds the values of another one. */
  merge(other: Histogram): void {
    this.#add(other.#counts, other.#count, other.#least, other.#most, other.#total);
  }

  /** Forgets all values, so that the memory can be used again. */
  clear(): void {
    this.#counts.fill(0);
    this.#count = this.#least = this.#most = this.#total = 0;
  }

  /** @internal Adds what a thread has recorded. */
  add(counts: Uint32Array, count: number, least: number, most: number, total: number): void {
    this.#add(counts, count, least, most, total);
  }

  /** The buckets that have values: the greatest value of each, in nanoseconds, and how many there are. */
  *buckets(): Generator<[nanoseconds: number, count: number], void> {
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#counts[bucket]!;
      if (count > 0) yield [greatestOf(bucket), count];
    }
  }

  /** How many values are up to a percentile: at least 1, or 0 without values. */
  #rankOf(percent: number): number {
    // The percent is made less by the least that can be: 99.9 is stored as a little more than it is.
    const exact = (percent * (1 - Number.EPSILON / 2) * this.#count) / 100;
    return Math.min(Math.max(Math.ceil(exact), 1), this.#count);
  }

  #greatestOf(bucket: number): number {
    return bucket < 0 ? 0 : Math.min(greatestOf(bucket), this.#most);
  }

  /** Takes exact numbers in place of those of the buckets. */
  #refine(numbers: Partial<Record<keyof HistogramNumbers, unknown>>): void {
    const { count, least, most, mean } = numbers;
    const areNumbers =
      typeof least === "number" && typeof most === "number" && typeof mean === "number";
    if (!areNumbers || count !== this.#count) throw strangeNumbers();
    const [exactLeast, exactMost] = [Math.round(least * 1e6), Math.round(most * 1e6)];
    // A mean of equal values can be off by rounding.
    const tolerance = 1e-9 * most;
    const fits =
      exactLeast >= 0 &&
      exactMost <= mostNanoseconds &&
      bucketOf(exactLeast) === bucketOf(this.#least) &&
      bucketOf(exactMost) === bucketOf(this.#most) &&
      mean >= least - tolerance &&
      mean <= most + tolerance;
    if (!fits) throw strangeNumbers();
    this.#least = exactLeast;
    this.#most = exactMost;
    this.#total = Math.round(mean * 1e6 * this.#count);
  }

  #add(
    counts: Uint32Array | Float64Array,
    count: number,
    least: number,
    most: number,
    total: number,
  ): void {
    if (count === 0) return;
    for (let bucket = 0; bucket < bucketCount; bucket++) this.#counts[bucket]! += counts[bucket]!;
    this.#least = this.#count === 0 ? least : Math.min(this.#least, least);
    this.#most = Math.max(this.#most, most);
    this.#total += total;
    this.#count += count;
  }
}

const shownPercents = [50, 75, 90, 95, 99, 99.9, 99.99];

/** The middle of a bucket, in nanoseconds. */
function middleOf(bucket: number): number {
  return (leastOf(bucket) + greatestOf(bucket)) / 2;
}

function strangeNumbers(): Error {
  return new Error("the numbers of a histogram are not those of its `hdr`");
}
