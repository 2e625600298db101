/** What the main thread and the workers of a cluster say to each other, and how errors are told. */

import type { MessagePort } from "node:worker_threads";
import type { DumpSignal } from "../dump_signal.ts";
import { CancelledError, SocketError, TimeoutError } from "../errors.ts";
import type { ListenOptions } from "../listener.ts";
import { TlsError } from "../tls/errors.ts";
import type { TlsOptions } from "../tls/options.ts";

/** What a worker is given at its start, under this name in `workerData`. */
export const assignmentKey = "plaitCluster";

export interface Assignment {
  port: MessagePort;
  /** The handler's module; undefined when it is the worker's own script. */
  module: string | undefined;
  worker: number;
  workers: number;
  data: unknown;
  listen: Pick<ListenOptions, "host" | "port" | "backlog" | "maxConnections" | "maxHandshakes"> & {
    tls?: TlsOptions | undefined;
  };
  /** Whether the main thread wants to be told of handlers' errors. */
  forwardsErrors: boolean;
  dumpSignals: readonly DumpSignal[];
  /** Set by the first instance of plait in the thread that sees it. */
  isTaken?: boolean;
}

export type Question =
  | { what: "stats" }
  | { what: "dump" }
  | { what: "setTls"; tls: TlsOptions }
  | { what: "close"; deadline: number; cancel: ErrorReport | undefined };

/** To a worker. A question has a number, by which its answer is known. */
export type Request = (Question & { id: number }) | { what: "dumpSignal"; signal: DumpSignal };

/** From a worker. */
export type Report =
  | { kind: "listening" }
  | { kind: "failed"; error: ErrorReport }
  | { kind: "error"; error: ErrorReport }
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "refusal"; id: number; error: ErrorReport };

/** An error as it can be cloned: cloning alone would lose its class and what it has beside a message. */
export type ErrorReport =
  | { isError: false; value: unknown }
  | {
      isError: true;
      name: string;
      message: string;
      stack: string | undefined;
      details: Record<string, unknown>;
      /** Its cause, and lists of further errors. */
      others: Record<string, ErrorReport | ErrorReport[]>;
      /** The certificate that a `TlsError` shows, in DER. */
      certificate: Uint8Array | undefined;
    };

const namesOfOthers = ["cause", "error", "errors", "suppressed"] as const;

export function reportOf(error: unknown, seen = new Set<unknown>()): ErrorReport {
  // A chain of causes may lead back to its start.
  if (!(error instanceof Error) || seen.has(error))
    return { isError: false, value: cloneOf(error) };
  seen.add(error);
  const details: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(error)) {
    if (!["function", "object", "symbol"].includes(typeof value)) details[name] = value;
  }
  const others: Record<string, ErrorReport | ErrorReport[]> = {};
  for (const name of namesOfOthers) {
    const other = (error as unknown as Record<string, unknown>)[name];
    if (Array.isArray(other)) others[name] = other.map((item) => reportOf(item, seen));
    else if (other !== undefined) others[name] = reportOf(other, seen);
  }
  const { name, message, stack } = error;
  const der = error instanceof TlsError ? error.certificate?.raw : undefined;
  const certificate = der && new Uint8Array(der);
  return { isError: true, name, message, stack, details, others, certificate };
}

function cloneOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return String(value);
  }
}

const classes: Readonly<Record<string, { prototype: Error }>> = {
  AggregateError,
  CancelledError,
  RangeError,
  SocketError,
  SuppressedError,
  SyntaxError,
  TimeoutError,
  TypeError,
};

export function errorOf(report: ErrorReport): unknown {
  if (!report.isError) return report.value;
  const { name, message, stack, details, others, certificate } = report;
  const error =
    name === "TlsError" ? new TlsError(String(details.code), {}, certificate) : new Error(message);
  if (classes[name] !== undefined) Object.setPrototypeOf(error, classes[name].prototype);
  const hidden: Record<string, unknown> = { name, message, stack };
  for (const [key, other] of Object.entries(others)) {
    hidden[key] = Array.isArray(other) ? other.map(errorOf) : errorOf(other);
  }
  for (const [key, value] of Object.entries(hidden)) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true });
  }
  return Object.assign(error, details);
}
