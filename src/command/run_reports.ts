/** `plait load merge` and `plait load compare`: what becomes of reports that were written before. */

import { readFileSync, writeFileSync } from "node:fs";
import type { Report } from "../load/report.ts";
import { judgeReport } from "../load/threshold_watch.ts";
import {
  type Comparison,
  compareReports,
  type NamedReport,
  parseReportFile,
} from "../report/compare.ts";
import { comparisonHtml } from "../report/comparison_html.ts";
import { comparisonText } from "../report/comparison_text.ts";
import { htmlReport } from "../report/html.ts";
import { readReport, reportJson } from "../report/json.ts";
import { mergeReports } from "../report/merge.ts";
import { reportText } from "../report/text.ts";
import type { CompareCommand, MergeCommand } from "./arguments.ts";
import { exitCodes } from "./exit_codes.ts";
import { UsageError } from "./values.ts";

export async function runMerge(command: MergeCommand): Promise<number> {
  const reports = await readAll(command.files);
  const merged = judged(mergeReports(reports), command);
  const { json, html } = command;
  if (json !== undefined) write(json, reportJson(merged));
  if (html !== undefined) write(html, htmlReport(merged));
  const output = json === "-" || html === "-" ? process.stderr : process.stdout;
  const colors = command.color && output.isTTY === true && !process.env.NO_COLOR;
  output.write(reportText(merged, { columns: output.columns || 80, colors }));
  return merged.verdict.exitCode;
}

/** The thresholds of the command are judged on the merge, beside those that the runs had. */
function judged(merged: Report, { thresholds }: MergeCommand): Report {
  if (thresholds.length === 0) return merged;
  const results = judgeReport(thresholds, merged);
  const { verdict } = merged;
  const isMissed = results.reasons.length > 0 && verdict.exitCode === 0;
  return {
    ...merged,
    verdict: {
      ...verdict,
      exitCode: isMissed ? 1 : verdict.exitCode,
      reasons: [...verdict.reasons, ...results.reasons],
      thresholds: [...verdict.thresholds, ...results.thresholds],
    },
  };
}

async function readAll(files: readonly string[]): Promise<Report[]> {
  const reports: Report[] = [];
  for (const file of files) {
    try {
      const isPage = /\.html?$/i.test(file);
      reports.push(
        isPage ? parseReportFile(readFileSync(file, "utf8"), file) : await readReport(file),
      );
    } catch (error) {
      throw new UsageError((error as Error).message);
    }
  }
  return reports;
}

function write(path: string, text: string): void {
  if (path === "-") process.stdout.write(text);
  else writeFileSync(path, text);
}

export async function runCompare(command: CompareCommand): Promise<number> {
  const reports = await readAll(command.files);
  const named = reports.map((report, index) => ({ name: command.files[index]!, report }));
  const comparison = compared(named, command.thresholds);
  const { json, html } = command;
  if (json !== undefined)
    write(json, `${JSON.stringify(withoutReports(comparison), undefined, 2)}\n`);
  if (html !== undefined) write(html, comparisonHtml(comparison));
  const output = json === "-" || html === "-" ? process.stderr : process.stdout;
  const colors = command.color && output.isTTY === true && !process.env.NO_COLOR;
  output.write(comparisonText(comparison, { columns: output.columns || 80, colors }));
  return comparison.thresholds.every(({ held }) => held) ? exitCodes.held : exitCodes.missed;
}

function compared(reports: readonly NamedReport[], thresholds: readonly string[]): Comparison {
  try {
    return compareReports(reports, thresholds);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

/** What the files of the runs have is not repeated. */
function withoutReports({ runs, ...rest }: Comparison): object {
  return { format: "plait load comparison", runs: runs.map(({ name }) => name), ...rest };
}
