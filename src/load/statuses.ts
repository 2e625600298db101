/** The statuses that a run expects: those that are no failure. */

import { checkedInteger, typeMistake } from "../values/checks.ts";

/** A status, or all from one to another. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** One status, several, or a text such as `"200,3xx,400-404"`. */
export type Statuses = number | string | readonly number[];

/** All that say success, or lead elsewhere. */
const usual: readonly StatusRange[] = [{ from: 200, to: 399 }];

/**
 * Reads statuses; without any those below 400.
 *
 * @param what how errors call them
 * @throws {TypeError} {RangeError}
 */
export function statusRanges(given: Statuses | undefined, what = "expect"): readonly StatusRange[] {
  if (given === undefined) return usual;
  if (typeof given === "string") return parsed(given, what);
  const list = typeof given === "number" ? [given] : given;
  if (!Array.isArray(list) || list.length === 0) {
    throw typeMistake(`${what} is a status, several, or a text such as 200,3xx,400-404`);
  }
  return list.map((status: unknown) => {
    const checked = checkedInteger(status, `a status of ${what}`, 200, 999);
    return { from: checked, to: checked };
  });
}

function parsed(text: string, what: string): StatusRange[] {
  return text.split(",").map((part) => {
    const found = /^\s*(?:([1-9])xx|([1-9]\d\d)(?:-([1-9]\d\d))?)\s*$/i.exec(part);
    if (found === null) {
      throw typeMistake(`${what} is statuses such as 200,3xx,400-404, not "${text}"`);
    }
    const [, group, first, last] = found;
    const from = group === undefined ? Number(first) : Number(group) * 100;
    const to = group === undefined ? Number(last ?? first) : from + 99;
    if (to < from) throw typeMistake(`${what}: ${part.trim()} ends before it begins`);
    return { from, to };
  });
}

export function isExpected(status: number, ranges: readonly StatusRange[]): boolean {
  for (const { from, to } of ranges) if (status >= from && status <= to) return true;
  return false;
}
