/** A comparison of reports as text for a terminal or a pipe. */

import { checkedInteger, checkedSwitch, ownOptions } from "../values/checks.ts";
import type { Change, Comparison, QuantityUnit } from "./compare.ts";
import { printable, shownPercent, shownRate, shownTime, table, wrapped } from "./format.ts";
import { type Paint, painter } from "./paint.ts";
import type { TextOptions } from "./text.ts";

const known: ReadonlySet<string> = new Set(["columns", "colors"]);
const [leastColumns, mostColumns] = [80, 120];

/** What the measure of noise means. */
export const explanation =
  "Noise: the intervals of both runs are drawn at random, again and again, and 95 of 100 drawings have a change in this range. " +
  "If 0 is in it, chance alone can explain the change. A third run on another day can differ by more.";

/**
 * The text of a comparison: a table for each run that is compared with the first one.
 *
 * @throws {TypeError | RangeError} if an option is unknown or wrong
 */
export function comparisonText(comparison: Comparison, options: TextOptions = {}): string {
  const { columns = leastColumns, colors } = ownOptions(options, known, "comparisonText");
  checkedInteger(columns, "columns", 1, Number.MAX_SAFE_INTEGER);
  const paint = painter(checkedSwitch(colors, "colors", false));
  const width = Math.min(Math.max(columns, leastColumns), mostColumns);
  const { runs, warnings, thresholds } = comparison;
  const parts: string[][] = [
    warnings.flatMap((each) => {
      const lines = wrapped(`Warning: ${printable(each)}`, width, "", "  ");
      return lines.map((line) => paint.bad(line));
    }),
    ...runs.slice(1).map((_, index) => tableOf(comparison, index, width)),
    thresholds.map((each) => thresholdLine(each, paint)),
    wrapped(explanation, width),
  ];
  const present = parts.filter((part) => part.length > 0).map((part) => part.join("\n"));
  return `${present.join("\n\n")}\n`;
}

function tableOf({ runs, quantities }: Comparison, index: number, width: number): string[] {
  const [first, run] = [runs[0]!, runs[index + 1]!].map(({ name }) => printable(name));
  const rows = quantities.map(({ name, unit, values, changes }) => [
    name,
    valueText(values[0], unit),
    valueText(values[index + 1], unit),
    changeText(changes[index], unit),
    noiseText(changes[index], unit),
    verdictText(changes[index]),
  ]);
  const titles = ["", "first", "second", "change", "noise (95 %)", ""];
  return [
    ...wrapped(`${run} against ${first}`, width, "", "  "),
    ...table([titles, ...rows], 14, width),
  ];
}

function thresholdLine(
  { text, run, held, value, unit, isWithinNoise }: Comparison["thresholds"][number],
  paint: Paint,
): string {
  const word = held ? paint.good("held  ") : paint.bad("missed");
  const change = value === undefined ? "nothing to compare" : `${signed(value)} ${unit}`;
  const doubt = isWithinNoise ? ", within the noise" : "";
  return `${word}  ${printable(text)}  ${printable(run)}: ${change}${doubt}`;
}

export function valueText(value: number | undefined, unit: QuantityUnit): string {
  if (value === undefined) return "-";
  if (unit === "ms") return shownTime(value);
  return unit === "%" ? shownPercent(value) : shownRate(value);
}

/** In percent; of errors in percentage points. */
export function changeText(change: Change | undefined, unit: QuantityUnit): string {
  if (change === undefined) return "-";
  if (unit === "%") return `${signed(change.difference)} points`;
  return change.percent === undefined ? "from 0" : `${signed(change.percent)} %`;
}

export function noiseText(change: Change | undefined, unit: QuantityUnit): string {
  if (change?.noise === undefined) return "-";
  const [low, high] = change.noise;
  return `${signed(low)} to ${signed(high)} ${unit === "%" ? "points" : "%"}`;
}

function verdictText(change: Change | undefined): string {
  if (change === undefined) return "-";
  return { better: "better", worse: "worse", same: "noise", unknown: "unknown" }[change.verdict];
}

/** With its sign, and digits for its size. */
export function signed(value: number): string {
  const text = value.toFixed(Math.abs(value) < 1 ? 2 : Math.abs(value) < 100 ? 1 : 0);
  return Number(text) === 0 ? "0" : value > 0 ? `+${text}` : text;
}
