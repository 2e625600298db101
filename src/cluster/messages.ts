/** The messages between the main thread and the workers of a cluster. */

import type { MessagePort } from "node:worker_threads";
import type { ListenOptions } from "../net/listener.ts";
import type { DumpSignal } from "../process/dump_signal.ts";
import type { ErrorReport } from "../process/error_reports.ts";
import type { TlsOptions } from "../tls/options.ts";
import type { Deadline } from "../values/deadlines.ts";

export interface Assignment {
  port: MessagePort;
  /** The handler's module; undefined when that is the script of the worker itself. */
  module: string | undefined;
  worker: number;
  workers: number;
  data: unknown;
  listen: Pick<ListenOptions, "host" | "port" | "backlog" | "maxConnections" | "maxHandshakes"> & {
    tls?: TlsOptions | undefined;
  };
  /** Whether the main thread has an `onError` for the errors of handlers. */
  forwardsErrors: boolean;
  dumpSignals: readonly DumpSignal[];
  /** Set by the first instance of plait in the thread that finds the assignment. */
  isTaken: boolean;
}

export type Question =
  | { what: "stats" }
  | { what: "dump" }
  | { what: "setTls"; tls: TlsOptions }
  | { what: "close"; deadline: Deadline; cancel: ErrorReport | undefined };

/** A message to a worker. A question has a number, which its answer repeats. */
export type Request = (Question & { id: number }) | { what: "dumpSignal"; signal: DumpSignal };

/** A message from a worker. */
export type Report =
  | { kind: "listening" }
  | { kind: "failed"; error: ErrorReport }
  | { kind: "error"; error: ErrorReport }
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "refusal"; id: number; error: ErrorReport };
