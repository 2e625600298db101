/** The options of `load`, and the plan that is made of them. */

import { checkMethod, fieldLines, type Headers } from "../http/request.ts";
import { literalVersion } from "../net/names.ts";
import { cloneableTls } from "../tls/cloneable.ts";
import { tlsContext } from "../tls/context.ts";
import type { TlsOptions } from "../tls/options.ts";
import {
  checkedAbortSignal,
  checkedInteger,
  checkedSwitch,
  checkFunction,
  ownOptions,
  rangeMistake,
  refuseOptions,
  typeMistake,
} from "../values/checks.ts";
import { checkedModule } from "../values/modules.ts";
import type { Stage } from "./arrivals.ts";
import type { DataFile } from "./data/feeder.ts";
import type { Replay } from "./data/replay.ts";
import { bytes, milliseconds, parseStages, perSecond } from "./durations.ts";
import { failureKinds } from "./outcomes.ts";
import type { NamedData, Overload, Plan, PlannedRequest, Shape } from "./plan.ts";
import type { ProgressListener } from "./progress.ts";
import type { SearchRange } from "./search.ts";
import { type Statuses, statusRanges } from "./statuses.ts";
import { type Target, targetOf } from "./target.ts";
import { mostThresholds, parseThreshold, type Threshold } from "./thresholds.ts";

/** A time: milliseconds, or a text such as `"30s"`, `"500ms"`, `"1h30m"`. */
export type Duration = number | string;

/** Options of `load`. */
export interface LoadOptions {
  /** A URL of `http:`, `https:`, `ws:`, `wss:`, `tcp:` or `tls:`, or `unix:` and a path. */
  target: string | URL;
  /** Connections, of all threads together; 64 if not given. Each is a user, which runs one iteration after another. */
  connections?: number | undefined;
  /** How long iterations are begun; 10 seconds if neither this nor `iterations` nor `stages` is given. */
  duration?: Duration | undefined;
  /** The most iterations. */
  iterations?: number | undefined;
  /**
   * An open loop: iterations per second that are due, of all threads together, whether a connection is free or not.
   * Without it and without `stages` the loop is closed: each connection begins an iteration when its last has ended.
   */
  rate?: number | string | undefined;
  /** How the iterations of an open loop lie in time; `"even"` if not given. */
  arrivals?: "even" | "poisson" | undefined;
  /**
   * Rates over time, such as `"10s:1000,30s=1000,5s=5000"`: a ramp in ten seconds to 1,000 per second, 30 seconds of
   * that, and at once 5,000 per second for 5 seconds.
   */
  stages?: string | readonly Stage[] | undefined;
  /** Numbers of connections over time, of a closed loop, in the same form. */
  connectionStages?: string | readonly Stage[] | undefined;
  /**
   * What happens to an iteration of an open loop that is due while every connection is busy: it waits (`"queue"`, if
   * not given), a connection is added up to `maxConnections` (`"grow"`), or it is dropped and counted (`"drop"`).
   */
  overload?: Overload | undefined;
  /** The most connections with `overload: "grow"`; 10,000 if not given. */
  maxConnections?: number | undefined;
  /**
   * Whether iterations are sent late that the generator itself has missed by more than 100 ms, in a burst; false if
   * not given: they are dropped, counted, and the report blames the generator.
   */
  catchUp?: boolean | undefined;
  /**
   * Worker threads. Without it a scenario that is a function runs in the thread that calls `load`; anything else
   * runs in one Worker.
   *
   * With it, each Worker runs the program's main module again up to this call of `load`, for a function cannot be
   * sent to it. What must not happen again belongs behind `if (Bun.isMainThread)`, or the scenario into a module.
   */
  threads?: number | undefined;
  /**
   * `"blocking"` if not given: plait's scheduler has each Worker for itself, which is fastest. `"attached"` lets
   * scenarios await what is not plait's, such as `fetch`.
   */
  driver?: "blocking" | "attached" | undefined;
  /** Decides the arrivals of a Poisson process and `c.random`; a random one if not given. The report has it. */
  seed?: number | undefined;
  /** How long what is under way at the end may take; 5 seconds if not given. */
  gracePeriod?: Duration | undefined;
  /** How long a request may take; 30 seconds if not given. */
  timeout?: Duration | undefined;
  /** How long a connection attempt with its TLS handshake may take; 10 seconds if not given. */
  connectTimeout?: Duration | undefined;
  /** How long no attempt to connect may succeed before the run is given up; 30 seconds if not given. */
  giveUpAfter?: Duration | undefined;
  /** The request of a run without a scenario, and its fields for all requests of `c.http`. */
  method?: string | undefined;
  /** Fields of each request; a list has a line for each value. */
  headers?: Headers | undefined;
  /** Its body: text is sent as UTF-8. */
  body?: string | Uint8Array | undefined;
  /** Whether connections are kept open between requests; true if not given. */
  keepAlive?: boolean | undefined;
  /** Requests that are under way on a connection at a time (HTTP pipelining); 1 if not given. */
  pipeline?: number | undefined;
  /** The statuses that are no failure: `404`, `[200, 404]`, `"2xx,404"`; all below 400 if not given. */
  expect?: Statuses | undefined;
  /** The most redirects that `c.http` follows, within the target's origin; 0 if not given. */
  redirects?: number | undefined;
  /** Whether each user keeps cookies, by the package tough-cookie; false if not given. */
  cookies?: boolean | undefined;
  /** Whether `c.http` asks for compressed bodies, and decodes them; false if not given. */
  decompress?: boolean | undefined;
  /** Rows for the scenario, by the names that `c.data` takes: files of CSV or JSON, in an order. */
  data?: Readonly<Record<string, string | DataFile>> | undefined;
  /**
   * Searches the highest rate at which the thresholds hold, by runs of `duration` each. The report is that of the best
   * run, with all attempts in `search`.
   */
  search?: { readonly from: number | string; readonly to: number | string } | undefined;
  /** Requests of a recording in place of a scenario, as `readHar` and `readAccessLog` return them. */
  replay?: Replay | undefined;
  /** The most bytes of an answer's body that `c.http` keeps; 16 MiB if not given. */
  maxBody?: number | string | undefined;
  /** Where to connect in place of the target's host and port: `host:port`, or `unix:` and a path. */
  connectTo?: string | undefined;
  /** Restricts a host name to its IPv4 or IPv6 addresses. */
  family?: 4 | 6 | undefined;
  /** Addresses of this machine to connect from, in turn. */
  localAddresses?: readonly string[] | undefined;
  /** The options of TLS, without functions: `ca`, `cert`, `key`, `serverName`, `verifyPeer`, `maxVersion` and so on. */
  tls?: TlsOptions | undefined;
  /** Whether a user resumes the TLS session of its last connection; true if not given. */
  resume?: boolean | undefined;
  /** A module whose default export is the scenario: a `file:` URL or an absolute path. */
  scenario?: string | URL | undefined;
  /**
   * What the run must hold, such as `"p99<50ms"`, `"errors<0.1%"`, `"check(found)>99%"`, `"step(login).p95<200ms"`;
   * ` over 10s` wants it of every ten seconds, ` abort` ends the run when it is missed, ` abort after 5s` not before.
   */
  thresholds?: readonly string[] | undefined;
  /** Ends the run as its end does, when it is aborted: the report says that it was interrupted. */
  signal?: AbortSignal | undefined;
  /** Called at the end of each interval, about once a second. */
  onProgress?: ProgressListener | undefined;
}

