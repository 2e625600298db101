/** The plan of a run: its options, checked, as plain data that is cloned to the threads. */

import type { Headers } from "../http/request.ts";
import type { TlsOptions } from "../tls/options.ts";
import type { Stage } from "./arrivals.ts";
import type { DataFile, FeederOrder } from "./data/feeder.ts";
import type { ReplayRequest } from "./data/replay.ts";
import type { StatusRange } from "./statuses.ts";
import type { Target } from "./target.ts";

export type Shape =
  /** Each connection begins an iteration when its last one has ended. */
  | { readonly kind: "closed"; readonly milliseconds: number }
  /** The same, with a number of connections that changes over time: `from` and `to` of the stages. */
  | { readonly kind: "connections"; readonly stages: readonly Stage[] }
  /** Iterations are due at a rate, evenly or as a Poisson process. */
  | { readonly kind: "rate"; readonly stages: readonly Stage[]; readonly isPoisson: boolean }
  /** Iterations are due at given times, in milliseconds from the start. */
  | { readonly kind: "times"; readonly times: Float64Array };

/** What happens to an iteration that is due while every connection is busy. */
export type Overload = "queue" | "grow" | "drop";

/** The scenario of a run without one: the same request again and again. */
export interface PlannedRequest {
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array | undefined;
}

/** A file of rows that `c.data` takes by a name. */
export interface NamedData extends DataFile {
  readonly name: string;
  readonly order: FeederOrder;
}

export interface Plan {
  readonly target: Target;
  readonly shape: Shape;
  /** The most iterations; infinity without a limit. */
  readonly iterations: number;
  /** Whether iterations that are due and wait are begun after the last due time: the run has no duration of its own. */
  readonly sendsAll: boolean;
  /** Of all threads together, as all numbers of a plan. */
  readonly connections: number;
  readonly overload: Overload;
  /** The most connections with `overload: "grow"`. */
  readonly mostConnections: number;
  /** Whether iterations are sent late that the generator itself has missed. */
  readonly catchesUp: boolean;
  readonly threads: number;
  readonly driver: "blocking" | "attached";
  readonly seed: number;
  readonly graceMilliseconds: number;
  /** For each request; infinity for no limit. */
  readonly timeoutMilliseconds: number;
  /** For each connection attempt, with its TLS handshake; infinity for no limit. */
  readonly connectMilliseconds: number;
  readonly request: PlannedRequest;
  readonly keepsAlive: boolean;
  /** Requests at a time on a connection. */
  readonly pipeline: number;
  /** The statuses that are no failure. */
  readonly expected: readonly StatusRange[];
  /** The most redirects that are followed. */
  readonly redirects: number;
  readonly hasCookies: boolean;
  /** Whether bodies come without their codings. */
  readonly decodes: boolean;
  readonly data: readonly NamedData[];
  /** The requests of a recording: iteration k makes the kth. */
  readonly replayed: readonly ReplayRequest[] | undefined;
  readonly mostBodyBytes: number;
  readonly tls: TlsOptions;
  readonly resumesSessions: boolean;
  readonly family: 4 | 6 | undefined;
  readonly localAddresses: readonly string[];
  /** How long no attempt to connect may succeed before the run is given up; infinity for no limit. */
  readonly deadTargetMilliseconds: number;
  readonly intervalMilliseconds: number;
}

/** How long iterations are begun; infinity if only their number ends the run. */
export function sendingMillisecondsOf({ shape }: Plan): number {
  if (shape.kind === "closed") return shape.milliseconds;
  if (shape.kind === "times") return shape.times.at(-1) ?? 0;
  return shape.stages.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

export function isOpenLoop({ shape }: Plan): boolean {
  return shape.kind === "rate" || shape.kind === "times";
}
