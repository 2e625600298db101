/** What the options of `plait load` put on the wire, seen by nginx's log and by Bun.serve. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { listen } from "../../index.ts";
import type { Report } from "../../src/load/load.ts";
import { isInstalled } from "../support/installed_program.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { exitOf, loadReport, plaitLoad } from "../support/load_command.ts";
import { loadTarget, okAnswer } from "../support/load_target.ts";
import { type LoggedRequest, LoggingNginx } from "../support/logging_nginx.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

setDefaultTimeout(30_000);

const text = Array.from({ length: 500 }, (_, line) => `line ${line} of a text\n`).join("");

describe.skipIf(!isInstalled("nginx"))("nginx", () => {
  let nginx: LoggingNginx;
  let origin: string;
  let runs = 0;

  beforeAll(async () => {
    const more = `
      gzip on; gzip_min_length 1; gzip_types *;
      location = /old { return 302 /new; }
      location = /new { return 200 "new"; }
      location = /loop { return 302 /loop; }
      location = /away { return 302 http://127.0.0.2/; }
      location = /set { add_header Set-Cookie "seen=yes; Path=/"; return 200 "set"; }
      location = /gone { return 410; }
      location = /torn { add_header Content-Encoding gzip; return 200 "no gzip"; }`;
    nginx = await LoggingNginx.start({ file: text }, undefined, more);
    origin = `http://127.0.0.1:${nginx.port}`;
  });
  afterAll(async () => await nginx[Symbol.asyncDispose]());

  /** Runs the command, and returns its report with the lines of nginx's log that have the path. */
  async function made(
    path: string,
    ...words: readonly string[]
  ): Promise<{ report: Report; log: LoggedRequest[] }> {
    const target = path.startsWith("/") ? origin + path : path;
    const agent = `run ${runs++}`;
    const count = words.includes("-n") ? [] : ["-n", "8"];
    const connections = words.includes("-c") ? [] : ["-c", "2"];
    const run = await loadReport([
      ...[target, ...count, ...connections, "-H", `User-Agent: ${agent}`, ...words],
    ]);
    expect([run.report.verdict.exitCode, exitOf(run)]).toEqual([run.exitCode!, 0]);
    return { report: run.report, log: await nginx.requests(run.report.requests.sent, agent) };
  }

  const eight = (value: string): string[] => Array.from({ length: 8 }, () => value);

  test.concurrent("-m HEAD has no bodies, and --no-keep-alive a connection for each request", async () => {
    const { report, log } = await made("/file", "-m", "HEAD", "--no-keep-alive");
    expect(log.map(({ method }) => method)).toEqual(eight("HEAD"));
    expect(new Set(log.map(({ connection }) => connection)).size).toBe(8);
    expect(report.latencies.connect.count).toBe(8);
    expect(report.requests.outcomes).toEqual({ ok: 8 });
    expect(report.requests.bytesReceived).toBeLessThan(8 * 400);
    expect(report.plan.scenario).toBe("HEAD /file");
  });

  test.concurrent("secrets are sent, and no report has them", async () => {
    using folder = new TemporaryFolder();
    const files = ["html", "hlog", "csv"].map((kind) => [`--${kind}`, folder.file(kind)]);
    const { port } = nginx;
    const run = await loadReport([
      ...[`http://someone:pa55word@127.0.0.1:${port}/file`, "-n", "4", "-c", "1"],
      ...[
        "-H",
        "User-Agent: secretive",
        "-H",
        "Cookie: session=5e55ion",
        "-HX-Api-Key: ap1key",
        ...files.flat(),
      ],
    ]);
    const log = await nginx.requests(4, "secretive");
    const credentials = Buffer.from("someone:pa55word").toString("base64");
    expect(log[0]).toMatchObject({
      authorization: `Basic ${credentials}`,
      cookie: "session=5e55ion",
    });
    const shown = [run.stdout, run.stderr, ...files.map(([, path]) => readFileSync(path!, "utf8"))];
    for (const each of shown) {
      for (const secret of ["pa55word", "someone", "5e55ion", "ap1key", credentials]) {
        expect(each).not.toContain(secret);
      }
    }
    expect(run.report.plan.target).toBe(`http://...@127.0.0.1:${port}/file`);
    expect(run.report.command).toStartWith(`plait load http://...@127.0.0.1:${port}/file -n 4`);
    expect(run.report.command).toContain("-H 'Cookie: ...' '-HX-Api-Key: ...'");
  });

  test.concurrent("an Authorization of one's own takes the place of the URL's, and a Host that of the target", async () => {
    const { log } = await made(
      ...[`http://someone:pa55word@127.0.0.1:${nginx.port}/file`, "-H", "Authorization: Bearer x"],
      ...["-H", "host: good.example"],
    );
    expect(log[0]).toMatchObject({ authorization: "Bearer x", host: "good.example" });
    expect(log.length).toBe(8);
  });

  test.concurrent("a status is a failure unless it is expected, and failures are no exit code", async () => {
    const [unexpected, expected] = await Promise.all([
      made("/gone"),
      made("/gone", "--expect", "200,400-410"),
    ]);
    expect(unexpected.report.iterations.outcomes).toEqual({ "status 4xx": 8 });
    expect(unexpected.report.failures[0]!.example!.message).toBe("the status is 410");
    expect(expected.report.iterations.outcomes).toEqual({ ok: 8 });
  });

  test.concurrent("redirects are answers, and are followed when that is asked for", async () => {
    const [answers, followed] = await Promise.all([
      made("/old"),
      made("/old", "--redirects", "2", "-c", "1"),
    ]);
    expect(answers.log.map(({ uri, status }) => `${uri} ${status}`)).toEqual(eight("/old 302"));
    expect(answers.report.iterations.outcomes).toEqual({ ok: 8 });
    expect(followed.log.map(({ uri, status }) => `${uri} ${status}`)).toEqual(
      eight("/old 302").flatMap((old) => [old, "/new 200"]),
    );
    expect(followed.report.iterations.outcomes).toEqual({ ok: 8 });
    expect(followed.report.requests.sent).toBe(16);
  });

  test.concurrent("redirects without an end, and those that lead elsewhere, are failures", async () => {
    const [loop, away] = await Promise.all([
      made("/loop", "--redirects", "2"),
      made("/away", "--redirects", "2"),
    ]);
    expect(loop.report.iterations.outcomes).toEqual({ "bad redirect": 8 });
    expect(loop.log.length).toBe(24);
    expect(away.report.iterations.outcomes).toEqual({ "bad redirect": 8 });
    expect(away.report.failures[0]!.example!.message).toContain("it leads to http://127.0.0.2");
  });

  test.concurrent("cookies are those of each connection, when that is asked for", async () => {
    const { log } = await made("/set", "--cookies");
    for (const { cookie, onConnection } of log) {
      expect(cookie).toBe(onConnection === 1 ? "" : "seen=yes");
    }
    expect(log.filter(({ onConnection }) => onConnection === 1).length).toBeLessThanOrEqual(2);
  });

  test.concurrent("bodies come compressed when that is asked for, and one that is torn is a failure", async () => {
    const [small, torn] = await Promise.all([
      made("/file", "--decompress"),
      made("/torn", "--decompress"),
    ]);
    expect(small.log[0]!.acceptEncoding).toContain("gzip");
    expect(small.report.requests).toMatchObject({ outcomes: { ok: 8 } });
    expect(small.report.requests.bytesReceived).toBeLessThan(4 * text.length);
    expect(torn.report.iterations.outcomes).toEqual({ "bad content": 8 });
  });

  test.concurrent("--connect-to leads elsewhere, and Host stays", async () => {
    const target = "http://plait.invalid:81/file";
    const place = `127.0.0.1:${nginx.port}`;
    const places = [`plait.invalid:81:${place}`, `unix:${nginx.path}`];
    const other = "other.invalid:81:127.0.0.1:1";
    const all = await Promise.all(
      places.map((to) => made(target, "--connect-to", other, "--connect-to", to)),
    );
    for (const [index, { log }] of all.entries()) {
      expect(log.map(({ host }) => host)).toEqual(eight("plait.invalid:81"));
      expect(log[0]!.address).toBe(index === 1 ? "unix:" : "127.0.0.1");
    }
  });

  test.concurrent("--source takes addresses in turn", async () => {
    const sources = ["--source", "127.0.0.2", "--source", "127.0.0.3,127.0.0.4"];
    const { log } = await made("/file", ...sources, "-n", "60", "-c", "6", "--no-keep-alive");
    const counts: Record<string, number> = {};
    for (const { address } of log) counts[address] = (counts[address] ?? 0) + 1;
    expect(counts).toEqual({ "127.0.0.2": 20, "127.0.0.3": 20, "127.0.0.4": 20 });
  });

  test.concurrent("--pipeline has several requests under way on a connection, each with its answer", async () => {
    const { report, log } = await made("/file", "-n", "200", "--pipeline", "8");
    expect(report.requests.outcomes).toEqual({ ok: 200 });
    expect(report.latencies.connect.count).toBe(2);
    expect(new Set(log.map(({ connection }) => connection)).size).toBeLessThanOrEqual(2);
  });
});

