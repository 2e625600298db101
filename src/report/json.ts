/** Reports as JSON: written, and read back with all histograms. schema.ts has the shape. */

import { open, writeFile } from "node:fs/promises";
import { Histogram } from "../load/histogram.ts";
import { PackedHistogram } from "../load/packed_histogram.ts";
import { type Report, reportVersion } from "../load/report.ts";
import { reportSchema } from "./schema.ts";
import { fault } from "./validation.ts";

/** A report of the most intervals has some ten MiB. A file beyond this is not one, and is not kept in memory. */
const mostReportBytes = 64 * 1024 * 1024;

/** The text of a report's file. */
export function reportJson(report: Report): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/**
 * Reads what `reportJson` has made. Properties that the schema does not know are left in place.
 *
 * @param name what the text is called in errors, such as its path
 * @throws {Error} in a sentence, if it is no report, a report of another version, or damaged
 */
export function parseReport(text: string, name = "the report"): Report {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name} is not JSON`, { cause: error });
  }
  const { format, version }: { format?: unknown; version?: unknown } = Object(json);
  if (format !== "plait load report") throw new Error(`${name} is not a report of a load test`);
  if (version !== reportVersion) {
    const advice = Number(version) > reportVersion ? ": read it with a newer plait" : "";
    throw new Error(
      `${name} is a report of version ${JSON.stringify(version)}, and this plait reads version ${reportVersion}${advice}`,
    );
  }
  const wrong = fault(json, reportSchema);
  if (wrong !== undefined) throw new Error(`${name} is damaged: ${wrong}`);
  try {
    return restored(json as ReportJson);
  } catch (error) {
    throw new Error(`${name} is damaged: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws {Error} if it cannot be written, with the code of the system */
export async function writeReport(path: string, report: Report): Promise<void> {
  await writeFile(path, reportJson(report));
}

/**
 * Reads a file, or a pipe.
 *
 * @throws {Error} if it cannot be read, or is no report, in a sentence that names it
 */
export async function readReport(path: string): Promise<Report> {
  await using file = await open(path);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > mostReportBytes) {
      throw new Error(
        `${path} is not a report of a load test: it is longer than ${mostReportBytes} bytes`,
      );
    }
  }
  return parseReport(Buffer.concat(chunks).toString("utf8"), path);
}

/** A report with JSON in the place of each histogram. */
type ReportJson = Jsoned<Report>;
type Jsoned<Value> = Value extends Histogram | PackedHistogram
  ? object
  : Value extends object
    ? { readonly [Name in keyof Value]: Jsoned<Value[Name]> }
    : Value;

function restored(json: ReportJson): Report {
  const { latencies, steps, intervals, threads } = json;
  return {
    ...json,
    latencies: {
      response: mapped(latencies.response),
      service: mapped(latencies.service),
      wait: Histogram.from(latencies.wait),
      requests: mapped(latencies.requests),
      connect: Histogram.from(latencies.connect),
      handshake: Histogram.from(latencies.handshake),
      lateness: Histogram.from(latencies.lateness),
    },
    steps: steps.map(({ outcomes, ...rest }) => ({ ...rest, outcomes: mapped(outcomes) })),
    intervals: intervals.map((interval) => ({
      ...interval,
      response: PackedHistogram.from(interval.response),
      service: PackedHistogram.from(interval.service),
      lateness: PackedHistogram.from(interval.lateness),
    })),
    threads: threads.map(({ lateness, ...rest }) => ({
      ...rest,
      lateness: Histogram.from(lateness),
    })),
  };
}

function mapped(json: Readonly<Record<string, object>>): Record<string, Histogram> {
  const entries = Object.entries(json);
  return Object.fromEntries(entries.map(([outcome, one]) => [outcome, Histogram.from(one)]));
}
