/** What the live view shows of a moment, as lines of text. */

import type { Histogram } from "../load/histogram.ts";
import type { Progress } from "../load/progress.ts";
import { fitted, printable, shownBytes, shownCount, shownRate, shownTime } from "./format.ts";
import type { Paint } from "./paint.ts";

/** The numbers of a moment. They are kept to be drawn again when the terminal has another size. */
export interface Frame {
  readonly title: string;
  readonly phase: Progress["phase"];
  readonly elapsed: number;
  /** The part of the run that is over, from 0 to 1; undefined if that is not known. */
  readonly share: number | undefined;
  /** Such as `3.00 s of 8.00 s`. */
  readonly time: string;
  readonly wantedRate: number | undefined;
  /** Iterations and bytes per second since the last frame. */
  readonly sentRate: number;
  readonly okRate: number;
  readonly byteRate: number;
  /** Times since the last frame, in milliseconds. */
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
  readonly lateness: Readonly<Record<"count" | "p99" | "most", number>>;
  readonly inFlight: number;
  readonly queued: number;
  readonly connections: number;
  /** Since the start of the run. */
  readonly dropped: number;
  readonly failures: readonly (readonly [outcome: string, count: number])[];
  readonly threads: readonly number[];
  readonly generatorReasons: readonly string[];
}

/** What has come since the last frame: of one interval, or of several if they come faster than frames are drawn. */
export interface Recent {
  readonly milliseconds: number;
  readonly sent: number;
  readonly ok: number;
  readonly bytes: number;
  readonly response: Histogram;
  readonly lateness: Histogram;
}

/** How the terminal shows it. */
export interface Look {
  readonly columns: number;
  readonly paint: Paint;
  /** The steps of a sparkline, from the least to the greatest. */
  readonly steps: string;
}

export function frameOf(progress: Progress, recent: Recent): Frame {
  const { plan, interval, totals, elapsed, plannedMilliseconds, plannedIterations } = progress;
  const { iterations } = totals;
  const perSecond = (count: number): number =>
    recent.milliseconds === 0 ? 0 : (count / recent.milliseconds) * 1000;
  const [p50, p99] = recent.response.percentiles([50, 99]) as [number, number];
  const failures = Object.entries(iterations.outcomes).filter(([outcome]) => outcome !== "ok");
  const { share, time } = planned(elapsed, plannedMilliseconds, iterations.sent, plannedIterations);
  return {
    title: `plait load ${plan.target}: ${plan.shape}, ${shownCount(plan.connections)} connections`,
    phase: progress.phase,
    ...{ elapsed, share, time },
    wantedRate: progress.wantedRate,
    sentRate: perSecond(recent.sent),
    okRate: perSecond(recent.ok),
    byteRate: perSecond(recent.bytes),
    ...{ count: recent.response.count, p50, p99, most: recent.response.most },
    lateness: recent.lateness.numbers(),
    inFlight: interval.inFlight,
    queued: interval.queued,
    connections: interval.connections,
    dropped: iterations.droppedBusy + iterations.droppedLate,
    failures: failures.toSorted(([, left], [, right]) => right - left),
    threads: interval.threads,
    generatorReasons: progress.generatorReasons,
  };
}

