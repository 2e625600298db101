/**
 * Where in the program it is waited, for errors and dumps. An error of a wait is made when the core says
 * so, not where it was waited, and its stack knows nothing of that. To find out takes longer than most
 * waits have to: so it is for whoever looks for a mistake, with `PLAIT_STACKS=1`.
 */

import { join } from "node:path";
import { environmentVariable } from "../core/environment.ts";
import { isInstance, propertyOf, textOf } from "../values/foreign_values.ts";

/** Whether anybody wants to know. */
export const keepsSites = (environmentVariable("PLAIT_STACKS") ?? "") !== "";

const sites = new WeakMap<object, string[]>();

/** In a bundle plait's frames cannot be told from the program's. */
const ownFolder =
  import.meta.file === "wait_sites.ts" ? join(import.meta.dir, "..", "/") : undefined;

/** Remembers where a wait has begun. */
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

/** Puts where it was waited below where the error was made. */
export function addSite(error: unknown, wait: object): void {
  const frames = sites.get(wait);
  if (frames === undefined || !isInstance(error, Error)) return;
  const [message] = (stackOf(error) || textOf(error)).split(/\n +at /, 1);
  const value = [message, ...frames].join("\n");
  Reflect.defineProperty(error, "stack", { value, configurable: true, writable: true });
}

/** `Error.prepareStackTrace` may be the program's, and return anything. */
function stackOf(error: Error): string {
  const stack = propertyOf(error, "stack");
  return typeof stack === "string" ? stack : "";
}
