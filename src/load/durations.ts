/**
 * Numbers with units as people write them: times, rates, sizes, counts, and the stages of a run. Each error is one
 * sentence with the text that was wrong.
 */

import { rangeMistake, typeMistake } from "../values/checks.ts";
import type { Stage } from "./arrivals.ts";

/** The units of time in milliseconds, the greatest first. */
const units: ReadonlyMap<string, number> = new Map([
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
  ["us", 1e-3],
  ["µs", 1e-3],
  ["μs", 1e-3],
  ["ns", 1e-6],
]);

const number = "(\\d+(?:\\.\\d+)?|\\.\\d+)";
const part = new RegExp(`${number} *([a-zµμ]*) *`, "y");

/**
 * Milliseconds of a duration: a number is milliseconds already, a text has units, the greatest first, such as
 * `30s`, `500ms`, `1h30m`, `1.5 s`. The units are d, h, min or m, s, ms, us and ns.
 *
 * @param what how errors call it
 * @throws {TypeError} for what is no duration
 * @throws {RangeError} for a negative or infinite number
 */
export function milliseconds(value: string | number, what = "a duration"): number {
  if (typeof value === "number") return checkedNumber(value, what, "milliseconds");
  const mistake = (): TypeError =>
    typeMistake(`${what} is a time such as 30s, 500ms or 1h30m, not ${shown(value)}`);
  if (typeof value !== "string") throw mistake();
  const text = value.trim();
  if (text === "0") return 0;
  let total = 0;
  let before = Number.POSITIVE_INFINITY;
  let at = 0;
  while (at < text.length) {
    part.lastIndex = at;
    const found = part.exec(text);
    if (found === null) throw mistake();
    const [whole, digits, name] = found as unknown as [string, string, string];
    if (name === "" && whole.length === text.length) {
      throw typeMistake(`${what} has no unit in ${shown(value)}: write ${text}s or ${text}ms`);
    }
    const unit = units.get(name);
    // "30m1h" is more likely a slip than a time.
    if (unit === undefined || unit >= before) throw mistake();
    total += Number(digits) * unit;
    before = unit;
    at += whole.length;
  }
  if (at === 0) throw mistake();
  return checkedNumber(total, what, "milliseconds");
}

/** A duration for reports, with three digits: `230 us`, `1.5 s`; from a minute on with whole seconds: `2 min 30 s`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return String(ms);
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms === 0) return "0 s";
  for (const [unit, size] of smallUnits) {
    const rounded = threeDigits(ms / size);
    if (rounded < 1000) return `${rounded} ${unit}`;
  }
  const inSeconds = threeDigits(ms / 1000);
  if (inSeconds < 60) return `${inSeconds} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return twoUnits(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(ms / 60_000);
  return twoUnits(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

const smallUnits = [
  ["ns", 1e-6],
  ["us", 1e-3],
  ["ms", 1],
] as const;

function threeDigits(value: number): number {
  return Number(value.toPrecision(3));
}

function twoUnits(great: number, greatUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${great} ${greatUnit}` : `${great} ${greatUnit} ${small} ${smallUnit}`;
}

const multiples: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["k", 1000],
  ["K", 1000],
  ["M", 1e6],
  ["G", 1e9],
]);
const per: ReadonlyMap<string, number> = new Map([
  ["/s", 1],
  ["/m", 60],
  ["/min", 60],
  ["/h", 3600],
]);
const rateText = new RegExp(`^${number} *([kKM]?) *(/(?:s|min|m|h))?$`);
const countText = new RegExp(`^${number} *([kKMG]?)$`);
const sizeText = new RegExp(`^${number} *(?:([kKMG])(i?)B?|B)?$`, "i");

/**
 * A rate per second: `20000`, `20k`, `100/m`, `1.5k/s`.
 *
 * @throws {TypeError} for what is no rate
 * @throws {RangeError} for a negative or infinite number
 */
export function perSecond(value: string | number, what = "a rate"): number {
  if (typeof value === "number") return checkedNumber(value, what, "per second");
  const found = typeof value === "string" ? rateText.exec(value.trim()) : null;
  if (found === null) {
    throw typeMistake(`${what} is a rate such as 20000, 20k or 100/m, not ${shown(value)}`);
  }
  const [, digits, multiple = "", unit = "/s"] = found;
  const result = (Number(digits) * multiples.get(multiple)!) / per.get(unit)!;
  return checkedNumber(result, what, "per second");
}

/**
 * A whole number: `10000`, `10k`, `1.5M`.
 *
 * @throws {TypeError} for what is no whole number
 * @throws {RangeError} for a negative number, and for one that is too large to be exact
 */
