/** What load tests must tell of times. Each test is named after a complaint about some other tool. */

import { describe, expect, test } from "bun:test";
import { sleep } from "../../index.ts";
import { load, type Report } from "../../src/load/load.ts";
import { loadTarget, okAnswer } from "../support/load_target.ts";

function timesOf(report: Report, kind: "response" | "service"): number {
  return Object.values(report.latencies[kind]).reduce((sum, { count }) => sum + count, 0);
}

describe("times", () => {
  test("every request is recorded", async () => {
    await using target = await loadTarget();
    const report = await load({ target: target.url, connections: 8, iterations: 5000 });
    expect(target.requests).toBe(5000);
    expect([timesOf(report, "response"), timesOf(report, "service")]).toEqual([5000, 5000]);
    expect(report.latencies.requests.ok!.count).toBe(5000);
  });

  test("nothing is corrected afterwards: a closed loop has one slow time for each request that was slow", async () => {
    await using target = await loadTarget(async ({ number }) => {
      if (number === 100) await sleep(300);
      return okAnswer;
    });
    const report = await load({ target: target.url, connections: 4, iterations: 1000 });
    const slow = [...report.latencies.response.ok!.buckets()].filter(([ns]) => ns >= 290e6);
    expect(slow.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
    expect(report.latencies.response.ok!.count).toBe(1000);
  });

  test("there is no calibration: the first request counts as all others do", async () => {
    await using target = await loadTarget(async ({ number }) => {
      if (number === 0) await sleep(200);
      return okAnswer;
    });
    const report = await load({ target: target.url, connections: 1, iterations: 50 });
    expect(report.iterations.due).toBe(50);
    expect(report.latencies.service.ok!.most).toBeGreaterThan(199);
    expect(report.intervals[0]!.start).toBe(0);
  });

  test("response, service and the wait for a connection are shown each by itself", async () => {
    await using target = await loadTarget(async () => {
      await sleep(10);
      return okAnswer;
    });
    // One connection serves at most 100 a second of the 200 that are due.
    const report = await load({
      ...{ target: target.url, connections: 1, rate: 200, iterations: 60, catchUp: true },
      ...{ duration: "2s" },
    });
    const { response, service, wait } = report.latencies;
    expect(service.ok!.least).toBeGreaterThan(9.9);
    expect(report.iterations.outcomes).toEqual({ ok: 60 });
    // An iteration's response time is its wait and its service.
    expect(response.ok!.mean).toBeCloseTo(wait.mean + service.ok!.mean, 3);
    expect(wait.most).toBeGreaterThan(200);
    expect(response.ok!.most).toBeGreaterThan(wait.most);
  });

  test("names are looked up and connections made before the clock starts, and both are reported", async () => {
    await using target = await loadTarget();
    let before = -1;
    const report = await load(
      { target: target.url, connections: 20, iterations: 40 },
      async (c) => {
        if (before < 0) before = target.connections;
        await c.http.get("/");
      },
    );
    expect(before).toBe(20);
    expect(target.connections).toBe(20);
    expect(report.latencies.connect.count).toBe(20);
    expect(report.connectMilliseconds).toBeGreaterThan(0);
    expect(report.resolveMilliseconds).toBeGreaterThan(0);
  });

  test("a request that times out is recorded with the time that it took", async () => {
    await using target = await loadTarget(({ number }) =>
      number % 10 === 3 ? undefined : okAnswer,
    );
    const report = await load({
      ...{ target: target.url, connections: 4, iterations: 100, timeout: 80 },
    });
    const late = report.latencies.response.timeout!;
    expect(late.count).toBe(report.iterations.outcomes.timeout!);
    expect(late.count).toBe(target.paths.filter((_, number) => number % 10 === 3).length);
    expect(late.least).toBeGreaterThan(79.9);
    expect(report.latencies.requests.timeout!.least).toBeGreaterThan(79.9);
  });

  test("each pipelined request has its own start", async () => {
    await using target = await loadTarget(async () => {
      await sleep(5);
      return okAnswer;
    });
    const report = await load({
      ...{ target: target.url, connections: 1, pipeline: 4, iterations: 80 },
    });
    const { service } = report.latencies;
    expect(target.connections).toBe(1);
    expect(service.ok!.count).toBe(80);
    // The first answer takes one turn of the server. Later requests wait for those before them on the connection.
    expect(service.ok!.least).toBeLessThan(service.ok!.percentile(50));
    expect(service.ok!.percentile(50)).toBeGreaterThan(19);
  });

  test("a pipelined request has its own outcome", async () => {
    await using target = await loadTarget(({ path }) =>
      path === "/bad" ? "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n" : okAnswer,
    );
    const wrong: number[] = [];
    const options = { target: target.url, connections: 2, pipeline: 4, iterations: 400 };
    const report = await load(options, async (c) => {
      const isBad = c.iteration % 3 === 0;
      const { status } = await c.http.get(isBad ? "/bad" : "/good");
      if (status !== (isBad ? 500 : 200)) wrong.push(c.iteration);
    });
    expect(wrong).toEqual([]);
    expect(report.iterations.outcomes).toEqual({ ok: 266, "status 5xx": 134 });
    expect(target.connections).toBe(2);
  });

  test("each outcome has a histogram of its own", async () => {
    await using target = await loadTarget(async ({ number }) => {
      if (number % 2 === 0) return "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
      await sleep(20);
      return okAnswer;
    });
    const report = await load({ target: target.url, connections: 2, iterations: 100 });
    const { ok, "status 5xx": busy } = report.latencies.response;
    expect([ok!.count, busy!.count]).toEqual([50, 50]);
    expect(ok!.least).toBeGreaterThan(19.9);
    expect(busy!.least).toBeLessThan(19);
  });

  test("no percentile is above the greatest time", async () => {
    await using target = await loadTarget();
    const report = await load({ target: target.url, connections: 3, iterations: 500 });
    for (const histogram of [report.latencies.response.ok!, report.latencies.lateness]) {
      for (const percent of [50, 99, 99.9, 99.99, 100]) {
        expect(histogram.percentile(percent)).toBeLessThanOrEqual(histogram.most);
      }
    }
  });

  test("no time is read from the clock of the wall", async () => {
    await using target = await loadTarget();
    const clock = Date.now;
    // A wall clock that jumps back by a day at each look.
    let day = 0;
    Date.now = () => clock() - 86_400_000 * ++day;
    try {
      const report = await load(
        { target: target.url, connections: 2, duration: 200 },
        async (c) => {
          await c.http.get("/");
        },
      );
      expect(report.sendingMilliseconds).toBeGreaterThan(199);
      expect(report.latencies.response.ok!.most).toBeLessThan(60_000);
    } finally {
      Date.now = clock;
    }
  });
});
