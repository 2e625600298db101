/**
 * A log of histograms in the format of HdrHistogram, version 1.3: a line for each interval and each kind of time, while
 * a run goes on. Tools such as Java's HistogramLogProcessor and HistogramLogAnalyzer read it.
 */

import manifest from "../../package.json" with { type: "json" };
import type { Histogram } from "../load/histogram.ts";
import type { Progress, ProgressListener } from "../load/progress.ts";
import { printable } from "./format.ts";
import { LineFile } from "./line_file.ts";

/** A log of HdrHistogram's format, version 1.3: its `write` is a listener for `onProgress`. */
export class HdrLog {
  readonly #file: LineFile;
  readonly #command: string | undefined;
  #hasHeader = false;

  /**
   * Makes the file. What comes before the first interval is written with it.
   *
   * @param command the command line of the run, for a comment
   * @throws {Error} if the file cannot be made, with the code of the system
   */
  constructor(path: string, command?: string) {
    this.#file = new LineFile(path);
    this.#command = command;
  }

  /** Adds the lines of an interval. An error waits for `close`. */
  readonly write: ProgressListener = (progress) => {
    const { start, milliseconds, response, service, wait } = progress.interval;
    const header = this.#hasHeader ? "" : headerOf(progress, this.#command);
    this.#hasHeader = true;
    const lines = Object.entries({ response, service, wait }).map(([tag, histogram]) =>
      lineOf(tag, start, milliseconds, histogram),
    );
    this.#file.append(header + lines.join(""));
  };

  /** @throws {Error} if a line could not be written */
  close(): void {
    this.#file.close();
  }
}

function headerOf({ startedAt, plan }: Progress, command: string | undefined): string {
  const start = new Date(startedAt);
  const seconds = (start.getTime() / 1000).toFixed(3);
  const comments = [
    `[Logged with plait ${manifest.version}]`,
    ...(command === undefined ? [] : [`[Command: ${printable(command)}]`]),
    `[Target: ${printable(plan.target)}, ${printable(plan.shape)}]`,
    "[Tag=response: from when an iteration was due to its end]",
    "[Tag=service: from its first byte sent to its end]",
    "[Tag=wait: from when it was due until it had a connection]",
    "[Values are nanoseconds, Interval_Max is in milliseconds, timestamps are seconds since BaseTime]",
    "[Histogram log format version 1.3]",
    `[BaseTime: ${seconds} (seconds since epoch)]`,
    `[StartTime: ${seconds} (seconds since epoch), ${start.toUTCString()}]`,
  ];
  const legend = `"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`;
  return `${comments.map((comment) => `#${comment}\n`).join("")}${legend}\n`;
}

/** Interval_Max is the only number in milliseconds, as Java's HistogramLogWriter divides it by a million. */
function lineOf(tag: string, start: number, milliseconds: number, histogram: Histogram): string {
  const numbers = [start / 1000, milliseconds / 1000, histogram.most];
  const fields = [...numbers.map((number) => number.toFixed(3)), histogram.encode()];
  return `Tag=${tag},${fields.join(",")}\n`;
}