export function wholeNumber(value: string | number, what = "a count"): number {
  const found = typeof value === "string" ? countText.exec(value.trim()) : null;
  if (typeof value !== "number" && found === null) {
    throw typeMistake(`${what} is a whole number such as 10000 or 10k, not ${shown(value)}`);
  }
  const result = found === null ? Number(value) : scaled(found[1]!, multiples.get(found[2]!)!);
  return checkedWhole(result, value, what);
}

/**
 * Bytes of a size: `65536`, `64KB` (1,000 each), `64KiB` (1,024 each), `1.5MiB`.
 *
 * @throws {TypeError} for what is no size
 * @throws {RangeError} for a negative number, and for one that is too large to be exact
 */
export function bytes(value: string | number, what = "a number of bytes"): number {
  const found = typeof value === "string" ? sizeText.exec(value.trim()) : null;
  if (typeof value !== "number" && found === null) {
    throw typeMistake(`${what} is a size such as 65536, 64KB or 64KiB, not ${shown(value)}`);
  }
  if (found === null) return checkedWhole(Number(value), value, what);
  const [, digits, prefix = "", binary = ""] = found;
  const base = binary === "" ? 1000 : 1024;
  const power = ["", "K", "M", "G"].indexOf(prefix.toUpperCase());
  return checkedWhole(scaled(digits!, base ** power), value, what);
}

/** `1.1` times 1,000 is 1,100, without what binary fractions add. */
function scaled(digits: string, multiple: number): number {
  const product = Number(digits) * multiple;
  const rounded = Math.round(product);
  return Math.abs(product - rounded) < 1e-6 ? rounded : product;
}

/** The most stages of a run. */
export const mostStages = 1000;

/**
 * Stages from a text: `10s:1000,30s:20000` goes from 0 to 1,000 in 10 seconds, and on to 20,000 in 30. `30s=500` stays at 500 from
 * its begin on, and `0s:500` is there at once: so `10s=1000,2s=5000,10s=1000` is a spike.
 *
 * @param kind whether the values are rates per second or numbers of connections
 * @throws {TypeError} for what are no stages
 * @throws {RangeError} for numbers that are out of range
 */
export function parseStages(text: string, kind: "rate" | "connections" = "rate"): Stage[] {
  const stages: Stage[] = [];
  const parts = String(text).split(",");
  if (parts.length > mostStages) {
    throw rangeMistake(`stages are up to ${mostStages}, not ${parts.length}`);
  }
  let value = 0;
  let isMoved = false;
  for (const each of parts) {
    const stage = parsedStage(each, kind);
    if (stage.milliseconds === 0) {
      if (stage.isLevel) {
        throw typeMistake(`the stage ${shown(each)} lasts no time: give it one, such as 10s`);
      }
      isMoved = true;
    } else {
      const from = stage.isLevel ? stage.value : value;
      stages.push({ milliseconds: stage.milliseconds, from, to: stage.value });
      isMoved = false;
    }
    value = stage.value;
  }
  if (isMoved) {
    throw typeMistake(`the stage ${shown(parts.at(-1)!)} comes last, and so has no effect`);
  }
  if (stages.every(({ from, to }) => from === 0 && to === 0)) {
    throw rangeMistake(`the stages ${shown(text)} are 0 all the time`);
  }
  return stages;
}

interface ParsedStage {
  readonly milliseconds: number;
  readonly value: number;
  /** Whether it is at its value from its begin on. */
  readonly isLevel: boolean;
}

function parsedStage(text: string, kind: "rate" | "connections"): ParsedStage {
  const found = /^\s*([^:=]+?)\s*([:=])\s*([^:=]+?)\s*$/.exec(text);
  if (found === null) {
    const example = kind === "rate" ? "30s:20000 or 30s=20000" : "30s:256 or 30s=256";
    throw typeMistake(`a stage is a time and a value, such as ${example}, not ${shown(text)}`);
  }
  const [, time, sign, value] = found as unknown as [string, string, string, string];
  return {
    milliseconds: milliseconds(time, `the time of the stage ${shown(text)}`),
    value:
      kind === "rate"
        ? perSecond(value, `the value of the stage ${shown(text)}`)
        : wholeNumber(value, `the value of the stage ${shown(text)}`),
    isLevel: sign === "=",
  };
}

function checkedNumber(value: number, what: string, unit: string): number {
  if (Number.isNaN(value)) throw typeMistake(`${what} is a number, not NaN`);
  if (value < 0 || value === Number.POSITIVE_INFINITY) {
    throw rangeMistake(`${what} is not negative and not infinite, not ${value} ${unit}`);
  }
  return value;
}

function checkedWhole(result: number, value: string | number, what: string): number {
  if (!Number.isInteger(result)) throw typeMistake(`${what} is a whole number, not ${value}`);
  if (result < 0 || result > Number.MAX_SAFE_INTEGER) {
    throw rangeMistake(`${what} is between 0 and ${Number.MAX_SAFE_INTEGER}, not ${value}`);
  }
  return result;
}

/** A value as it is written in code. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
