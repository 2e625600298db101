/**
 * Histograms that are kept and not added to. In HdrHistogram's compressed encoding they take a hundredth of the memory
 * or less, so that a report can have some of each second.
 */

import { Histogram, type HistogramJson, type HistogramNumbers } from "./histogram.ts";

/** A histogram as its usual numbers and its encoding. `unpack` makes a `Histogram` of it. */
export class PackedHistogram {
  /** The usual numbers, in milliseconds. */
  readonly numbers: HistogramNumbers;
  readonly #encoded: string;

  /** `encoded` is the encoding of the histogram, if it is there already. */
  constructor(histogram: Histogram, encoded = histogram.encode()) {
    this.numbers = histogram.numbers();
    this.#encoded = encoded;
  }

  /**
   * Reads what `toJSON` has made.
   *
   * @throws {Error} if the encoding is damaged or the numbers do not belong to it
   */
  static from(json: unknown): PackedHistogram {
    return new PackedHistogram(Histogram.from(json), (json as HistogramJson).hdr);
  }

  /** The histogram again, with all that it had. */
  unpack(): Histogram {
    return Histogram.from(this.toJSON());
  }

  /** For `JSON.stringify`. */
  toJSON(): HistogramJson {
    return { ...this.numbers, hdr: this.#encoded };
  }
}
