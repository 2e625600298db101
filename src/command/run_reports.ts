/** `plait load merge` and `plait load compare`: what becomes of reports that were written before. */

import { readFileSync } from "node:fs";
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
import { openedFor } from "./outputs.ts";
import { ReportFile } from "./report_file.ts";
import { lookOf, textStream, written } from "./streams.ts";
import { UsageError } from "./values.ts";

export async function runMerge(command: MergeCommand): Promise<number> {
  const reports = await readAll(command.files);
  const merged = judged(mergeReports(reports), command);
  const isWhole = await give(command, {
    json: () => reportJson(merged),
    html: () => htmlReport(merged),
    text: (look) => reportText(merged, look),
  });
  const { exitCode } = merged.verdict;
  return exitCode === exitCodes.held && !isWhole ? exitCodes.usage : exitCode;
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

interface Forms {
  readonly json: () => string;
  readonly html: () => string;
  readonly text: (look: { readonly columns: number; readonly colors: boolean }) => string;
}

/** Writes what is asked for, and the text where no other goes. Returns whether all was written; if not, it is said. */
async function give(
  { json, html, color }: CompareCommand | MergeCommand,
  forms: Forms,
): Promise<boolean> {
  const errors: (Error | undefined)[] = [];
  for (const [name, path] of [["json", json] as const, ["html", html] as const]) {
    if (path === undefined) continue;
    using file = openedFor(name, path, () => new ReportFile(path));
    try {
      await file.write(forms[name]());
    } catch (error) {
      errors.push(error as Error);
    }
  }
  const output = textStream([json, html]);
  errors.push(await written(output, forms.text(lookOf(output, color))));
  for (const error of errors) if (error !== undefined) console.error(`plait: ${error.message}`);
  return errors.every((error) => error === undefined);
}

export async function runCompare(command: CompareCommand): Promise<number> {
  const reports = await readAll(command.files);
  const named = reports.map((report, index) => ({ name: command.files[index]!, report }));
  const comparison = compared(named, command.thresholds);
  const isWhole = await give(command, {
    json: () => `${JSON.stringify(withoutReports(comparison), undefined, 2)}\n`,
    html: () => comparisonHtml(comparison),
    text: (look) => comparisonText(comparison, look),
  });
  if (!comparison.thresholds.every(({ held }) => held)) return exitCodes.missed;
  return isWhole ? exitCodes.held : exitCodes.usage;
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
