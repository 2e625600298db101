/** Histograms that are kept and not added to: in HdrHistogram's compressed encoding they take a hundredth of the memory. */

import { decodeHistogram, encodeHistogram } from "./hdr_encoding.ts";
import { Histogram, type HistogramNumbers } from "./histogram.ts";

export class PackedHistogram {
  /** The usual numbers, in milliseconds. */
  readonly numbers: HistogramNumbers;
  readonly #encoded: string;

  constructor(histogram: Histogram) {
    this.numbers = histogram.numbers();
    this.#encoded = encodeHistogram(histogram);
  }

  unpack(): Histogram {
    return decodeHistogram(this.#encoded);
  }

  toJSON(): object {
    return { ...this.numbers, hdr: this.#encoded };
  }
}
