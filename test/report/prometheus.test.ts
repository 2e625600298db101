/** The metrics of a run: the text, judged by Prometheus' own tool, and the server. */

import { afterEach, describe, expect, test } from "bun:test";
import { connect } from "../../index.ts";
import type { Progress } from "../../src/load/progress.ts";
import { prometheusText } from "../../src/report/prometheus.ts";
import { PrometheusEndpoint } from "../../src/report/prometheus_endpoint.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { runCommand } from "../support/run_command.ts";
import { sampleProgress } from "../support/sample_report.ts";

const progress = sampleProgress({ withFailures: true, seconds: 4 }).at(-1)!;
const hostile: Progress = {
  ...progress,
  plan: { ...progress.plan, target: 'http://a/"\\n"\n# HELP x\\' },
  totals: {
    ...progress.totals,
    checks: [{ name: 'a "quoted"\ncheck\\', passed: 1, failed: 0 }],
  },
};

/** The samples of a text, by name with labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describe("the text", () => {
  test.skipIf(!isInstalled("promtool"))("pleases promtool", async () => {
    const promtool = [installedProgram("promtool"), "check", "metrics"];
    for (const each of [
      progress,
      sampleProgress({ isClosedLoop: true, seconds: 1 })[0]!,
      hostile,
    ]) {
      const { text, stderr, exitCode } = await runCommand(promtool, prometheusText(each));
      expect([text, stderr, exitCode]).toEqual(["", "", 0]);
    }
    const { exitCode } = await runCommand(promtool, 'plait_load_x{a="b} 1\n');
    expect(exitCode).not.toBe(0);
  });

  test("counts what the totals count", () => {
    const found = samples(prometheusText(progress));
    const { iterations, requests, latencies } = progress.totals;
    const at = (name: string): number | undefined => found.get(`plait_load_${name}`);
    expect(at("iterations_due_total")).toBe(iterations.due);
    for (const [outcome, count] of Object.entries(iterations.outcomes)) {
      expect(at(`iterations_total{outcome="${outcome}"}`)).toBe(count);
      expect(at(`response_seconds_count{outcome="${outcome}"}`)).toBe(count);
      const sum = at(`response_seconds_sum{outcome="${outcome}"}`)!;
      expect(sum).toBeCloseTo(latencies.response[outcome]!.total / 1000, 9);
    }
    expect(at("received_bytes_total")).toBe(requests.bytesReceived);
    expect(at('step_seconds_count{step="login",outcome="ok"}')).toBe(iterations.sent);
    expect(at('checks_total{check="found",result="failed"}')).toBe(
      progress.totals.checks[0]!.failed,
    );
    expect(at("wanted_rate")).toBe(400);
    expect(at("elapsed_seconds")).toBe(5);
  });

  test("buckets are cumulative, in seconds, and end with all", () => {
    const found = [...samples(prometheusText(progress))];
    const prefix = 'plait_load_service_seconds_bucket{outcome="ok",le="';
    const buckets = found
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, count]): [number, number] => [
        Number(name.slice(prefix.length, -2).replace("+Inf", "Infinity")),
        count,
      ]);
    const bounds = buckets.map(([bound]) => bound);
    expect(bounds).toEqual(bounds.toSorted((left, right) => left - right));
    expect([bounds[0], bounds.at(-2), bounds.at(-1)]).toEqual([0.0001, 50, Infinity]);
    const histogram = progress.totals.latencies.service.ok!;
    for (const [bound, count] of buckets.slice(0, -1)) {
      expect([bound, count]).toEqual([bound, histogram.countUpTo(bound * 1000)]);
    }
    expect(buckets.at(-1)![1]).toBe(histogram.count);
  });

  test("a closed loop has no wanted rate, and a late generator is blamed", () => {
    const closed = samples(prometheusText(sampleProgress({ isClosedLoop: true, seconds: 1 })[0]!));
    expect(closed.has("plait_load_wanted_rate")).toBe(false);
    const late = sampleProgress({ isBottleneck: true, seconds: 7 });
    const blamed = late.map(
      (each) => samples(prometheusText(each)).get("plait_load_generator_is_bottleneck")!,
    );
    expect([blamed[0], blamed.at(-1)]).toEqual([0, 1]);
  });

  test("labels cannot end their line or their quotes", () => {
    const text = prometheusText(hostile);
    expect(text).toContain('target="http://a/\\"\\\\n\\"\\n# HELP x\\\\"');
    expect(text).toContain('check="a \\"quoted\\"\\ncheck\\\\"');
  });
});

describe("the server", () => {
  let endpoint: PrometheusEndpoint | undefined;
  afterEach(async () => {
    await endpoint?.close();
    endpoint = undefined;
  });

  async function opened(): Promise<PrometheusEndpoint> {
    endpoint = await PrometheusEndpoint.open(":0");
    return endpoint;
  }

  /** What the server answers to these bytes until it closes; the client sends nothing more. */
  async function answersTo(request: string, url: string): Promise<string> {
    using socket = await connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
    await socket.write(Buffer.from(request, "latin1"));
    await socket.shutdown();
    let text = "";
    for await (const chunk of socket) text += Buffer.from(chunk).toString("latin1");
    return text;
  }

  test("serves the numbers of the last interval", async () => {
    const { url, write } = await opened();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    const before = await fetch(url);
    expect([before.status, await before.text()]).toEqual([200, ""]);
    write(progress);
    const answer = await fetch(url);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await answer.text()).toBe(prometheusText(progress));
    expect((await fetch(`${url}?x=1`)).status).toBe(200);
    const head = await fetch(url, { method: "HEAD" });
    expect(Number(head.headers.get("content-length"))).toBe(prometheusText(progress).length);
    expect(await head.text()).toBe("");
  });

  test("another path is not found, and another method not allowed", async () => {
    const { url } = await opened();
    const elsewhere = await fetch(new URL("/", url));
    expect([elsewhere.status, await elsewhere.text()]).toEqual([
      ...[404, "404 Not Found: GET /metrics is here\n"],
    ]);
    const options = await fetch(url, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("several requests come on one connection, until one is the last", async () => {
    const { url, write } = await opened();
    const get = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    const last = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\n";
    const text = await answersTo(get + get + last + get, url);
    expect(text.match(/^HTTP\/1\.1 200 OK\r$/gm)?.length).toBe(3);
    expect(text.match(/^Connection: close\r$/gm)?.length).toBe(1);
    expect(text).toMatch(/^Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r$/m);
    const heads = await answersTo(get.replace("GET", "HEAD") + last, url);
    expect(heads.match(/^HTTP\/1\.1 200 OK\r$/gm)?.length).toBe(2);
    expect(heads).toMatch(/^Content-Length: 0\r\n\r\nHTTP/m);
    write(progress);
    const bodies = await answersTo(get.replace("GET", "HEAD") + last, url);
    expect(bodies.match(/^plait_load_elapsed_seconds/gm)?.length).toBe(1);
    const spaced = await answersTo(last.replace("keep-alive, ", "a , \t"), url);
    expect(spaced).toContain("\r\nConnection: close\r\n");
    const old = await answersTo("GET /metrics HTTP/1.0\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n", url);
    expect(old.match(/^HTTP\/1\.1 200 OK\r$/gm)?.length).toBe(1);
  });

  test.each([
    ["no HTTP", "hello\r\n\r\n", 400],
    ["no host", "GET /metrics HTTP/1.1\r\n\r\n", 400],
    ["two hosts", "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["another version", "GET /metrics HTTP/2.0\r\nHost: a\r\n\r\n", 400],
    ["two spaces", "GET  /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a folded field", "GET /metrics HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400],
    ["a space before the colon", "GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n", 400],
    ["a bare line feed", "GET /metrics HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400],
    ["a control character", "GET /metrics HTTP/1.1\r\nHost: a\0\r\n\r\n", 400],
    ["a body", "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\n", 413],
    [
      "two lengths",
      `GET /metrics HTTP/1.1\r\nHost: a\r\n${"Content-Length: 0\r\n".repeat(2)}\r\n`,
      413,
    ],
    ["chunks", "GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413],
    ["a long head", `GET /metrics HTTP/1.1\r\nX: ${"a".repeat(9000)}\r\n\r\n`, 431],
  ])("%s is refused, and the connection closed", async (_, request, status) => {
    const { url } = await opened();
    const text = await answersTo(`${request}GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n`, url);
    expect(text.match(/^HTTP\/1\.1 (\d+)/gm)).toEqual([`HTTP/1.1 ${status}`]);
    expect(text).toContain("\r\nConnection: close\r\n");
  });

  test("a request that is cut is not answered, and the next client is", async () => {
    const { url } = await opened();
    expect(await answersTo("GET /metrics HTTP/1.1\r\nHo", url)).toBe("");
    expect(await answersTo("", url)).toBe("");
    expect((await fetch(url)).status).toBe(200);
  });

  test("a client that says nothing more does not keep it open", async () => {
    const { url } = await opened();
    using socket = await connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
    await socket.write("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(Buffer.from((await socket.next())!).toString()).toStartWith("HTTP/1.1 200 OK\r\n");
    await endpoint!.close();
    expect(await socket.next()).toBeNull();
    await expect(fetch(url)).rejects.toThrow();
  });

  test("addresses", async () => {
    const { url } = await opened();
    const { port } = new URL(url);
    for (const address of [`:${port}`, port, `127.0.0.1:${port}`, `localhost:${port}`]) {
      await expect(PrometheusEndpoint.open(address)).rejects.toThrow("EADDRINUSE");
    }
    const wrong = ["", "9464x", ":65536", "::1:9464", "[::1]", "http://a:1", ":-1", "a:b:1"];
    for (const address of wrong) {
      await expect(PrometheusEndpoint.open(address)).rejects.toThrow(
        `Prometheus is served at an address such as :9464 or 0.0.0.0:9464, not ${JSON.stringify(address)}`,
      );
    }
  });
});
