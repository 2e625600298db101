/** Errors in a form that can be cloned to another thread. */

import { TlsError } from "../tls/errors.ts";
import { CancelledError, SocketError, TimeoutError } from "../values/errors.ts";
import { isInstance, propertyOf, textOf } from "../values/foreign_values.ts";

/**
 * An error in a form that can be cloned. Structured cloning would lose its class and its own properties.
 */
export type ErrorReport =
  | { isError: false; value: unknown }
  | {
      isError: true;
      name: string;
      /** Its own properties that are not objects. */
      details: Record<string, unknown>;
      /** Its message and stack, its cause and further errors, which are not enumerable. */
      hidden: Record<string, ErrorReport | ErrorReport[]>;
      /** The certificate of a `TlsError`, in DER. */
      certificate: Uint8Array | undefined;
    };

const textNames = ["message", "stack"] as const;
const otherNames = ["cause", "error", "errors", "suppressed"] as const;

/** Bounds for the values that one error leads to, and for their depth: there may be no end. */
const mostValues = 1000;
const deepest = 50;

export function reportOf(error: unknown): ErrorReport {
  return new Reporter().report(error, 0);
}

class Reporter {
  readonly #seen = new Set<unknown>();
  #left = mostValues;

  report(error: unknown, depth: number): ErrorReport {
    this.#left--;
    // A chain of causes may lead back to its beginning.
    if (!isInstance(error, Error) || this.#seen.has(error)) {
      return { isError: false, value: cloneOf(error) };
    }
    if (depth === deepest || this.#left < 0) return { isError: false, value: textOf(error) };
    this.#seen.add(error);
    const hidden: Record<string, ErrorReport | ErrorReport[]> = {};
    for (const name of textNames) {
      const value = propertyOf(error, name);
      if (value !== undefined) hidden[name] = { isError: false, value: textOf(value) };
    }
    for (const name of otherNames) {
      const value = propertyOf(error, name);
      const list = listIn(value, this.#left);
      if (list !== undefined) hidden[name] = list.map((item) => this.report(item, depth + 1));
      else if (value !== undefined) hidden[name] = this.report(value, depth + 1);
    }
    return {
      isError: true,
      name: textOf(propertyOf(error, "name")),
      details: detailsOf(error),
      hidden,
      certificate: certificateOf(error),
    };
  }
}

/** The first items of an array; undefined for another value. */
function listIn(value: unknown, most: number): unknown[] | undefined {
  try {
    if (!Array.isArray(value)) return undefined;
    const length = Math.max(Math.min(value.length, most), 0);
    return Array.from({ length }, (_, index) => value[index]);
  } catch {
    return undefined;
  }
}

/** The own properties of an error that are not objects. */
function detailsOf(error: Error): Record<string, unknown> {
  const details: Record<string, unknown> = {};
  try {
    for (const name of Object.keys(error)) {
      const value = propertyOf(error, name);
      if (!["function", "object", "symbol"].includes(typeof value)) details[name] = value;
    }
  } catch {
    // A proxy may throw.
  }
  return details;
}

function certificateOf(error: Error): Uint8Array | undefined {
  if (!isInstance(error, TlsError)) return undefined;
  try {
    const der = error.certificate?.raw;
    return der && new Uint8Array(der);
  } catch {
    return undefined;
  }
}

function cloneOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return textOf(value);
  }
}

/** By the name of the class. It is a Map, since an error may be named `constructor`. */
const prototypes: ReadonlyMap<string, Error> = new Map(
  Object.entries({
    AggregateError,
    CancelledError,
    RangeError,
    SocketError,
    SuppressedError,
    SyntaxError,
    TimeoutError,
    TypeError,
  }).map(([name, { prototype }]) => [name, prototype as Error]),
);

export function errorOf(report: ErrorReport): unknown {
  if (!report.isError) return report.value;
  const { name, details, hidden, certificate } = report;
  const error =
    name === "TlsError" ? new TlsError(String(details.code), {}, certificate) : new Error();
  const prototype = prototypes.get(name);
  if (prototype !== undefined) Object.setPrototypeOf(error, prototype);
  const define = (key: string, value: unknown): void => {
    Object.defineProperty(error, key, { value, configurable: true, writable: true });
  };
  define("name", name);
  for (const [key, value] of Object.entries(hidden)) {
    define(key, Array.isArray(value) ? value.map(errorOf) : errorOf(value));
  }
  return Object.assign(error, details);
}
