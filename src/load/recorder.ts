/**
 * Histograms of latencies in memory that threads share. Each has two halves: a thread adds to one while the main
 * thread reads the other. Nothing is sent, locked or allocated while a run goes on.
 */

import { bucketCount, bucketOf, mostNanoseconds } from "./buckets.ts";
import type { Histogram } from "./histogram.ts";

/** Where the numbers beside the counts lie, as 64-bit floats. */
const place = { count: 0, least: 1, most: 2, total: 3 } as const;
const numberBytes = 4 * 8;
/** Rounded up, so that the numbers of the next half are aligned. */
const halfBytes = Math.ceil((numberBytes + bucketCount * 4) / 8) * 8;

export class Recorder {
  readonly #halves: readonly [Half, Half];
  #numbers: Float64Array;
  #counts: Uint32Array;

  /** `bytes` of the memory are its own, from `offset` on. It records in the first half. */
  constructor(memory: SharedArrayBuffer | ArrayBuffer, offset: number) {
    this.#halves = [new Half(memory, offset), new Half(memory, offset + halfBytes)];
    this.#numbers = this.#halves[0].numbers;
    this.#counts = this.#halves[0].counts;
  }

  static readonly bytes = 2 * halfBytes;

  /** Records in half 0 or 1 from now on. */
  useHalf(half: number): void {
    const { numbers, counts } = this.#halves[half]!;
    this.#numbers = numbers;
    this.#counts = counts;
  }

  /** Counts a time in milliseconds. A negative one is an error of the clock's user, and counts as 0. */
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

  /** Moves what is in a half into a histogram. The recording thread must use the other half. */
  drainInto(histogram: Histogram, half: number): void {
    this.#halves[half]!.drainInto(histogram);
  }

  /** How many times are in a half. */
  countOf(half: number): number {
    return this.#halves[half]!.numbers[place.count]!;
  }
}

class Half {
  readonly numbers: Float64Array;
  readonly counts: Uint32Array;

  constructor(memory: SharedArrayBuffer | ArrayBuffer, offset: number) {
    this.numbers = new Float64Array(memory, offset, 4);
    this.counts = new Uint32Array(memory, offset + numberBytes, bucketCount);
  }

  drainInto(histogram: Histogram): void {
    const { numbers } = this;
    if (numbers[place.count] === 0) return;
    const [count, least, most, total] = numbers as unknown as [number, number, number, number];
    histogram.add(this.counts, count, least, most, total);
    this.counts.fill(0);
    numbers.fill(0);
  }
}
