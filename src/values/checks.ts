/**
 * Checks of arguments. A caller's mistake throws a TypeError or a RangeError, before the call does
 * anything.
 */

import { isAbortSignal } from "./abort_signals.ts";

/** Adds one of Node's codes to an error. */
function mistake<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code });
}

export function typeMistake(message: string): TypeError {
  return mistake(new TypeError(message), "ERR_INVALID_ARG_TYPE");
}

export function rangeMistake(message: string): RangeError {
  return mistake(new RangeError(message), "ERR_OUT_OF_RANGE");
}

/** A value as it is written in code, so that an error tells "80" from 80. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** A whole number between two bounds, which may be either of them. Errors call it `what`. */
export function checkedInteger(value: unknown, what: string, least: number, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw typeMistake(`${what} is a whole number, not ${shown(value)}`);
  }
  if (value < least || value > most) {
    throw rangeMistake(`${what} is between ${least} and ${most}, not ${value}`);
  }
  return value;
}

export function checkedPort(port: unknown): number {
  return checkedInteger(port, "a port", 0, 65_535);
}

/** Checks an option that limits how many there are at a time. Undefined is no limit. */
export function checkLimit(value: unknown, what: string): void {
  if (value !== undefined) checkedInteger(value, what, 1, Number.MAX_SAFE_INTEGER);
}

/** An option that is true or false; `otherwise` if it is not given. */
export function checkedSwitch(value: unknown, what: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw typeMistake(`${what} is true or false`);
  return value;
}

export function checkedAbortSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || isAbortSignal(signal)) return signal;
  throw typeMistake("signal is an AbortSignal");
}

export function checkFunction(value: unknown, what: string): void {
  if (value !== undefined && typeof value !== "function")
    throw typeMistake(`${what} is a function`);
}

/** Refuses options that have no effect together with another one. */
export function refuseOptions<Options extends object>(
  options: Options,
  names: readonly (keyof Options & string)[],
  beside: string,
): void {
  for (const name of names) {
    if (options[name] !== undefined) throw typeMistake(`${name} has no meaning with ${beside}`);
  }
}

/**
 * The options that a caller has given, as plait reads them: a copy of the object's own properties,
 * each read once, without those that are undefined. The copy has no prototype, so that a property
 * of `Object.prototype` is never taken for an option. Other objects of options that plait makes
 * have none either.
 *
 * @throws {TypeError} for an option that is unknown, and for one that the object inherits from a
 *   class or another object, which would otherwise have no effect
 */
export function ownOptions<Options extends object>(
  options: Options,
  known: ReadonlySet<string>,
  what: string,
): Options {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw typeMistake(`${what} takes an object of options`);
  }
  refuseInherited(options, known, what);
  const own: Record<string, unknown> = Object.create(null);
  for (const name of Object.getOwnPropertyNames(options)) {
    if (known.has(name)) {
      const value = (options as Record<string, unknown>)[name];
      if (value !== undefined) own[name] = value;
    } else if (Object.prototype.propertyIsEnumerable.call(options, name)) {
      throw typeMistake(`${what} has no option "${name}"`);
    }
  }
  return own as Options;
}

/**
 * The options of several objects in one; without any, no options. Those of a later object replace those
 * of an earlier one.
 */
export function joinedOptions<Options extends object>(...parts: Partial<Options>[]): Options {
  return Object.assign(Object.create(null), ...parts) as Options;
}

function refuseInherited(options: object, known: ReadonlySet<string>, what: string): void {
  let owner: object | null = Object.getPrototypeOf(options);
  for (; owner !== null && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const name of known) {
      if (Object.hasOwn(owner, name)) {
        throw typeMistake(`${what}: the option "${name}" is inherited, not the object's own`);
      }
    }
  }
}
