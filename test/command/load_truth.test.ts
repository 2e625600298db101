/** What `plait load` says of its requests, and what nginx's own log says of them. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { certificates } from "../support/certificates.ts";
import { isInstalled } from "../support/installed_program.ts";
import { servedText } from "../support/load_bodies.ts";
import { exitOf, type LoadRun, loadReport } from "../support/load_command.ts";
import { type LoggedRequest, LoggingNginx } from "../support/logging_nginx.ts";

setDefaultTimeout(30_000);

const hasNginx = isInstalled("nginx") && isInstalled("openssl");
// To make them takes longer than a hook may.
const made = hasNginx ? certificates() : undefined;
const scenario = join(import.meta.dir, "../support/load_bodies.ts");
const created = `location = /created { return 201 "made\\n"; }`;

/** Counts by what `of` makes of each. */
function countsBy(
  requests: readonly LoggedRequest[],
  of: (request: LoggedRequest) => string,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const request of requests) counts[of(request)] = (counts[of(request)] ?? 0) + 1;
  return counts;
}

function sumOf(requests: readonly LoggedRequest[], field: "bytes" | "requestBytes"): number {
  return requests.reduce((sum, request) => sum + request[field], 0);
}

function outcomeOf({ status }: LoggedRequest): string {
  return status < 400 ? "ok" : `status ${Math.floor(status / 100)}xx`;
}

/** The ledger of the requests is the log. */
function expectTruth({ report }: LoadRun, log: readonly LoggedRequest[]): void {
  const { requests } = report;
  expect(requests.sent).toBe(log.length);
  expect(requests.unfinished).toBe(0);
  expect(requests.outcomes).toEqual(countsBy(log, outcomeOf));
  expect(requests.bytesReceived).toBe(sumOf(log, "bytes"));
  // nginx does not count the bodies that it throws away: those of POST, of 6 bytes.
  const thrownAway = 6 * log.filter(({ method }) => method === "POST").length;
  expect(requests.bytesSent).toBe(sumOf(log, "requestBytes") + thrownAway);
  expect(new Set(log.map(({ connection }) => connection)).size).toBe(
    report.latencies.connect.count,
  );
}

describe.skipIf(!hasNginx).each([["plain"], ["TLS"]])("over %s", (kind) => {
  const isTls = kind === "TLS";
  let nginx: LoggingNginx;
  let origin: string;
  let trust: string[];

  beforeAll(async () => {
    const { root, p256 } = made!;
    const ssl = `ssl_certificate ${p256.chain}; ssl_certificate_key ${p256.key};`;
    nginx = await LoggingNginx.start({ file: servedText }, isTls ? ssl : undefined, created);
    origin = `${isTls ? "https" : "http"}://127.0.0.1:${nginx.port}`;
    trust = isTls ? ["--ca", root] : [];
  });
  afterAll(async () => await nginx[Symbol.asyncDispose]());

  test("a scenario that checks every body: its ledger is nginx's log, line for line", async () => {
    const count = 2000;
    const run = await loadReport([
      ...[scenario, origin, ...trust, "-n", `${count}`, "-c", "16", "-t", "2"],
      ...["--seed", "7"],
    ]);
    expect(exitOf(run)).toBe(0);
    const log = await nginx.requests(count, "");
    expectTruth(run, log);
    const tenth = count / 10;
    const { iterations, checks, steps, plan } = run.report;
    expect(iterations).toMatchObject({
      ...{ due: count, sent: count, droppedBusy: 0, droppedLate: 0, unsent: 0, unfinished: 0 },
      outcomes: { ok: 9 * tenth, "status 4xx": tenth },
    });
    expect(Object.fromEntries(checks.map((check) => [check.name, check]))).toEqual({
      whole: { name: "whole", passed: 7 * tenth, failed: 0 },
      missing: { name: "missing", passed: tenth, failed: 0 },
      head: { name: "head", passed: tenth, failed: 0 },
      created: { name: "created", passed: tenth, failed: 0 },
    });
    const stepCounts = steps.map(({ name, outcomes }) => [name, outcomes.ok!.count]);
    expect(Object.fromEntries(stepCounts)).toEqual({ file: 7 * tenth, missing: tenth });
    expect(plan).toMatchObject({ threads: 2, seed: 7, scenario: "load_bodies.ts" });
    // Each iteration was made once: the numbers in the queries are all numbers.
    const numbers = log
      .filter(({ uri }) => uri !== "/created")
      .map(({ uri }) => Number(uri.slice(uri.indexOf("?") + 1)));
    const all = Array.from({ length: count }, (_, number) => number);
    expect(numbers.toSorted((one, other) => one - other)).toEqual(
      all.filter((number) => number % 10 !== 7),
    );
    expect(countsBy(log, ({ method, status }) => `${method} ${status}`)).toEqual({
      ...{ "GET 200": 7 * tenth, "GET 404": tenth, "HEAD 200": tenth, "POST 201": tenth },
    });
    expect(run.report.threads.map(({ sent }) => sent).reduce((sum, sent) => sum + sent)).toBe(
      count,
    );
  });

  // The second time would tell nothing new.
  if (isTls) return;

  test("the command's own requests at a rate: the ledger is the log, and the intervals add up to it", async () => {
    const run = await loadReport([
      ...[`${origin}/file?own`, ...trust, "-r", "600", "-d", "1200ms", "-c", "4"],
      ...["--overload", "grow", "--max-connections", "8", "--catch-up", "--poisson"],
      ...["-H", "User-Agent: own"],
    ]);
    expect(exitOf(run)).toBe(0);
    const { iterations, requests, intervals, plan } = run.report;
    const log = await nginx.requests(requests.sent, "own");
    expectTruth(run, log);
    // 720 are due on average, and a Poisson process differs by some 27 of them.
    expect(iterations.due).toBeGreaterThan(500);
    expect(iterations.due).toBeLessThan(950);
    // On a busy machine the end may come before the last ones, which are unsent then.
    expect(iterations.outcomes).toEqual({ ok: iterations.sent });
    expect(iterations).toMatchObject({ due: iterations.sent + iterations.unsent, unfinished: 0 });
    expect(plan).toMatchObject({ isOpenLoop: true, shape: "600/s, Poisson, 1.2 s" });
    const sums = intervals.reduce((sum, { sent }) => sum + sent, 0);
    expect(sums).toBe(log.length);
    expect(intervals.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0)).toBe(
      requests.bytesReceived,
    );
  });
});
