/** A row of comma-separated values (RFC 4180, with line feeds) for each interval, while a run goes on. */

import type { LiveInterval, ProgressListener } from "../load/progress.ts";
import { LineFile } from "./line_file.ts";

type Column = readonly [name: string, of: (interval: LiveInterval) => number | string];
type Series = "response" | "service" | "wait" | "lateness";

/** The numbers of a histogram, in milliseconds. */
function columnsOf(series: Series): Column[] {
  return [
    [`${series}_mean_ms`, (interval) => shown(interval[series].mean)],
    [`${series}_p50_ms`, (interval) => shown(interval[series].percentile(50))],
    [`${series}_p90_ms`, (interval) => shown(interval[series].percentile(90))],
    [`${series}_p99_ms`, (interval) => shown(interval[series].percentile(99))],
    [`${series}_p999_ms`, (interval) => shown(interval[series].percentile(99.9))],
    [`${series}_max_ms`, (interval) => shown(interval[series].most)],
  ];
}

const columns: readonly Column[] = [
  ["start_ms", ({ start }) => shown(start)],
  ["length_ms", ({ milliseconds }) => shown(milliseconds)],
  ["due", ({ due }) => due],
  ["sent", ({ sent }) => sent],
  ["dropped", ({ dropped }) => dropped],
  ["ok", ({ outcomes }) => outcomes.ok ?? 0],
  ["failed", ({ outcomes }) => failuresOf(outcomes).reduce((sum, [, count]) => sum + count, 0)],
  [
    "failures",
    ({ outcomes }) =>
      quoted(
        failuresOf(outcomes)
          .map((one) => one.join("="))
          .join(";"),
      ),
  ],
  ["requests", ({ requests }) => requests],
  ["bytes_received", ({ bytesReceived }) => bytesReceived],
  ["connections", ({ connections }) => connections],
  ["in_flight", ({ inFlight }) => inFlight],
  ["queued", ({ queued }) => queued],
  ...columnsOf("response"),
  ...columnsOf("service"),
  ...columnsOf("wait"),
  ...columnsOf("lateness"),
  ["cpu", ({ threads }) => shown(threads.reduce((sum, share) => sum + share, 0))],
];

/** A CSV file with a row for each interval of a run: its `write` is a listener for `onProgress`. */
export class CsvLog {
  readonly #file: LineFile;

  /** Makes the file, with the names of the columns. @throws {Error} if that fails, with the code of the system */
  constructor(path: string) {
    this.#file = new LineFile(path);
    this.#file.append(`${columns.map(([name]) => name).join(",")}\n`);
  }

  /** Adds the row of an interval. An error waits for `close`. */
  readonly write: ProgressListener = ({ interval }) => {
    this.#file.append(`${columns.map(([, of]) => of(interval)).join(",")}\n`);
  };

  /** @throws {Error} if a row could not be written */
  close(): void {
    this.#file.close();
  }
}

function failuresOf(outcomes: LiveInterval["outcomes"]): [outcome: string, count: number][] {
  return Object.entries(outcomes).filter(([outcome]) => outcome !== "ok");
}

/** A field that may have any characters. */
function quoted(text: string): string {
  return text === "" ? "" : `"${text.replaceAll('"', '""')}"`;
}

/** Without the digits that a clock of nanoseconds does not have. */
function shown(value: number): string {
  return String(Math.round(value * 1e6) / 1e6);
}
