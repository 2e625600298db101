/**
 * How far numbers of a run would differ if the run were made again, as far as its intervals can tell. The run is cut into
 * blocks of consecutive intervals. They are drawn at random, with replacement, as many as there are, and the numbers are
 * computed from what was drawn; again and again (the bootstrap, with blocks since neighbouring intervals are alike).
 * It assumes that all parts of the run had the same load: with a ramp the noise comes out larger than it is.
 */

import type { Random } from "../load/random.ts";
import type { Interval, Report } from "../load/report.ts";

/** Fewer blocks say nothing about noise. */
export const leastBlocks = 8;
/** More would not make the interval better. */
const mostBlocks = 64;

/** A part of a run. */
interface Block {
  readonly milliseconds: number;
  readonly sent: number;
  readonly ended: number;
  readonly failed: number;
  /** Of the latency: indices into the run's values, and counts. */
  readonly places: Uint32Array;
  readonly counts: Float64Array;
}

/** The numbers of one drawing. Latencies are undefined if none was in it. */
export interface Drawn {
  readonly rate: number;
  readonly errors: number;
  readonly mean: number | undefined;
  readonly percentiles: readonly number[] | undefined;
}

export class Resampling {
  readonly #blocks: readonly Block[];
  /** All values of the latency, in milliseconds, the least first. */
  readonly #values: readonly number[];
  readonly #weights: Float64Array;

  constructor(report: Report, latency: "response" | "service") {
    const whole = sendingIntervals(report);
    const size = Math.max(Math.ceil(whole.length / mostBlocks), 1);
    const parts = Array.from({ length: Math.floor(whole.length / size) }, (_, index) =>
      whole.slice(index * size, (index + 1) * size),
    );
    const buckets = parts.map((part) => {
      const counts = new Map<number, number>();
      for (const interval of part) {
        for (const [nanoseconds, count] of interval[latency].unpack().buckets()) {
          counts.set(nanoseconds, (counts.get(nanoseconds) ?? 0) + count);
        }
      }
      return counts;
    });
    const values = [...new Set(buckets.flatMap((counts) => [...counts.keys()]))];
    values.sort((one, other) => one - other);
    const places = new Map(values.map((value, place) => [value, place]));
    this.#values = values.map((nanoseconds) => nanoseconds / 1e6);
    this.#weights = new Float64Array(values.length);
    this.#blocks = parts.map((part, index): Block => {
      const ended = part.flatMap(({ outcomes }) => Object.values(outcomes));
      const well = part.map(({ outcomes }) => outcomes.ok ?? 0);
      const counts = buckets[index]!;
      return {
        milliseconds: sum(part.map(({ milliseconds }) => milliseconds)),
        sent: sum(part.map(({ sent }) => sent)),
        ended: sum(ended),
        failed: sum(ended) - sum(well),
        places: Uint32Array.from(counts.keys(), (value) => places.get(value)!),
        counts: Float64Array.from(counts.values()),
      };
    });
  }

  get blocks(): number {
    return this.#blocks.length;
  }

  /** The numbers of blocks that are drawn. `percents` must grow. */
  draw(random: Random, percents: readonly number[]): Drawn {
    const weights = this.#weights.fill(0);
    let milliseconds = 0;
    let sent = 0;
    let ended = 0;
    let failed = 0;
    for (let drawn = 0; drawn < this.#blocks.length; drawn++) {
      const block = this.#blocks[random.below(this.#blocks.length)]!;
      milliseconds += block.milliseconds;
      sent += block.sent;
      ended += block.ended;
      failed += block.failed;
      const { places, counts } = block;
      for (let index = 0; index < places.length; index++)
        weights[places[index]!]! += counts[index]!;
    }
    return {
      rate: (sent / milliseconds) * 1000,
      errors: ended === 0 ? 0 : failed / ended,
      ...this.#latencies(weights, percents),
    };
  }

  #latencies(
    weights: Float64Array,
    percents: readonly number[],
  ): Pick<Drawn, "mean" | "percentiles"> {
    let count = 0;
    let total = 0;
    for (let place = 0; place < weights.length; place++) {
      count += weights[place]!;
      total += weights[place]! * this.#values[place]!;
    }
    if (count === 0) return { mean: undefined, percentiles: undefined };
    let place = -1;
    let seen = 0;
    const percentiles = percents.map((percent) => {
      const rank = Math.max(Math.ceil((percent / 100) * count * (1 - 1e-12)), 1);
      while (seen < rank && place < weights.length - 1) seen += weights[++place]!;
      return this.#values[place]!;
    });
    return { mean: total / count, percentiles };
  }
}

/** The intervals of the time when iterations were sent. What came later, while they ended, is no sample of the load. */
export function sendingIntervals({ intervals, sendingMilliseconds }: Report): readonly Interval[] {
  // The clock is read a little late.
  const end = sendingMilliseconds * 1.001 + 1;
  return intervals.filter(({ start, milliseconds }) => start + milliseconds <= end);
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
