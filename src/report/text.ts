/**
 * A report as text for a terminal or a pipe. The verdict comes first, and within it what makes the figures doubtful.
 * The ledger is written as a sum, so that a reader can see that nothing is missing.
 */

import { Histogram } from "../load/histogram.ts";
import type { Ages, Counts, Outcome, Report, ThresholdReport } from "../load/report.ts";
import { checkedInteger, checkedSwitch, ownOptions } from "../values/checks.ts";
import {
  fitted,
  printable,
  shownBytes,
  shownCount,
  shownPercent,
  shownRate,
  shownShare,
  shownTime,
  table,
  wrapped,
} from "./format.ts";
import { type Paint, painter } from "./paint.ts";

/** Options of `reportText`. */
export interface TextOptions {
  /** The columns of the terminal; 80 if not given. Fewer than 80 count as 80, and more than 100 as 100. */
  readonly columns?: number;
  /** Whether colours are used, by the control sequences of terminals. They are not if this is not given. */
  readonly colors?: boolean;
}

const known: ReadonlySet<string> = new Set(["columns", "colors"]);
const [leastColumns, mostColumns] = [80, 100];

/** The first column of all tables. */
const nameColumns = 22;

type Outcomes = Readonly<Record<Outcome, Histogram>>;

const blame =
  "The generator was the bottleneck: these figures say more about the machine that made the load than about the target.";

const percents = [50, 90, 99, 99.9];
const percentTitles = ["p50", "p90", "p99", "p99.9", "max"];

/**
 * The text of a report. Its last line ends with a line feed.
 *
 * @throws {TypeError | RangeError} if an option is unknown or wrong
 */
export function reportText(report: Report, options: TextOptions = {}): string {
  const { columns = leastColumns, colors } = ownOptions(options, known, "reportText");
  checkedInteger(columns, "columns", 1, Number.MAX_SAFE_INTEGER);
  const paint = painter(checkedSwitch(colors, "colors", false));
  const width = Math.min(Math.max(columns, leastColumns), mostColumns);
  const text = new Text(report, width, paint);
  return `${text.lines().join("\n")}\n`;
}

class Text {
  readonly #report: Report;
  readonly #width: number;
  readonly #paint: Paint;

  constructor(report: Report, width: number, paint: Paint) {
    this.#report = report;
    this.#width = width;
    this.#paint = paint;
  }

  lines(): string[] {
    const parts = [
      this.#verdict(),
      this.#search(),
      this.#run(),
      this.#ledger(),
      this.#latencies(),
      this.#failures(),
      this.#steps(),
      this.#checks(),
      this.#generator(),
    ];
    return parts
      .filter((part) => part.length > 0)
      .flatMap((part, index) => (index === 0 ? part : ["", ...part]));
  }

