/**
 * Histograms of latencies in memory that threads share. A thread adds to one half while the main thread reads the
 * other: nothing is sent, locked or allocated while a run goes on.
 */

import { bucketCount, bucketOf, greatestOf, mostNanoseconds } from "./buckets.ts";

/** Where the numbers beside the counts lie, as 64-bit floats. */
const place = { count: 0, least: 1, most: 2, total: 3 } as const;
const numberBytes = 4 * 8;
const histogramBytes = numberBytes + bucketCount * 4;
/** Rounded up, so that the numbers of the next one are aligned. */
const paddedBytes = Math.ceil(histogramBytes / 8) * 8;

/** A histogram that one thread adds to. */
export class Recorder {
  readonly #numbers: Float64Array;
  readonly #counts: Uint32Array;

  constructor(memory: SharedArrayBuffer | ArrayBuffer, offset: number) {
    this.#numbers = new Float64Array(memory, offset, 4);
    this.#counts = new Uint32Array(memory, offset + numberBytes, bucketCount);
  }

  static readonly bytes = paddedBytes;

  /** Counts a value in milliseconds. A negative one is an error of the clock's user, and counts as 0. */
  record(milliseconds: number): void {
    const nanoseconds = Math.min(Math.max(Math.round(milliseconds * 1e6), 0), mostNanoseconds);
    const numbers = this.#numbers;
    const bucket = bucketOf(nanoseconds);
    this.#counts[bucket] = this.#counts[bucket]! + 1;
    const count = numbers[place.count]!;
    if (count === 0 || nanoseconds < numbers[place.least]!) numbers[place.least] = nanoseconds;
    if (nanoseconds > numbers[place.most]!) numbers[place.most] = nanoseconds;
    numbers[place.total] = numbers[place.total]! + nanoseconds;
    numbers[place.count] = count + 1;
  }

  /** Moves everything into a histogram, and leaves none. The recording thread must use the other half. */
  drainInto(histogram: Histogram): void {
    const numbers = this.#numbers;
    if (numbers[place.count] === 0) return;
    const [count, least, most, total] = numbers as unknown as [number, number, number, number];
    histogram.add(this.#counts, count, least, most, total);
    this.#counts.fill(0);
    numbers.fill(0);
  }
}

/** A histogram that is read. Its values are in milliseconds. */
export class Histogram {
  readonly #counts = new Float64Array(bucketCount);
  #count = 0;
  /** In nanoseconds, as all of these. */
  #least = 0;
  #most = 0;
  #total = 0;

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

  /** The mean; 0 without any. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#total / this.#count / 1e6;
  }

  /**
   * A value that so many percent of all values do not exceed, and that is at most a thousandth above the
   * greatest of these. It never exceeds the greatest of all. 0 without any.
   */
  percentile(percent: number): number {
    const rank = Math.max(Math.ceil((percent / 100) * this.#count), 1);
    let seen = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(greatestOf(bucket), this.#most) / 1e6;
    }
    return 0;
  }

  /** Adds the values of another one. */
  merge(other: Histogram): void {
    this.#add(other.#counts, other.#count, other.#least, other.#most, other.#total);
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
