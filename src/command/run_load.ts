/** `plait load`: a run with its live view, its files, and its report at the end. */

import type { LoadOptions } from "../load/options.ts";
import type { ProgressListener } from "../load/progress.ts";
import type { Report } from "../load/report.ts";
import type { Run } from "../load/run.ts";
import { searchRate } from "../load/search.ts";
import { prepareRun } from "../load/start.ts";
import { signals } from "../process/signals.ts";
import { LiveView } from "../report/live.ts";
import { reportText } from "../report/text.ts";
import type { LoadCommand } from "./arguments.ts";
import { commandText } from "./command_text.ts";
import { exitCodes } from "./exit_codes.ts";
import { optionsOfCommand } from "./load_options.ts";
import { Outputs } from "./outputs.ts";
import { lookOf, textStream, written } from "./streams.ts";

/** Makes the load, writes the reports, and returns the exit code. */
export async function runLoad(command: LoadCommand, words: readonly string[]): Promise<number> {
  const text = `plait ${commandText(words)}`;
  const { options, notes } = await optionsOfCommand(command);
  await using outputs = await Outputs.open(command, text);
  const view = command.quiet
    ? undefined
    : new LiveView(process.stderr, { colors: lookOf(process.stderr, command.color).colors });
  const say = (line: string): void => {
    if (view === undefined) console.error(line);
    else view.note(line);
  };
  for (const note of notes) say(note);
  if (outputs.metrics !== undefined) say(`metrics: ${outputs.metrics}`);
  const onProgress: ProgressListener = (progress) => {
    outputs.write(progress);
    view?.write(progress);
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
  const incomplete = await outputs.finish(report);
  const error = await show(command, report);
  if (error !== undefined) incomplete.push(`the report cannot be written: ${error.message}`);
  for (const sentence of incomplete) console.error(`plait: ${sentence}`);
  const { exitCode } = report.verdict;
  return exitCode === exitCodes.held && incomplete.length > 0 ? exitCodes.usage : exitCode;
}

/** Writes the text of a report where no other report goes. */
async function show(
  { json, html, csv, hlog, color }: LoadCommand,
  report: Report,
): Promise<Error | undefined> {
  const output = textStream([json, html, csv, hlog]);
  const text = reportText(report, lookOf(output, color));
  return await written(output, text);
}