const loadOptions: ReadonlySet<string> = new Set<keyof LoadOptions>([
  ...(["target", "connections", "duration", "iterations", "rate", "arrivals", "stages"] as const),
  ...(["connectionStages", "overload", "maxConnections", "catchUp", "threads", "driver"] as const),
  ...([
    "seed",
    "connectTimeout",
    "redirects",
    "cookies",
    "decompress",
    "data",
    "replay",
    "search",
  ] as const),
  ...(["gracePeriod", "timeout", "giveUpAfter", "method", "headers", "body", "keepAlive"] as const),
  ...(["pipeline", "expect", "maxBody", "connectTo", "family", "localAddresses", "tls"] as const),
  ...(["resume", "scenario", "thresholds", "signal", "onProgress"] as const),
]);

/** The options that belong to the thread that calls `load`, beside the plan. */
export interface CheckedLoad {
  readonly plan: Plan;
  /** The module of the scenario as a `file:` URL. */
  readonly module: string | undefined;
  readonly thresholds: readonly Threshold[];
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ProgressListener | undefined;
}

const mostThreads = 256;
const mostConnections = 1_000_000;
/** With a scenario of its own thread there are no Workers. */
const defaultConnections = 64;
const defaultDuration = 10_000;
const defaultMaxBody = 16 * 1024 * 1024;

/**
 * Checks the options of a run.
 *
 * @param runsHere whether the thread that calls `load` runs the scenario
 * @throws {TypeError} {RangeError} {TlsError}
 */
