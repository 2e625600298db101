/** What load tests must keep of their rates, and tell of themselves. Each test is named after a complaint. */

import { describe, expect, test } from "bun:test";
import { sleep } from "../../index.ts";
import { Histogram as Times } from "../../src/load/histogram.ts";
import { type Histogram, load } from "../../src/load/load.ts";
import { loadTarget, okAnswer } from "../support/load_target.ts";

describe("pacing", () => {
  test("the rate is that of the whole run, not of each thread, and each iteration is dealt out once", async () => {
    await using target = await loadTarget();
    const scenario = new URL("../support/load_scenario.ts", import.meta.url);
    const report = await load({
      ...{ target: target.url, connections: 9, rate: 500, duration: "1s", threads: 3, scenario },
      catchUp: true,
    });
    expect(report.iterations).toMatchObject({ due: 500, sent: 500, outcomes: { ok: 500 } });
    const numbers = target.paths.map((path) => Number(path.slice("/iteration/".length)));
    expect(numbers.toSorted((left, right) => left - right)).toEqual(
      Array.from({ length: 500 }, (_, number) => number),
    );
    expect(report.threads.map(({ sent }) => sent)).toEqual([167, 167, 166]);
  });

  test("threads make one report, and one summary of it", async () => {
    await using target = await loadTarget();
    const report = await load({
      ...{ target: target.url, connections: 6, iterations: 3000, threads: 2 },
    });
    expect(report.iterations.sent).toBe(3000);
    expect(report.threads.reduce((sum, { sent }) => sum + sent, 0)).toBe(3000);
    expect(report.latencies.response.ok!.count).toBe(3000);
  });

  test("the intervals add up to the whole", async () => {
    await using target = await loadTarget(async ({ number }) => {
      if (number % 50 === 0) await sleep(30);
      return okAnswer;
    });
    const report = await load({ target: target.url, connections: 4, duration: 2300 });
    const whole = new Times();
    for (const { response } of report.intervals) whole.merge(response.unpack());
    const all = report.latencies.response.ok as Histogram;
    expect(whole.count).toBe(all.count);
    for (const percent of [50, 99, 99.9, 100]) {
      expect(whole.percentile(percent)).toBeCloseTo(all.percentile(percent), 6);
    }
    expect(report.intervals.length).toBeGreaterThanOrEqual(2);
    const sum = report.intervals.reduce((total, { sent }) => total + sent, 0);
    expect(sum).toBe(report.iterations.sent);
  });

  test("iterations in flight are bounded, and what is dropped is counted", async () => {
    await using target = await loadTarget(async () => {
      await sleep(100);
      return okAnswer;
    });
    const report = await load({
      ...{ target: target.url, connections: 2, rate: 200, iterations: 100, overload: "drop" },
      ...{ duration: "5s", catchUp: true },
    });
    const { due, sent, droppedBusy, unsent } = report.iterations;
    expect([due, unsent]).toEqual([100, 0]);
    expect(droppedBusy).toBe(100 - sent);
    expect(sent).toBeGreaterThanOrEqual(8);
    expect(sent).toBeLessThan(30);
    expect(target.connections).toBe(2);
  });

  test("connections are added up to the most, and the rest waits", async () => {
    await using target = await loadTarget(async () => {
      await sleep(200);
      return okAnswer;
    });
    const report = await load({
      ...{ target: target.url, connections: 1, maxConnections: 5, overload: "grow" },
      ...{ rate: 100, iterations: 20, duration: "5s", catchUp: true },
    });
    expect(report.iterations).toMatchObject({ due: 20, sent: 20, outcomes: { ok: 20 } });
    expect(target.connections).toBe(5);
    expect(report.latencies.wait.most).toBeGreaterThan(100);
  });

  test("what waits for a connection at the end is unsent, with its age", async () => {
    await using target = await loadTarget(() => undefined);
    const report = await load({
      ...{ target: target.url, connections: 1, rate: 100, duration: 500, gracePeriod: 50 },
      catchUp: true,
    });
    const { due, sent, unsent, unfinished } = report.iterations;
    expect([due, sent, unsent, unfinished]).toEqual([50, 1, 49, 1]);
    expect(report.unsentAges!.most).toBeGreaterThan(450);
    expect(report.unsentAges!.least).toBeLessThan(100);
  });

  test("a run of so many iterations at a rate sends them all, also if the last must wait", async () => {
    await using target = await loadTarget(async () => {
      await sleep(20);
      return okAnswer;
    });
    // One connection serves 50 a second at most of the 200 that are due.
    const options = {
      target: target.url,
      connections: 1,
      rate: 200,
      iterations: 30,
      catchUp: true,
    };
    const report = await load(options);
    expect(report.iterations).toMatchObject({ due: 30, sent: 30, unsent: 0, outcomes: { ok: 30 } });
  });

  test("lateness of the generator is in every report", async () => {
    await using target = await loadTarget();
    const closed = await load({ target: target.url, connections: 2, duration: 200 });
    const open = await load({ target: target.url, connections: 2, duration: 200, rate: 100 });
    expect(closed.latencies.lateness.count).toBeGreaterThan(0);
    expect(open.latencies.lateness.count).toBe(open.iterations.sent + open.iterations.droppedLate);
    for (const { threads } of [closed, open]) expect(threads[0]!.lateness.count).toBeGreaterThan(0);
  });

  /** Holds the thread up, as a generator that does not run. */
  function standStill(milliseconds: number): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  }

  test("a generator that stood still blames itself, and sends no burst to catch up", async () => {
    await using target = await loadTarget();
    let hasStood = false;
    const report = await load(
      { target: target.url, connections: 4, rate: 500, duration: 1000 },
      async (c) => {
        if (!hasStood && c.iteration > 100) {
          hasStood = true;
          standStill(400);
        }
        await c.http.get("/");
      },
    );
    const { droppedLate, due } = report.iterations;
    expect(due).toBe(500);
    // Of the 200 that were due in 400 ms those of the last 100 ms are sent.
    expect(droppedLate).toBeGreaterThan(120);
    expect(report.verdict).toMatchObject({ exitCode: 4, generatorWasBottleneck: true });
    expect(report.verdict.generatorReasons[0]).toContain("the generator stood still");
    expect(report.latencies.lateness.most).toBeGreaterThan(299);
  });

  test("a generator that is asked to catch up sends all, late, and still blames itself", async () => {
    await using target = await loadTarget();
    let hasStood = false;
    const report = await load(
      { target: target.url, connections: 4, rate: 500, duration: 1000, catchUp: true },
      async (c) => {
        if (!hasStood && c.iteration > 100) {
          hasStood = true;
          standStill(400);
        }
        await c.http.get("/");
      },
    );
    expect(report.iterations).toMatchObject({ due: 500, droppedLate: 0, sent: 500 });
    expect(report.verdict.exitCode).toBe(4);
    expect(report.latencies.lateness.most).toBeGreaterThan(299);
  });

  test("the same seed gives the same arrivals and the same random numbers", async () => {
    const seen: string[][] = [];
    for (const seed of [7, 7, 8]) {
      await using target = await loadTarget();
      await load(
        {
          target: target.url,
          rate: 400,
          arrivals: "poisson",
          iterations: 60,
          duration: "3s",
          seed,
          catchUp: true,
        },
        async (c) => {
          await c.http.get(`/${c.iteration}/${c.random(1_000_000)}`);
        },
      );
      seen.push(target.paths.toSorted());
    }
    expect(seen[0]).toEqual(seen[1]!);
    expect(seen[0]).not.toEqual(seen[2]!);
  });

  test("a scenario that awaits what is not plait's under the blocking driver is noticed and said", async () => {
    await using target = await loadTarget();
    const scenario = new URL("../support/load_fetching.ts", import.meta.url);
    const options = { target: target.url, connections: 2, duration: "20s", scenario } as const;
    const error = await load(options).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain('run it with driver "attached"');
    const report = await load({ ...options, duration: 300, driver: "attached" });
    expect(report.iterations.outcomes.ok).toBeGreaterThan(0);
  });
});