  #verdict(): string[] {
    const { verdict } = this.#report;
    const lines: string[] = [];
    if (verdict.generatorWasBottleneck) {
      lines.push(...this.#wrapped(blame).map(this.#paint.bad));
      for (const reason of verdict.generatorReasons) lines.push(...this.#wrapped(reason, "  "));
      lines.push("");
    }
    const headline = headlineOf(this.#report);
    lines.push(verdict.exitCode === 0 ? this.#paint.good(headline) : this.#paint.bad(headline));
    for (const reason of verdict.reasons) {
      if (!verdict.generatorReasons.includes(reason)) lines.push(...this.#wrapped(reason, "  "));
    }
    return [...lines, ...this.#thresholds(verdict.thresholds)];
  }

  #thresholds(thresholds: readonly ThresholdReport[]): string[] {
    const rows = thresholds.map((threshold) => [
      `  ${threshold.held ? "held  " : "MISSED"}  ${printable(threshold.text)}`,
      judged(threshold),
      threshold.missedAt === undefined ? "" : `first missed at ${shownTime(threshold.missedAt)}`,
    ]);
    const widest = Math.max(...rows.map(([name]) => name!.length), nameColumns);
    return table(rows, widest, this.#width).map((line, index) =>
      thresholds[index]!.held ? line : this.#paint.bad(line),
    );
  }

  #search(): string[] {
    const { search = [] } = this.#report;
    if (search.length === 0) return [];
    const best = search.filter(({ held }) => held).at(-1);
    const result =
      best === undefined ? "no rate held" : `the highest rate that held is ${shownRate(best.rate)}`;
    const rows = search.map(({ rate, held, reason }) => {
      const outcome = held ? "held" : `not held: ${printable(reason ?? "")}`;
      return fitted(`  ${shownRate(rate).padStart(12)}  ${outcome}`, this.#width);
    });
    return [`Search: ${result}`, ...rows];
  }

  #run(): string[] {
    const { plan, ...report } = this.#report;
    const load = [
      plan.shape,
      plan.connections === 1 ? "1 connection" : `${shownCount(plan.connections)} connections`,
      `${plan.threads} ${plan.threads === 1 ? "thread" : "threads"}`,
      ...(plan.isOpenLoop ? [`overload: ${plan.overload}`] : []),
      `seed ${plan.seed}`,
    ];
    const drain = Math.max(report.milliseconds - report.sendingMilliseconds, 0);
    const names = shownTime(report.resolveMilliseconds);
    const connecting = shownTime(report.connectMilliseconds);
    const sending = shownTime(report.sendingMilliseconds);
    const rows: [string, string][] = [
      ["target", plan.target],
      ["scenario", plan.scenario],
      ["load", load.join(", ")],
      ["before", `names ${names}, connecting ${connecting}`],
      ["time", `sending ${sending}, then ${shownTime(drain)} for the last answers`],
      ["rates", this.#rates().join(", ")],
    ];
    const shown = rows.filter(([, value]) => value !== "");
    return shown.flatMap(([name, value]) =>
      this.#wrapped(printable(value), name.padEnd(10), " ".repeat(10)),
    );
  }

  #rates(): string[] {
    const { plan, iterations, requests, sendingMilliseconds } = this.#report;
    const seconds = sendingMilliseconds / 1000;
    if (seconds === 0) return [];
    return [
      ...(plan.isOpenLoop ? [`due ${shownRate(iterations.due / seconds)}`] : []),
      `sent ${shownRate(iterations.sent / seconds)}`,
      `ok ${shownRate((iterations.outcomes.ok ?? 0) / seconds)}`,
      `requests ${shownRate(requests.sent / seconds)}`,
      `received ${shownBytes(requests.bytesReceived / seconds)}/s`,
    ];
  }

  /** Iterations and requests side by side, each as a difference that ends with those that were well. */
  #ledger(): string[] {
    const { iterations, requests, unfinishedAges, unsentAges } = this.#report;
    const failures = namesOf(iterations.outcomes, requests.outcomes).filter(
      (name) => name !== "ok",
    );
    const share = (count: number, whole: number): string =>
      count === 0 ? "" : shownShare(count, whole);
    const both = (sign: string, name: string, left: number, right: number): string[] => [
      `  ${sign} ${printable(name)}`,
      ...[shownCount(left), share(left, iterations.sent)],
      ...[shownCount(right), share(right, requests.sent)],
    ];
    const due = (sign: string, name: string, count: number): string[] => [
      `  ${sign} ${name}`,
      shownCount(count),
      "",
    ];
    const rows = [
      ["Ledger", "iterations", "of sent", "requests", "of sent"],
      due(" ", "due", iterations.due),
      due("-", "dropped, all busy", iterations.droppedBusy),
      due("-", "dropped, too late", iterations.droppedLate),
      due("-", "unsent at the end", iterations.unsent),
      both("=", "sent", iterations.sent, requests.sent),
      ...failures.map((name) =>
        both("-", name, iterations.outcomes[name] ?? 0, requests.outcomes[name] ?? 0),
      ),
      both("-", "unfinished", iterations.unfinished, requests.unfinished),
      both("=", "ok", iterations.outcomes.ok ?? 0, requests.outcomes.ok ?? 0),
    ];
    const lines = this.#titled(table(rows, nameColumns + 2, this.#width));
    if (unfinishedAges !== undefined)
      lines.push(`  Unfinished iterations were sent ${agesOf(unfinishedAges)} before the end.`);
    if (unsentAges !== undefined)
      lines.push(`  Unsent iterations were due ${agesOf(unsentAges)} before the end.`);
    return lines;
  }

  #latencies(): string[] {
    const { latencies, plan } = this.#report;
    const rows = [
      this.#rowOf("response", merged(latencies.response)),
      this.#rowOf("service", merged(latencies.service)),
      ...(plan.isOpenLoop ? [this.#rowOf("wait for connection", latencies.wait)] : []),
      this.#rowOf("requests", merged(latencies.requests)),
      this.#rowOf("connect", latencies.connect),
      ...(latencies.handshake.count > 0 ? [this.#rowOf("TLS handshake", latencies.handshake)] : []),
    ];
    const note = plan.isOpenLoop
      ? "Response times count from when an iteration was due, service times from when it was sent."
      : "In a closed loop a slow answer puts off the next request. So these times hide the waiting that a slow target would cause at a steady rate. An open loop (a rate) measures it.";
    return [
      ...this.#timesTable("Times", rows),
      ...this.#wrapped(note, "  "),
      ...this.#byOutcome("Response by outcome", latencies.response),
      ...this.#byOutcome("Service by outcome", latencies.service),
      ...this.#byOutcome("Requests by outcome", latencies.requests),
    ];
  }

  /** A table with a row for each outcome, if there is another one than `ok`. */
  #byOutcome(title: string, outcomes: Outcomes): string[] {
    const rows = this.#outcomeRows(outcomes, "");
    return rows.length === 0 ? [] : ["", ...this.#timesTable(title, rows)];
  }

  /** A row for each outcome, the most frequent first; none if all is `ok`. */
  #outcomeRows(outcomes: Outcomes, indent: string): string[][] {
    const names = Object.keys(outcomes);
    if (names.every((outcome) => outcome === "ok")) return [];
    return names
      .toSorted((one, other) => outcomes[other]!.count - outcomes[one]!.count)
      .map((outcome) => this.#rowOf(indent + printable(outcome), outcomes[outcome]!));
  }

  #timesTable(title: string, rows: readonly string[][]): string[] {
    const titles = [title, "count", ...(this.#hasMean ? ["mean"] : []), ...percentTitles];
    return this.#titled(table([titles, ...rows], nameColumns, this.#width));
  }

  #rowOf(name: string, histogram: Histogram): string[] {
    const mean = histogram.count === 0 ? "-" : shownTime(histogram.mean);
    return [
      `  ${name}`,
      shownCount(histogram.count),
      ...(this.#hasMean ? [mean] : []),
      ...timesOf(histogram),
    ];
  }

  /** 80 columns have no room for the mean, which says little of latencies. */
  get #hasMean(): boolean {
    return this.#width >= 90;
  }

  #failures(): string[] {
    const { failures } = this.#report;
    if (failures.length === 0) return [];
    const lines = failures.flatMap(({ outcome, count, example }) => {
      const head = `${shownCount(count)} ${printable(outcome)}`;
      if (example === undefined) return this.#wrapped(head, "  ", "    ");
      const { message, code, phase, at, iteration } = example;
      const details = [code, phase].filter((part) => part !== undefined && !message.includes(part));
      const first = `the first at ${shownTime(at)} in iteration ${shownCount(iteration)}: ${message}`;
      const words = details.length === 0 ? first : `${first} (${details.join(", ")})`;
      return this.#wrapped(`${head}, ${printable(words)}`, "  ", "    ");
    });
    return this.#titled(["Failures", ...lines]);
  }

  #steps(): string[] {
    const { steps } = this.#report;
    if (steps.length === 0) return [];
    const rows = steps.flatMap(({ name, outcomes }) => [
      this.#rowOf(printable(name), merged(outcomes)),
      ...this.#outcomeRows(outcomes, "  "),
    ]);
    return this.#timesTable("Steps", rows);
  }

  #checks(): string[] {
    const { checks } = this.#report;
    if (checks.length === 0) return [];
    const rows = checks.map(({ name, passed, failed }) => [
      `  ${printable(name)}`,
      ...[shownCount(passed), shownCount(failed), shownShare(failed, passed + failed)],
    ]);
    const lines = table(
      [["Checks", "passed", "failed", "of all"], ...rows],
      nameColumns,
      this.#width,
    );
    return this.#titled(
      lines.map((line, index) =>
        index > 0 && checks[index - 1]!.failed > 0 ? this.#paint.bad(line) : line,
      ),
    );
  }

  /** Whether the generator kept up: how late it was, and how busy its threads were. */
  #generator(): string[] {
    const { threads, latencies, plan, machine, plait } = this.#report;
    const rows = threads.map(({ thread, sent, cpuShare, lateness }) => [
      `  thread ${thread}`,
      ...[shownCount(sent), shownPercent(cpuShare * 100)],
      ...timesOf(lateness),
    ]);
    const titles = ["Generator: lateness", "sent", "CPU", ...percentTitles];
    const sent = shownCount(this.#report.iterations.sent);
    const all = ["  all", sent, "", ...timesOf(latencies.lateness)];
    const foot = `plait ${plait} (${plan.driver}), Bun ${machine.bun}, ${machine.system}, ${machine.cpus} x ${machine.cpu}`;
    return [
      ...this.#titled(table([titles, all, ...rows], nameColumns, this.#width)),
      ...this.#wrapped(printable(foot), "  "),
    ];
  }

  /** Lines whose first one is a heading. */
  #titled([title, ...rest]: readonly string[]): string[] {
    return [this.#paint.heading(title!), ...rest];
  }

  #wrapped(text: string, first = "", later = first): string[] {
    return wrapped(text, this.#width, first, later);
  }
}

function headlineOf({ verdict, iterations }: Report): string {
  const missed = verdict.thresholds.filter(({ held }) => !held).length;
  const all = verdict.thresholds.length;
  const allHeld = all === 1 ? "the threshold held" : `all ${all} thresholds held`;
  const someMissed = `${missed} of ${all} ${all === 1 ? "threshold" : "thresholds"} missed`;
  const none = "no thresholds were given";
  const thresholds = all === 0 ? none : missed === 0 ? allHeld : someMissed;
  switch (verdict.exitCode) {
    case 0:
      return `Done: ${thresholds}`;
    case 1:
      return `Missed: ${thresholds}`;
    case 3:
      return "Not reached: the target could not be reached";
    case 4:
      return `Not to be trusted: ${thresholds}`;
    case 130:
      return `Interrupted after ${shownCount(iterations.sent)} iterations: ${thresholds}`;
  }
}

function judged({ value, unit }: ThresholdReport): string {
  if (value === undefined) return "nothing to judge";
  switch (unit) {
    case "ms":
      return shownTime(value);
    case "%":
      return shownPercent(value);
    case "/s":
      return shownRate(value);
    case "":
      return shownCount(value);
  }
}

/** All outcomes of two sets of counts, the most frequent first. */
function namesOf(left: Counts, right: Counts): Outcome[] {
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  const weight = (name: Outcome): number => (left[name] ?? 0) + (right[name] ?? 0);
  return names.toSorted((one, other) => weight(other) - weight(one));
}

/** All outcomes together. */
function merged(outcomes: Outcomes): Histogram {
  const all = new Histogram();
  for (const histogram of Object.values(outcomes)) all.merge(histogram);
  return all;
}

/** The percentiles of the tables, and the greatest value. */
function timesOf(histogram: Histogram): string[] {
  if (histogram.count === 0) return percentTitles.map(() => "-");
  return [...histogram.percentiles(percents), histogram.most].map(shownTime);
}

function agesOf({ least, most }: Ages): string {
  return least === most ? shownTime(least) : `${shownTime(least)} to ${shownTime(most)}`;
}