function planned(
  elapsed: number,
  milliseconds: number | undefined,
  sent: number,
  iterations: number | undefined,
): Pick<Frame, "share" | "time"> {
  if (milliseconds !== undefined && milliseconds > 0) {
    const time = `${seconds(elapsed)} of ${seconds(milliseconds)}`;
    return { share: Math.min(elapsed / milliseconds, 1), time };
  }
  if (iterations !== undefined && iterations > 0) {
    const time = `${shownCount(sent)} of ${shownCount(iterations)} in ${seconds(elapsed)}`;
    return { share: Math.min(sent / iterations, 1), time };
  }
  return { share: undefined, time: seconds(elapsed) };
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** The view of a terminal. No line is longer than the terminal is wide. */
export function viewLines(frame: Frame, history: readonly Frame[], look: Look): string[] {
  const { columns, paint } = look;
  const { p50, p99, most, lateness } = frame;
  const time = (milliseconds: number): string => shownIf(frame.count > 0, milliseconds);
  const late = (milliseconds: number): string => shownIf(lateness.count > 0, milliseconds);
  const wanted = frame.wantedRate === undefined ? [] : [`wanted ${shownRate(frame.wantedRate)}`];
  const rows = [
    ["rate", ...wanted, `sent ${shownRate(frame.sentRate)}`, `ok ${shownRate(frame.okRate)}`],
    ["response", `p50 ${time(p50)}`, `p99 ${time(p99)}`, `max ${time(most)}`],
    [
      "now",
      `in flight ${shownCount(frame.inFlight)}`,
      `queued ${shownCount(frame.queued)}`,
      `connections ${shownCount(frame.connections)}`,
      `${shownBytes(frame.byteRate)}/s`,
    ],
    [
      "generator",
      `late p99 ${late(lateness.p99)}`,
      `max ${late(lateness.most)}`,
      `CPU ${frame.threads.map(shownCpu).join(", ")}`,
    ],
  ];
  // Columns of their own keep the numbers in their place while they change.
  const texts = rows.map(([name, ...cells]) =>
    [name!.padEnd(10), ...cells.map((cell) => cell.padEnd(18))].join("").trimEnd(),
  );
  const [rate, response, ...others] = texts as [string, string, ...string[]];
  const failed = failuresText(frame);
  return [
    paint.heading(fitted(printable(frame.title), columns)),
    fitted(bar(frame, columns), columns),
    withSparkline(
      rate,
      history.map((one) => one.sentRate),
      look,
    ),
    withSparkline(
      response,
      history.map((one) => one.p99),
      look,
    ),
    ...others.map((line) => fitted(line, columns)),
    failed === "" ? "errors    none" : paint.bad(fitted(`errors    ${failed}`, columns)),
    ...frame.generatorReasons.map((reason) =>
      paint.bad(fitted(`generator ${printable(reason)}`, columns)),
    ),
  ];
}

/** A time, or a dash if there was none. */
function shownIf(isThere: boolean, milliseconds: number): string {
  return isThere ? shownTime(milliseconds) : "-";
}

function shownCpu(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function bar({ share, time, phase }: Frame, columns: number): string {
  const note = phase === "draining" ? `${time}, waiting for the last answers` : time;
  if (share === undefined) return note;
  const width = Math.min(Math.max(columns - 50, 10), 40);
  const done = Math.round(share * width);
  return `[${"=".repeat(done)}${" ".repeat(width - done)}] ${note}`;
}

/** Appends a sparkline of the latest values, as long as the line has room for. */
function withSparkline(text: string, values: readonly number[], look: Look): string {
  const line = text.padEnd(62);
  const room = Math.min(look.columns - Bun.stringWidth(line) - 3, 60);
  if (room < 4) return fitted(text, look.columns);
  return `${line}   ${look.paint.faint(sparkline(values.slice(-room), look.steps))}`;
}

/** A character for each value, from the lowest step for 0 to the highest one for the greatest of the values. */
export function sparkline(values: readonly number[], steps: string): string {
  const most = Math.max(...values, 0);
  const characters = [...steps];
  const last = characters.length - 1;
  return values
    .map((value) => characters[most === 0 ? 0 : Math.round((value / most) * last)])
    .join("");
}

function failuresText({ failures, dropped }: Frame): string {
  const all = failures.reduce((sum, [, count]) => sum + count, 0);
  const kinds = failures.map(([outcome, count]) => `${printable(outcome)} ${shownCount(count)}`);
  return [
    ...(all > 0 ? [`${shownCount(all)}: ${kinds.join(", ")}`] : []),
    ...(dropped > 0 ? [`${shownCount(dropped)} dropped`] : []),
  ].join("; ");
}

/** A moment in one line, for a file or a pipe. */
export function plainLine(frame: Frame): string {
  const time = (milliseconds: number): string => shownIf(frame.count > 0, milliseconds);
  const wanted = frame.wantedRate === undefined ? "" : ` of ${shownRate(frame.wantedRate)}`;
  const failed = failuresText(frame);
  const cpu = frame.threads.reduce((sum, share) => sum + share, 0);
  return [
    `${seconds(frame.elapsed)}${frame.phase === "draining" ? " (draining)" : ""}`,
    `${shownRate(frame.sentRate)}${wanted}`,
    `p50 ${time(frame.p50)}`,
    `p99 ${time(frame.p99)}`,
    `max ${time(frame.most)}`,
    `in flight ${shownCount(frame.inFlight)}`,
    `queued ${shownCount(frame.queued)}`,
    `late p99 ${shownIf(frame.lateness.count > 0, frame.lateness.p99)}`,
    `CPU ${shownCpu(cpu)}`,
    failed === "" ? "no errors" : `errors ${failed}`,
  ].join("  ");
}
