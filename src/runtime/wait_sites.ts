/**
 * The place in the program where each wait began, for errors and dumps. The error of a wait is made when
 * the core wakes it, and its stack has nothing of that place. To record the place takes longer than most
 * waits: so it is done only with `PLAIT_STACKS=1`, for finding mistakes.
 */

import { join } from "node:path";
import { environmentVariable } from "../core/environment.ts";
import { isInstance, propertyOf, textOf } from "../values/foreign_values.ts";

/** Whether places are recorded. */
export const keepsSites = environmentVariable("PLAIT_STACKS") !== undefined;

const sites = new WeakMap<object, string[]>();

/** In a bundle plait's frames look like the program's. */
const ownFolder = /^wait_sites\.[jt]s$/.test(import.meta.file)
  ? join(import.meta.dir, "..", "/")
  : undefined;

/** Records where a wait has begun. */
export function keepSite(wait: object): void {
  const frames = stackOf(new Error())
    .split("\n")
    .filter((line) => /^ +at /.test(line));
  const isTheirs = (frame: string): boolean =>
    !/\((?:unknown|native|node:[^)]*)\)$/.test(frame) &&
    (ownFolder === undefined || !frame.includes(ownFolder));
  sites.set(wait, frames.filter(isTheirs));
}

/** The frame that waits, as `dump` shows it. */
export function siteOf(wait: object): string {
  return sites.get(wait)?.[0]?.trim() ?? "";
}

/** Puts the place of the wait into the error's stack. */
export function addSite(error: unknown, wait: object): void {
  const frames = sites.get(wait);
  if (frames === undefined || !isInstance(error, Error)) return;
  const [message] = (stackOf(error) || textOf(error)).split(/\n +at /, 1);
  const value = [message, ...frames].join("\n");
  Reflect.defineProperty(error, "stack", { value, configurable: true, writable: true });
}

/** `Error.prepareStackTrace` may be a function of the program, and return anything. */
function stackOf(error: Error): string {
  const stack = propertyOf(error, "stack");
  return typeof stack === "string" ? stack : "";
}
