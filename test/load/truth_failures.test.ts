/** What load tests must tell of failures. Each test is named after a complaint about some other tool. */

import { describe, expect, test } from "bun:test";
import { listen, type Socket, sleep } from "../../index.ts";
import { load, type Report } from "../../src/load/load.ts";
import { freePort } from "../support/free_port.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { loadTarget, okAnswer } from "../support/load_target.ts";
import { pollUntil } from "../support/poll.ts";

/** The counts of a ledger add up to what was sent. */
function sentOf(report: Report): number {
  const { outcomes, unfinished } = report.iterations;
  return Object.values(outcomes).reduce((sum, count) => sum + count, 0) + unfinished;
}

describe("failures", () => {
  test("at the end a run drains, and what does not come is unfinished with its age", async () => {
    await using target = await loadTarget(({ number }) => (number < 3 ? okAnswer : undefined));
    const report = await load({
      ...{ target: target.url, connections: 3, duration: 150, gracePeriod: 100 },
    });
    expect(report.iterations).toMatchObject({ sent: 6, outcomes: { ok: 3 }, unfinished: 3 });
    expect(report.requests.unfinished).toBe(3);
    expect(report.unfinishedAges!.count).toBe(3);
    expect(report.unfinishedAges!.least).toBeGreaterThan(99);
    expect(report.unfinishedAges!.most).toBeLessThanOrEqual(report.milliseconds);
    expect(report.failures).toEqual([]);
  });

  test("what is under way at the end may still come", async () => {
    await using target = await loadTarget(async () => {
      await sleep(150);
      return okAnswer;
    });
    const report = await load({ target: target.url, connections: 3, duration: 100 });
    expect(report.iterations).toMatchObject({ sent: 3, outcomes: { ok: 3 }, unfinished: 0 });
    expect(report.sendingMilliseconds).toBeLessThan(report.milliseconds);
  });

  test("errors are told by kind, with code, phase and the first example", async () => {
    await using target = await loadTarget(({ number }) => {
      if (number % 4 === 1) return { end: "reset" };
      if (number % 4 === 2)
        return { send: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", end: "close" };
      if (number % 4 === 3)
        return "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
      return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    });
    const report = await load({ target: target.url, connections: 1, iterations: 40 });
    expect(report.iterations.outcomes).toEqual({
      ...{ reset: 10, "early close": 10, "bad http": 10, "status 4xx": 10 },
    });
    const found = Object.fromEntries(report.failures.map((each) => [each.outcome, each]));
    expect(found["bad http"]!.example).toMatchObject({
      ...{ code: "ERR_HTTP_BAD_ANSWER", phase: "read", iteration: 3 },
      message: expect.stringContaining("two of Content-Length"),
    });
    expect(found["early close"]!.example).toMatchObject({ iteration: 2, phase: "read" });
    expect(found["status 4xx"]!.example!.message).toBe("the status is 404");
    expect(found["status 4xx"]!.example!.at).toBeGreaterThan(0);
  });

  test("a body that ends with the connection is no error", async () => {
    await using target = await loadTarget(() => ({
      ...{ send: "HTTP/1.1 200 OK\r\n\r\nuntil the end", end: "close" as const },
    }));
    const report = await load({ target: target.url, connections: 2, iterations: 20 }, async (c) => {
      const answer = await c.http.get("/");
      c.check(answer.text() === "until the end", "whole");
    });
    expect(report.iterations.outcomes).toEqual({ ok: 20 });
    expect(target.connections).toBe(20);
  });

  test("a dead server causes no storm of connections, and a run that finds none again is given up", async () => {
    await using target = await loadTarget(() => ({ end: "reset" }));
    const { port } = target.listener;
    const running = load({
      ...{ target: `http://127.0.0.1:${port}`, connections: 10, duration: "30s", giveUpAfter: 600 },
    });
    await pollUntil("the run has begun", () => target.requests > 10);
    await target.listener.close({ cancel: true });
    const report = await running;
    expect(report.verdict).toMatchObject({ exitCode: 3 });
    expect(report.verdict.reasons[0]).toContain("no connection could be made for");
    // Each of ten users pauses 10, 20, 40 ... ms, so that it tries some eight times in 600 ms.
    const refused = report.iterations.outcomes["connect refused"]!;
    expect(refused).toBeGreaterThan(10);
    expect(refused).toBeLessThan(200);
    expect(report.threads[0]!.cpuShare).toBeLessThan(0.9);
  });

  test("a server that dies and returns is found again", async () => {
    const port = await freePort();
    let answers = 0;
    const answer = async (socket: Socket): Promise<void> => {
      for (; (await socket.next()) !== null; answers++) await socket.write(okAnswer);
    };
    const first = await listen({ host: "127.0.0.1", port }, answer);
    const running = load({ target: `http://127.0.0.1:${port}`, connections: 4, duration: 2500 });
    await pollUntil("the run has begun", () => answers > 10);
    await first.close({ cancel: true });
    await sleep(200);
    await using _second = await listen({ host: "127.0.0.1", port }, answer);
    const report = await running;
    expect(report.iterations.outcomes["connect refused"]).toBeGreaterThan(0);
    expect(report.intervals.at(-1)!.outcomes.ok).toBeGreaterThan(0);
    expect(sentOf(report)).toBe(report.iterations.sent);
  });

  test("a connection for each request is closed, also if the server keeps it open", async () => {
    await using target = await loadTarget();
    const options = { target: target.url, connections: 2, iterations: 20, keepAlive: false };
    const report = await load(options);
    expect(report.iterations.outcomes).toEqual({ ok: 20 });
    expect(target.connections).toBe(20);
  });

  test("an end of the stream does not spin", async () => {
    await using target = await loadTarget(() => ({ end: "close" }));
    const report = await load({ target: target.url, connections: 2, iterations: 300 });
    expect(report.iterations.outcomes).toEqual({ "early close": 300 });
    expect(target.requests).toBe(300);
  });

  test.skipIf(!hasIpv6)("an IPv6 address has brackets in Host", async () => {
    let host = "";
    await using target = await loadTarget(({ head }) => {
      host = /^Host: (.*?)\r?$/m.exec(head)![1]!;
      return okAnswer;
    }, "::1");
    await load({ target: target.url, connections: 1, iterations: 1 });
    expect(host).toBe(`[::1]:${target.listener.port}`);
  });

  test.skipIf(!hasIpv6)("all addresses of a name are used", async () => {
    await using four = await loadTarget();
    const { port } = four.listener;
    let came = 0;
    await using _six = await listen({ host: "::1", port }, async (socket) => {
      came++;
      while ((await socket.next()) !== null) await socket.write(okAnswer);
    });
    const report = await load({
      ...{ target: `http://localhost:${port}`, connections: 8, iterations: 80 },
    });
    expect(report.iterations.outcomes).toEqual({ ok: 80 });
    expect([four.connections, came]).toEqual([4, 4]);
  });

  test("interim answers are no responses", async () => {
    await using target = await loadTarget(
      () =>
        `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okAnswer}`,
    );
    const report = await load({ target: target.url, connections: 1, iterations: 20 });
    expect(report.iterations.outcomes).toEqual({ ok: 20 });
    expect(target.requests).toBe(20);
  });

  test("the ledger balances, whatever the server does", async () => {
    await using target = await loadTarget(async ({ number }) => {
      if (number % 100 === 7) return { end: "reset" };
      if (number % 100 === 17) return { send: "HTTP/1.1 200 OK\r\nContent-Le", end: "close" };
      if (number % 100 === 27) return undefined;
      if (number % 100 === 37) return "SSH-2.0-OpenSSH\r\n";
      if (number % 100 === 47) return "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
      return okAnswer;
    });
    const report = await load({
      ...{ target: target.url, connections: 16, rate: 2000, iterations: 2000, timeout: 100 },
      ...{ catchUp: true, threads: 2, gracePeriod: 1000 },
    });
    const { due, sent, droppedBusy, droppedLate, unsent } = report.iterations;
    expect(due).toBe(2000);
    expect(due).toBe(sent + droppedBusy + droppedLate + unsent);
    expect(sent).toBe(sentOf(report));
    expect(target.requests).toBe(report.requests.sent);
    const { outcomes } = report.iterations;
    expect(outcomes["status 5xx"]).toBe(
      target.paths.filter((_, number) => number % 100 === 47).length,
    );
    expect(outcomes["bad http"]).toBe(
      target.paths.filter((_, number) => number % 100 === 37).length,
    );
  });

  test("nothing is sent again: a kept connection that closes before its answer is a kind of its own", async () => {
    let again = 0;
    await using target = await loadTarget(({ numberOnConnection }) => {
      if (numberOnConnection === 0) return okAnswer;
      again++;
      return { end: "close" };
    });
    const report = await load({ target: target.url, connections: 2, iterations: 100 });
    // Two users take turns in an order of their own.
    const { ok, "kept connection closed": closed } = report.iterations.outcomes;
    expect(ok! + closed!).toBe(100);
    expect(closed).toBe(again);
    expect(target.requests).toBe(100);
    const [failure] = report.failures;
    expect(failure!.example!.code).toBe("ERR_KEPT_CONNECTION_CLOSED");
  });
});