export function checkedLoad(given: LoadOptions, runsHere: boolean): CheckedLoad {
  const options = ownOptions(given, loadOptions, "load");
  if (options.target === undefined) throw typeMistake("load needs a target");
  const target = targetOf(options.target, options.connectTo);
  const connections = connectionsOf(options);
  const threads = checkedInteger(options.threads ?? 1, "threads", 1, mostThreads);
  if (threads > connections) throw rangeMistake("there are more threads than connections");
  checkFunction(options.onProgress, "onProgress");
  const overload = oneOf(options.overload, ["queue", "grow", "drop"], "overload");
  const plan: Plan = {
    target,
    shape: options.replay === undefined ? shapeOf(options) : replayShape(options.replay, options),
    iterations: iterationsOf(options),
    sendsAll: options.duration === undefined && options.stages === undefined,
    connections,
    overload,
    mostConnections: checkedInteger(
      options.maxConnections ?? Math.max(10_000, connections),
      ...(["maxConnections", connections, mostConnections] as const),
    ),
    catchesUp: checkedSwitch(options.catchUp, "catchUp", false),
    threads,
    driver: runsHere ? "attached" : oneOf(options.driver, ["blocking", "attached"], "driver"),
    seed: checkedSeed(options.seed),
    graceMilliseconds: milliseconds(options.gracePeriod ?? 5000, "gracePeriod"),
    timeoutMilliseconds: milliseconds(options.timeout ?? 30_000, "timeout"),
    connectMilliseconds: milliseconds(options.connectTimeout ?? 10_000, "connectTimeout"),
    deadTargetMilliseconds: milliseconds(options.giveUpAfter ?? 30_000, "giveUpAfter"),
    request: requestOf(options),
    keepsAlive: checkedSwitch(options.keepAlive, "keepAlive", true),
    pipeline: checkedPipeline(options),
    expected: statusRanges(options.expect),
    redirects: checkedInteger(options.redirects ?? 0, "redirects", 0, 100),
    hasCookies: checkedSwitch(options.cookies, "cookies", false),
    decodes: checkedSwitch(options.decompress, "decompress", false),
    data: dataFiles(options.data),
    replayed: options.replay?.requests,
    mostBodyBytes: bytes(options.maxBody ?? defaultMaxBody, "maxBody"),
    tls: checkedTls(options.tls, target),
    resumesSessions: checkedSwitch(options.resume, "resume", true),
    family: options.family,
    localAddresses: checkedAddresses(options.localAddresses),
    intervalMilliseconds: 1000,
  };
  const module =
    options.scenario === undefined
      ? undefined
      : checkedModule(options.scenario, "scenario", "scenario");
  const signal = checkedAbortSignal(options.signal);
  const thresholds = checkedThresholds(options.thresholds);
  return { plan, module, thresholds, signal, onProgress: options.onProgress };
}

function oneOf<T extends string>(
  value: T | undefined,
  known: readonly [T, ...T[]],
  what: string,
): T {
  if (value === undefined) return known[0];
  if (known.includes(value)) return value;
  const names = known.map((each) => `"${each}"`);
  throw typeMistake(`${what} is ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`);
}

function iterationsOf({ iterations, replay }: LoadOptions): number {
  const most = replay === undefined ? Number.MAX_SAFE_INTEGER : replay.requests.length;
  return checkedInteger(iterations ?? most, "iterations", 1, most);
}

/** Options that say when iterations begin. A recording has its own times. */
const timing = ["rate", "stages", "connectionStages", "arrivals"] as const;

function replayShape({ times, isClosedLoop }: Replay, options: LoadOptions): Shape {
  refuseOptions(options, timing, "replay");
  if (!isClosedLoop) return { kind: "times", times };
  return { kind: "closed", milliseconds: durationOf({ ...options, iterations: times.length }) };
}

function shapeOf(options: LoadOptions): Shape {
  const { rate, stages, connectionStages, arrivals } = options;
  if (rate !== undefined) refuseOptions(options, ["stages", "connectionStages"], "rate");
  if (stages !== undefined) refuseOptions(options, ["connectionStages"], "stages");
  const isPoisson = oneOf(arrivals, ["even", "poisson"], "arrivals") === "poisson";
  if (rate === undefined && stages === undefined) {
    const ofOpenLoops = ["arrivals", "overload", "maxConnections", "catchUp"] as const;
    refuseOptions(options, ofOpenLoops, "a closed loop: give a rate or stages");
  }
  if (stages !== undefined) {
    refuseOptions(options, ["duration"], "stages, which have their own");
    return { kind: "rate", stages: stagesOf(stages, "rate"), isPoisson };
  }
  if (connectionStages !== undefined) {
    refuseOptions(options, ["duration"], "connectionStages, which have their own");
    return { kind: "connections", stages: stagesOf(connectionStages, "connections") };
  }
  const time = durationOf(options);
  if (rate === undefined) return { kind: "closed", milliseconds: time };
  const each = perSecond(rate, "rate");
  if (!(each > 0)) throw rangeMistake("rate is above 0");
  // With a number of iterations alone the run ends when the last is due.
  const span = Number.isFinite(time) ? time : (options.iterations! / each) * 1000;
  return { kind: "rate", stages: [{ milliseconds: span, from: each, to: each }], isPoisson };
}

