/** plait/load: load testing. A scenario is straight-line code, and the report tells the truth about both ends. */

import { typeMistake } from "../values/checks.ts";
import { assignment, handOver, nextCall, type ScenarioSource } from "./assignment.ts";
import type { Context, Scenario } from "./context.ts";
import { checkedSearch, type LoadOptions } from "./options.ts";
import type { Report } from "./report.ts";
import { searchRate } from "./search.ts";
import { prepareRun } from "./start.ts";
import "./worker.ts";

export type { Answer, Fields } from "../http/answer.ts";
export { BadAnswerError } from "../http/bad_answer.ts";
export type { BodyData, StreamData } from "../http/body.ts";
export { BadContentError } from "../http/decoding.ts";
export { RedirectError } from "../http/redirects.ts";
export type { Headers } from "../http/request.ts";
export type { WebSocketConnection } from "../websocket/connection.ts";
export {
  WebSocketClosedError,
  WebSocketError,
  WebSocketRefusedError,
} from "../websocket/errors.ts";
export type { Message as WebSocketMessage } from "../websocket/message_reader.ts";
export type { Fragments as WebSocketFragments } from "../websocket/outgoing.ts";
export type { Stage } from "./arrivals.ts";
export { type AccessLogOptions, readAccessLog } from "./data/access_log.ts";
export {
  arrayFeeder,
  type CsvFeederOptions,
  type CsvRow,
  csvFeeder,
  DataExhaustedError,
  type DataFile,
  Feeder,
  type FeederOptions,
  type FeederOrder,
  jsonFeeder,
} from "./data/feeder.ts";
export { DataFileError } from "./data/files.ts";
export { readHar } from "./data/har.ts";
export { atSpeed, type Replay, type ReplayRequest, type Skipped } from "./data/replay.ts";
export {
  type CurvePoint,
  Histogram,
  type HistogramJson,
  type HistogramNumbers,
} from "./histogram.ts";
export type { HttpClient, RequestOptions } from "./http_client.ts";
export type { Duration } from "./options.ts";
export { KeptConnectionClosedError } from "./outcomes.ts";
export { PackedHistogram } from "./packed_histogram.ts";
export type { Overload } from "./plan.ts";
export type { LiveInterval, Progress, ProgressListener, Totals } from "./progress.ts";
export type * from "./report.ts";
export type { SearchRange } from "./search.ts";
export type { Statuses } from "./statuses.ts";
export type { WebSocketOpening } from "./user_sockets.ts";
export type { Context, LoadOptions, Scenario };

/**
 * Runs a load test, and returns its report. Each connection is a user, which runs one iteration after another: the
 * scenario if one is given, or else one request to the target.
 *
 *     const report = await load({ target: "http://127.0.0.1:8080", rate: 20_000, duration: "30s" }, async (c) => {
 *       const answer = await c.http.get("/item/" + c.random(1000));
 *       c.check(answer.status === 200, "found");
 *     });
 *
 * Names are looked up and connections are made before the clock starts. A run that has begun always ends with a
 * report, also when the target dies; `report.verdict` says what to make of it.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or wrong
 * @throws {Error} for a scenario that cannot be loaded, or that awaits what its driver cannot go on with; and if the
 *   report did not add up
 */
export async function load(options: LoadOptions, scenario?: Scenario): Promise<Report> {
  if (scenario !== undefined && typeof scenario !== "function") {
    throw typeMistake("the scenario of load is a function");
  }
  const call = nextCall();
  if (assignment !== undefined) return await inWorker(assignment.source, call, scenario);
  const range = checkedSearch(options);
  if (range === undefined) return await prepareRun(options, scenario, call).execute();
  const { search: _, ...each } = options;
  return await searchRate(range, (rate) => prepareRun({ ...each, rate }, scenario, call).execute());
}

/**
 * In a Worker of a run that loads the main module again. The call that the main thread is in hands over its scenario.
 * A bundle's main module is also loaded where a Worker needs nothing of it, and must not begin another run.
 */
function inWorker(
  source: ScenarioSource,
  call: number,
  scenario: Scenario | undefined,
): Promise<never> {
  if (source.kind === "call") {
    if (call !== source.call || scenario === undefined) {
      throw new Error(
        `a Worker runs the main module again up to call ${source.call} of load, and call ${call} comes before it: put the scenarios into modules`,
      );
    }
    handOver(scenario);
  }
  return new Promise(() => undefined);
}
