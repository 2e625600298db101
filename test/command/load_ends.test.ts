/** The exit codes of `plait load`, signals, and a generator that stands still. */

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listen } from "../../index.ts";
import type { Report } from "../../src/load/load.ts";
import { parseReport } from "../../src/report/json.ts";
import { freePort } from "../support/free_port.ts";
import { exitOf, loadReport, plaitLoad, plaitProgram } from "../support/load_command.ts";
import { loadTarget, okAnswer } from "../support/load_target.ts";
import { pollUntil } from "../support/poll.ts";
import { RunningProgram } from "../support/running_program.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

setDefaultTimeout(30_000);

/** `plait load` in the background, with its report in a file. */
class Running implements AsyncDisposable {
  readonly #folder = new TemporaryFolder();
  readonly program: Promise<RunningProgram>;

  constructor(words: readonly string[], isReady = /^/) {
    const command = [...plaitProgram, "load", ...words, "--json", this.#folder.file("r.json")];
    this.program = RunningProgram.start(command, isReady);
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    (await this.program).child.kill(name);
  }

  async exited(): Promise<number> {
    return await (await this.program).child.exited;
  }

  async printed(pattern: RegExp): Promise<void> {
    await (await this.program).printed(pattern);
  }

  get report(): Report {
    return parseReport(readFileSync(this.#folder.file("r.json"), "utf8"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.program)[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

describe("exit codes", () => {
  test("0 for thresholds that held, and 1 for one that was missed", async () => {
    await using target = await loadTarget(({ number }) =>
      number % 4 === 0 ? "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" : okAnswer,
    );
    const words = [target.url, "-n", "40", "-c", "1", "--threshold", "errors<30%", "count>=40"];
    const held = await loadReport(words);
    expect(exitOf(held)).toBe(0);
    expect(held.report.verdict.thresholds.map((each) => each.held)).toEqual([true, true]);
    const missed = await loadReport([...words, "status(5xx)<1%"]);
    const { verdict } = missed.report;
    expect(verdict.thresholds.map((each) => each.held)).toEqual([true, true, false]);
    expect(missed.exitCode).toBe(verdict.generatorWasBottleneck ? 4 : 1);
  });

  test("1 for a threshold that ends the run", async () => {
    await using target = await loadTarget(() => "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    const run = await loadReport([
      ...[target.url, "-r", "100", "-d", "20s", "-c", "2", "--threshold", "errors<1% abort"],
    ]);
    const { verdict, milliseconds } = run.report;
    expect(milliseconds).toBeLessThan(10_000);
    expect(verdict.thresholds[0]!.missedAt).toBeLessThan(10_000);
    expect(run.exitCode).toBe(verdict.generatorWasBottleneck ? 4 : 1);
  });

  test("3 for a target that refuses, has no name, or speaks no TLS, each with a report", async () => {
    await using target = await loadTarget(() => ({ send: "HTTP/1.1 400 No\r\n\r\n" }) as never);
    const port = await freePort();
    const { port: plain } = target.listener;
    const runs = await Promise.all([
      loadReport([`http://127.0.0.1:${port}/`]),
      loadReport(["http://plait.invalid/"]),
      loadReport([`https://127.0.0.1:${plain}/`, "--connect-timeout", "500ms", "-c", "2"]),
    ]);
    const reasons = [/ECONNREFUSED/, /getaddrinfo/, /handshake/];
    for (const [index, { exitCode, report, stderr }] of runs.entries()) {
      expect(exitCode).toBe(3);
      expect(report.verdict.reasons[0]).toMatch(reasons[index]!);
      expect(report.iterations).toMatchObject({ due: 0, sent: 0, outcomes: {} });
      expect(stderr).toStartWith("Not reached: the target could not be reached\n");
    }
  });

  test("4 for a generator that was stopped for a second: it blames itself, and not the server", async () => {
    await using target = await loadTarget();
    await using run = new Running([target.url, "-r", "200", "-d", "3s", "-c", "4"]);
    await pollUntil("the run has begun", () => target.requests > 50);
    await run.signal("SIGSTOP");
    await Bun.sleep(1000);
    await run.signal("SIGCONT");
    expect(await run.exited()).toBe(4);
    const { verdict, iterations, latencies } = run.report;
    expect(verdict.generatorReasons[0]).toMatch(
      /^the generator stood still: \d+ iterations were due/,
    );
    const { due, sent, droppedLate, droppedBusy, unsent, outcomes } = iterations;
    expect(due).toBe(600);
    // At least those of a second, without the 100 ms that are made up for.
    expect(droppedLate).toBeGreaterThan(150);
    expect(due).toBe(sent + droppedLate + droppedBusy + unsent);
    expect(outcomes).toEqual({ ok: sent });
    expect(sent).toBe(target.requests);
    expect(latencies.lateness.most).toBeGreaterThan(800);
    const { output } = await run.program;
    expect(output).toContain("generator: the generator stood still");
    const head = "The generator was the bottleneck: these figures say more about the machine that";
    expect(output).toContain(head);
  });
});

describe("signals", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s ends the run, which drains and reports",
    async (name) => {
      let underWay = 0;
      const open = Promise.withResolvers<void>();
      await using target = await loadTarget(async ({ number }) => {
        if (number < 20) return okAnswer;
        underWay++;
        await open.promise;
        return okAnswer;
      });
      await using run = new Running([target.url, "-d", "30s", "-c", "3"]);
      await pollUntil("each connection waits", () => underWay === 3);
      await run.signal(name);
      await run.printed(/no more is begun/);
      open.resolve();
      expect(await run.exited()).toBe(130);
      const { iterations, verdict } = run.report;
      // A thread hears of it within 10 ms.
      const { sent } = iterations;
      expect(iterations).toMatchObject({ due: sent, outcomes: { ok: sent }, unfinished: 0 });
      expect(verdict.reasons[0]).toBe("the run was interrupted");
      expect(target.requests).toBe(sent);
    },
  );

  test("a second SIGINT ends at once, and what was under way is unfinished", async () => {
    await using target = await loadTarget(() => undefined);
    await using run = new Running([target.url, "-d", "30s", "-c", "3", "--grace-period", "60s"]);
    await pollUntil("each connection waits", () => target.requests === 3);
    await run.signal("SIGINT");
    await run.printed(/no more is begun/);
    const begin = performance.now();
    await run.signal("SIGINT");
    expect(await run.exited()).toBe(130);
    expect(performance.now() - begin).toBeLessThan(5000);
    expect(run.report.iterations).toMatchObject({ sent: 3, outcomes: {}, unfinished: 3 });
    expect(run.report.unfinishedAges!.count).toBe(3);
  });

  test("SIGINT ends a run that still connects", async () => {
    let connections = 0;
    await using silent = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      connections++;
      await socket.next();
      await socket.closed;
    });
    // The handshakes never end.
    const words = [`https://127.0.0.1:${silent.port}/`, "--connect-timeout", "60s", "-c", "3"];
    await using run = new Running(words);
    await pollUntil("it connects", () => connections === 3);
    await run.signal("SIGINT");
    expect(await run.exited()).toBe(130);
    const { verdict, iterations } = run.report;
    expect(verdict.reasons).toEqual(["the run was interrupted"]);
    expect(iterations).toMatchObject({ due: 0, sent: 0, outcomes: {}, unfinished: 0 });
  });

  test("a second SIGINT ends a scenario that computes for ever", async () => {
    using folder = new TemporaryFolder();
    const scenario = folder.file("spin.ts");
    writeFileSync(scenario, `export default async (c) => { await c.http.get("/"); for (;;); };`);
    await using target = await loadTarget();
    await using run = new Running([target.url, scenario, "-d", "30s", "-c", "1"]);
    await pollUntil("it computes", () => target.requests === 1);
    await run.signal("SIGINT");
    await run.printed(/no more is begun/);
    await run.signal("SIGINT");
    expect(await run.exited()).toBe(130);
    await run.printed(/plait: a thread of the run does not answer/);
  });
});

test("a scenario that waits for nothing ends in time", async () => {
  using folder = new TemporaryFolder();
  const scenario = join(folder.path, "sync.ts");
  writeFileSync(scenario, `export default (c) => { c.check(true, "yes"); };`);
  await using target = await loadTarget();
  const run = await loadReport([target.url, scenario, "-d", "300ms", "-c", "3"]);
  expect(exitOf(run)).toBe(0);
  const { iterations, checks, sendingMilliseconds } = run.report;
  expect(sendingMilliseconds).toBeLessThan(5000);
  expect(iterations.outcomes).toEqual({ ok: iterations.sent });
  expect(checks).toEqual([{ name: "yes", passed: iterations.sent, failed: 0 }]);
  expect(target.requests).toBe(0);
});

test("help and the version are no runs", async () => {
  const help = await plaitLoad(["--help"]);
  expect([help.exitCode, help.stderr]).toEqual([0, ""]);
  expect(help.stdout).toContain("Exit codes:\n");
  const version = await plaitLoad(["--version"]);
  expect([version.exitCode, version.stdout]).toEqual([
    0,
    expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  ]);
});