function stagesOf(
  given: string | readonly Stage[],
  kind: "rate" | "connections",
): readonly Stage[] {
  if (typeof given === "string") return parseStages(given, kind);
  if (!Array.isArray(given) || given.length === 0) throw typeMistake("stages are a text or a list");
  return given as readonly Stage[];
}

/** As many connections as the stages want at most, if they say. */
function connectionsOf({ connections, connectionStages }: LoadOptions): number {
  let wanted = defaultConnections;
  if (connectionStages !== undefined) {
    const stages = stagesOf(connectionStages, "connections");
    wanted = Math.ceil(Math.max(1, ...stages.flatMap(({ from, to }) => [from, to])));
    if (connections !== undefined && connections < wanted) {
      throw rangeMistake(`connectionStages have ${wanted} connections, and connections is less`);
    }
  }
  return checkedInteger(connections ?? wanted, "connections", 1, mostConnections);
}

function dataFiles(given: LoadOptions["data"] = {}): readonly NamedData[] {
  return Object.entries(given).map(([name, data]): NamedData => {
    const { file, order = "sequential" } = typeof data === "string" ? { file: data } : data;
    if (typeof file !== "string") throw typeMistake(`data.${name} is the path of a file`);
    return {
      name,
      file,
      order: oneOf(order, ["sequential", "random", "once"], `data.${name}.order`),
    };
  });
}

function durationOf({ duration, iterations }: LoadOptions): number {
  if (duration === undefined) {
    return iterations === undefined ? defaultDuration : Number.POSITIVE_INFINITY;
  }
  const time = milliseconds(duration, "duration");
  if (!(time > 0)) throw rangeMistake("duration is above 0");
  return time;
}

function checkedSeed(seed: unknown): number {
  if (seed === undefined) return crypto.getRandomValues(new Uint32Array(1))[0]!;
  return checkedInteger(seed, "seed", 0, Number.MAX_SAFE_INTEGER - 2 ** 20);
}

const encoder = new TextEncoder();

function requestOf({ method, headers = {}, body }: LoadOptions): PlannedRequest {
  const content = typeof body === "string" ? encoder.encode(body) : body;
  if (content !== undefined && !(content instanceof Uint8Array)) {
    throw typeMistake("body is a text or a Uint8Array");
  }
  const verb = method ?? (content === undefined ? "GET" : "POST");
  checkMethod(verb);
  fieldLines(headers);
  return { method: verb, headers: { ...headers }, body: content };
}

/** More than any server answers at a time. */
const mostPipelined = 1000;

function checkedPipeline({ pipeline = 1, keepAlive }: LoadOptions): number {
  checkedInteger(pipeline, "pipeline", 1, mostPipelined);
  if (pipeline > 1 && keepAlive === false) {
    throw typeMistake("pipeline has no meaning without keepAlive");
  }
  return pipeline;
}

function checkedTls(tls: TlsOptions | undefined, target: Target): TlsOptions {
  if (tls === undefined) return {};
  if (!target.isTls) throw typeMistake(`tls has no meaning for the target ${target.text}`);
  const cloneable = cloneableTls(tls, "client", "tls");
  const { serverName: _, ...shared } = cloneable;
  // Fails now, not in each thread.
  tlsContext(shared);
  return cloneable;
}

function checkedThresholds(texts: readonly string[] = []): readonly Threshold[] {
  if (!Array.isArray(texts)) throw typeMistake("thresholds is an array of texts");
  if (texts.length > mostThresholds) {
    throw rangeMistake(`there are more than ${mostThresholds} thresholds`);
  }
  return texts.map((text) => parseThreshold(text, failureKinds));
}

function checkedAddresses(addresses: readonly string[] | undefined): readonly string[] {
  for (const address of addresses ?? []) {
    if (literalVersion(address) === 0) {
      throw typeMistake(`localAddresses are IPv4 or IPv6 addresses, not "${address}"`);
    }
  }
  return [...(addresses ?? [])];
}

/**
 * The range of a search, if one is wanted; its runs have the other options.
 *
 * @throws {TypeError} {RangeError}
 */
export function checkedSearch(options: LoadOptions): SearchRange | undefined {
  const { search, thresholds } = options ?? {};
  if (search === undefined) return undefined;
  const own = ownOptions(search, searchOptions, "search");
  const from = perSecond(own.from, "search.from");
  const to = perSecond(own.to, "search.to");
  if (!(from > 0 && to > from))
    throw rangeMistake("search goes from a rate above 0 to a higher one");
  if (!Array.isArray(thresholds) || thresholds.length === 0) {
    throw typeMistake("search needs thresholds, which say what a rate must hold");
  }
  refuseOptions(options, ["rate", "stages", "connectionStages", "iterations", "replay"], "search");
  return { from, to };
}

const searchOptions: ReadonlySet<string> = new Set(["from", "to"]);
