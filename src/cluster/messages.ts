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
  listen: Pick<ListenOptions, "host" | "port" | "backlog" | "maxConnections"> & {
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
  | { what: "close"; deadline: number };

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
      cause: ErrorReport | undefined;
    };

export function reportOf(error: unknown, depth = 0): ErrorReport {
  if (!(error instanceof Error)) return { isError: false, value: cloneOf(error) };
  const details: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(error)) {
    if (!["function", "object", "symbol"].includes(typeof value)) details[name] = value;
  }
  const { name, message, stack, cause } = error;
  // A chain of causes may lead back to its start.
  const hasCause = cause !== undefined && depth < 8;
  return {
    isError: true,
    name,
    message,
    stack,
    details,
    cause: hasCause ? reportOf(cause, depth + 1) : undefined,
  };
}

function cloneOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return String(value);
  }
}

const classes: Readonly<Record<string, { prototype: Error }>> = {
  CancelledError,
  RangeError,
  SocketError,
  SyntaxError,
  TimeoutError,
  TlsError,
  TypeError,
};

export function errorOf(report: ErrorReport): unknown {
  if (!report.isError) return report.value;
  const { name, message, stack, details, cause } = report;
  const error =
    cause === undefined ? new Error(message) : new Error(message, { cause: errorOf(cause) });
  Object.setPrototypeOf(error, (classes[name] ?? Error).prototype as object);
  for (const [key, value] of Object.entries({ name, stack })) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true });
  }
  return Object.assign(error, details);
}