test("bodies and repeated headers come as they were given", async () => {
  using folder = new TemporaryFolder();
  const bytes = Buffer.from([0, 255, 13, 10, 0x1f, 0x8b, 64]);
  writeFileSync(folder.file("body.bin"), bytes);
  const seen: { method: string; type: string | null; test: string | null; body: string }[] = [];
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { method, headers } = request;
      const body = Buffer.from(await request.arrayBuffer()).toString("base64");
      seen.push({ method, type: headers.get("content-type"), test: headers.get("x-test"), body });
      return new Response("ok");
    },
  });
  const target = `http://127.0.0.1:${server.port}/`;
  const cases = [
    [["-b", "@body.bin", "-H", "Content-Type: a/b"], "POST", "a/b", bytes.toString("base64")],
    [["-b", "@@x ü"], "POST", null, Buffer.from("@x ü").toString("base64")],
    [["-b", "", "-m", "PUT"], "PUT", null, ""],
  ] as const;
  for (const [words, method, type, body] of cases) {
    seen.length = 0;
    const run = await loadReport(
      [target, "-n", "2", "-c", "1", "-H", "X-Test: one", "-H", "x-test: two", ...words],
      { cwd: folder.path },
    );
    expect(run.report.iterations.outcomes).toEqual({ ok: 2 });
    const one = { method, type, test: "one, two", body };
    expect(seen).toEqual([one, one]);
  }
  const missing = await plaitLoad([target, "-b", "@none.bin"], { cwd: folder.path });
  expect(missing.exitCode).toBe(2);
  expect(missing.stderr).toContain("plait: --body: none.bin cannot be read: ");
});

