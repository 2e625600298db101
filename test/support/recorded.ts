/** Histograms of given values, recorded as a run records them. */

import { Histogram } from "../../src/load/histogram.ts";
import { Recorder } from "../../src/load/recorder.ts";

/** A histogram of values in milliseconds. */
export function recorded(values: Iterable<number>): Histogram {
  const recorder = new Recorder(new SharedArrayBuffer(Recorder.bytes), 0);
  for (const value of values) recorder.record(value);
  const histogram = new Histogram();
  recorder.drainInto(histogram, 0);
  return histogram;
}
