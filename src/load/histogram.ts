/** Histograms of latencies that are read: percentiles, sums, buckets. recorder.ts has those that are recorded. */

import { bucketCount, greatestOf } from "./buckets.ts";

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