test.skipIf(!hasIpv6)("-4 and -6 choose the addresses of a name", async () => {
  await using four = await loadTarget();
  const { port } = four.listener;
  let came = 0;
  await using _six = await listen({ host: "::1", port }, async (socket) => {
    came++;
    while ((await socket.next()) !== null) await socket.write(okAnswer);
  });
  const counts: number[][] = [];
  for (const family of [["-4"], ["-6"]]) {
    const { report } = await loadReport([
      ...[`http://localhost:${port}/`, "-n", "40", "-c", "4", ...family],
    ]);
    expect(report.iterations.outcomes).toEqual({ ok: 40 });
    counts.push([four.connections, came]);
  }
  expect(counts).toEqual([
    [4, 0],
    [4, 4],
  ]);
  const wrong = await plaitLoad([`http://127.0.0.1:${port}/`, "-6"]);
  expect([wrong.exitCode, wrong.stderr]).toEqual([2, "plait: 127.0.0.1 is no IPv6 address\n"]);
});

test("an address that is none of this machine is refused before the run", async () => {
  await using target = await loadTarget();
  const run = await plaitLoad([target.url, "--source", "127.0.0.1,203.0.113.7"]);
  expect(run.stderr).toContain("plait: --source: 203.0.113.7 is no address of this machine\n");
  expect([run.exitCode, target.connections]).toEqual([2, 0]);
});
