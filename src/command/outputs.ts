/** Where the results of a run go. All files are opened before the run. */

import type { ProgressListener } from "../load/progress.ts";
import type { Report } from "../load/report.ts";
import { CsvLog } from "../report/csv.ts";
import { HdrLog } from "../report/hdr_log.ts";
import { htmlReport } from "../report/html.ts";
import { reportJson } from "../report/json.ts";
import { PrometheusEndpoint } from "../report/prometheus_endpoint.ts";
import type { LoadCommand } from "./arguments.ts";
import { ReportFile } from "./report_file.ts";
import { UsageError } from "./values.ts";

/** What takes the numbers of each interval. */
interface Log {
  readonly write: ProgressListener;
  close(): void | Promise<void>;
}

type Format = (report: Report) => string;

export class Outputs implements AsyncDisposable {
  readonly #logs: Log[] = [];
  readonly #files: (readonly [ReportFile, Format])[] = [];
  /** The run that is under way: when it began, by the wall clock, and by how much later than the first. */
  #run: string | undefined = undefined;
  #firstStart: number | undefined = undefined;
  #offset = 0;
  /** Where Prometheus finds the figures, if it was asked for. */
  metrics: string | undefined = undefined;

  private constructor() {}

  /**
   * Opens all.
   *
   * @param text the command line, for comments in them
   * @throws {UsageError} for a file that cannot be written
   * @throws {SocketError} if Prometheus cannot be listened for
   */
  static async open(command: LoadCommand, text: string): Promise<Outputs> {
    const outputs = new Outputs();
    try {
      await outputs.#open(command, text);
      return outputs;
    } catch (error) {
      await outputs[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #open({ json, html, hlog, csv, prometheus }: LoadCommand, text: string): Promise<void> {
    const logs = this.#logs;
    if (hlog !== undefined) logs.push(openedFor("hlog", hlog, () => new HdrLog(hlog, text)));
    if (csv !== undefined) logs.push(openedFor("csv", csv, () => new CsvLog(csv)));
    for (const [name, path, format] of [
      ["json", json, reportJson] as const,
      ["html", html, htmlReport] as const,
    ]) {
      if (path === undefined) continue;
      this.#files.push([openedFor(name, path, () => new ReportFile(path)), format]);
    }
    if (prometheus === undefined) return;
    const { host, port } = prometheus;
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const endpoint = await PrometheusEndpoint.open(address);
    this.metrics = endpoint.url;
    logs.push(endpoint);
  }

  /** Takes the numbers of an interval. The runs of a search follow each other in the logs. */
  readonly write: ProgressListener = (progress) => {
    const { startedAt, elapsed, interval } = progress;
    if (startedAt !== this.#run) {
      const start = performance.now() - elapsed;
      this.#firstStart ??= start;
      this.#offset = start - this.#firstStart;
      this.#run = startedAt;
    }
    const start = interval.start + this.#offset;
    const shifted = { ...progress, interval: { ...interval, start } };
    for (const log of this.#logs) log.write(shifted);
  };

  /** Writes the report everywhere, and closes all. Returns a sentence for each that is not complete. */
  async finish(report: Report): Promise<string[]> {
    const sentences: string[] = [];
    for (const [file, format] of this.#files) {
      try {
        await file.write(format(report));
      } catch (error) {
        sentences.push((error as Error).message);
      }
    }
    return [...(await this.#closeLogs()), ...sentences];
  }

  async #closeLogs(): Promise<string[]> {
    const sentences: string[] = [];
    for (const log of this.#logs.splice(0)) {
      try {
        await log.close();
      } catch (error) {
        sentences.push((error as Error).message);
      }
    }
    return sentences;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closeLogs();
    for (const [file] of this.#files.splice(0)) file[Symbol.dispose]();
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  ENOTDIR: "there is no such folder",
  EISDIR: "it is a folder",
  EACCES: "it may not be written",
  EPERM: "it may not be written",
  EROFS: "the file system is read-only",
};

/** Opens a file of an option. @throws {UsageError} */
export function openedFor<File>(option: string, path: string, open: () => File): File {
  try {
    return open();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new UsageError(`--${option}: ${path} cannot be written: ${reasons[code] ?? message}`);
  }
}
