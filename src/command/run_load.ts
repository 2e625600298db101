/** `plait load`: a run with its live view, its files, and its report at the end. */

import { writeFileSync } from "node:fs";
import type { LoadOptions } from "../load/options.ts";
import type { ProgressListener } from "../load/progress.ts";
import type { Report } from "../load/report.ts";
import type { Run } from "../load/run.ts";
import { searchRate } from "../load/search.ts";
import { prepareRun } from "../load/start.ts";
import { signals } from "../process/signals.ts";
import { CsvLog } from "../report/csv.ts";
import { HdrLog } from "../report/hdr_log.ts";
import { htmlReport } from "../report/html.ts";
import { reportJson } from "../report/json.ts";
import { LiveView } from "../report/live.ts";
import { PrometheusEndpoint } from "../report/prometheus_endpoint.ts";
import { reportText } from "../report/text.ts";
import type { LoadCommand } from "./arguments.ts";
import { commandText } from "./command_text.ts";
import { optionsOfCommand } from "./load_options.ts";

/** What takes the numbers of each interval. */
interface Output {
  readonly write: ProgressListener;
  close(): void | Promise<void>;
}

/** Makes the load, writes the reports, and returns the exit code. */
export async function runLoad(command: LoadCommand, words: readonly string[]): Promise<number> {
  const text = `plait ${commandText(words)}`;
  const { options, notes } = await optionsOfCommand(command);
  await using stack = new AsyncDisposableStack();
  const outputs = await outputsOf(command, text, stack);
  const view = command.quiet
    ? undefined
    : new LiveView(process.stderr, { colors: isColored(command, process.stderr) });
  if (view !== undefined) outputs.push(view);
  const say = (line: string): void => {
    if (view === undefined) console.error(line);
    else view.note(line);
  };
  for (const note of notes) say(note);
  const onProgress: ProgressListener = (progress) => {
    for (const output of outputs) output.write(progress);
  };
  let run: Run | undefined;
  const runWith = async (more: Partial<LoadOptions>): Promise<Report> => {
    run = prepareRun({ ...options, ...more, onProgress }, undefined, 0);
    run.command = text;
    return await run.execute();
  };
  using interrupts = signals("SIGINT", "SIGTERM");
  const interrupting = (async () => {
    if ((await interrupts.next()) === null) return;
    say("plait: no more is begun; what is under way may still end (once more: end at once)");
    run?.stop();
    if ((await interrupts.next()) !== null) run?.end();
  })();
  let report: Report;
  try {
    report =
      command.search === undefined
        ? await runWith({})
        : await searchRate(command.search, async (rate) => {
            say(`search: ${Math.round(rate)}/s`);
            return await runWith({ rate });
          });
  } finally {
    interrupts.close();
    await interrupting;
    view?.close();
  }
  await stack.disposeAsync();
  writeReports(command, report);
  return report.verdict.exitCode;
}

async function outputsOf(
  { hlog, csv, prometheus }: LoadCommand,
  text: string,
  stack: AsyncDisposableStack,
): Promise<Output[]> {
  const outputs: Output[] = [];
  if (hlog !== undefined) outputs.push(new HdrLog(hlog, text));
  if (csv !== undefined) outputs.push(new CsvLog(csv));
  if (prometheus !== undefined) {
    const { host, port } = prometheus;
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const endpoint = await PrometheusEndpoint.open(address);
    console.error(`metrics: ${endpoint.url}`);
    outputs.push(endpoint);
  }
  for (const output of outputs) stack.defer(() => output.close());
  return outputs;
}

/** Writes what is asked for. The text goes where no other report goes. */
function writeReports(command: LoadCommand, report: Report): void {
  const { json, html, color } = command;
  if (json !== undefined) write(json, reportJson(report));
  if (html !== undefined) write(html, htmlReport(report));
  const isTaken = [json, html, command.csv, command.hlog].includes("-");
  const output = isTaken ? process.stderr : process.stdout;
  output.write(
    reportText(report, {
      columns: output.columns || 80,
      colors: color && isColored(command, output),
    }),
  );
}

function write(path: string, text: string): void {
  if (path === "-") process.stdout.write(text);
  else writeFileSync(path, text);
}

/** Colours are for terminals, and NO_COLOR refuses them (no-color.org). */
function isColored({ color }: LoadCommand, { isTTY }: { readonly isTTY?: boolean }): boolean {
  return color && isTTY === true && !process.env.NO_COLOR;
}
