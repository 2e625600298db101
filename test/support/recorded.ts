/** Histograms of given values, recorded as a run records them. */

import { Histogram } from "../../src/load/histogram.ts";
import { Recorder } from "../../src/load/recorder.ts";

/** It is empty between two calls. */
const recorder = new Recorder(new SharedArrayBuffer(Recorder.bytes), 0);

/** A histogram of values in milliseconds. */
export function recorded(values: Iterable<number>): Histogram {
  for (const value of values) recorder.record(value);
  const histogram = new Histogram();
  recorder.drainInto(histogram, 0);
  return histogram;
}
