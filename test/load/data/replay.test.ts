/** Replays: a HAR of Chromium, logs that nginx and Apache write, and files that are neither. */

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, deadline } from "../../../index.ts";
import {
  type AccessLogOptions,
  mostLogLineBytes,
  readAccessLog,
} from "../../../src/load/data/access_log.ts";
import { readHar } from "../../../src/load/data/har.ts";
import { atSpeed, type Replay, skippedSentences } from "../../../src/load/data/replay.ts";
import { isInstalled } from "../../support/installed_program.ts";
import { startNginx } from "../../support/nginx.ts";
import { pollUntil } from "../../support/poll.ts";
import { TemporaryFolder } from "../../support/temporary_folder.ts";

/** What a function makes of a file, or the sentence of its error. */
function ofFile<Result>(contents: string, read: (path: string) => Result): Result | string {
  using folder = new TemporaryFolder();
  const path = folder.file("file");
  writeFileSync(path, contents);
  try {
    return read(path);
  } catch (error) {
    const { name, message } = error as Error;
    return `${name}: ${message.replaceAll(path, "file")}`;
  }
}

function replayOf(contents: string, read: (path: string) => Replay): Replay {
  const replay = ofFile(contents, read);
  if (typeof replay === "string") throw new Error(replay);
  return replay;
}

const textOf = (body: Uint8Array | undefined): string | undefined =>
  body === undefined ? undefined : new TextDecoder().decode(body);

describe("a HAR that Chromium has made", () => {
  // Recorded by playwright-core; the page made these requests with fetch, a form, and a WebSocket.
  const replay = readHar(join(import.meta.dir, "browser.har"));

  test("has the requests in their order, with their bodies", () => {
    expect(
      replay.requests.map(({ method, path, body }) => [method, path, textOf(body)] as const),
    ).toEqual([
      ["GET", "/", undefined],
      ["GET", "/style.css?v=1", undefined],
      ["GET", "/item/1?x=a%20b&y=%C3%BC", undefined],
      ["POST", "/item", '{"name":"Jörg","n":1}'],
      ["GET", "/old", undefined],
      ["GET", "/new", undefined],
      ["DELETE", "/item/2", undefined],
      ["POST", "/form", "name=J%C3%B6rg+%26+co&n=5"],
    ]);
    expect(new Set(replay.requests.map(({ origin }) => origin))).toEqual(
      new Set(["http://127.0.0.1:8917"]),
    );
  });

  test("has the times from the first request", () => {
    expect([...replay.times]).toEqual([0, 289, 451, 744, 967, 1179, 1257, 1625]);
  });

  test("has the headers that are not the connection's", () => {
    const { headers } = replay.requests[2]!;
    const names = Object.keys(headers).map((name) => name.toLowerCase());
    expect(names).toContain("user-agent");
    expect(names).not.toContainAnyValues(["host", "connection", "content-length"]);
    expect(headers).toMatchObject({ "X-Token": ["t 1"], Cookie: ["session=abc"] });
    expect(replay.requests[3]!.headers).toMatchObject({ "content-type": ["application/json"] });
  });

  test("says what it leaves out", () => {
    expect(skippedSentences(replay)).toEqual([
      "1 left out: the HAR does not have its body; such as PUT http://127.0.0.1:8917/bytes",
      "1 left out: it is a WebSocket; such as GET ws://127.0.0.1:8917/socket",
    ]);
  });
});

describe("a HAR", () => {
  const entry = (request: object, time = "2026-01-02T03:04:05.006Z"): object => ({
    startedDateTime: time,
    request: { method: "GET", url: "https://example.org/", headers: [], ...request },
  });
  const har = (...entries: object[]): string => JSON.stringify({ log: { entries } });
  const header = (name: string, value: string): object => ({ name, value });

  test("leaves out pseudo headers, and those that Connection names", () => {
    const headers = [
      header(":authority", "example.org"),
      header("connection", "keep-alive, X-Hop"),
      header("x-hop", "1"),
      header("TE", "trailers"),
      header("Transfer-Encoding", "chunked"),
      header("Accept", "a"),
      header("accept", "b"),
      header("__proto__", "c"),
    ];
    const [request] = replayOf(har(entry({ headers })), readHar).requests;
    expect(Object.entries(request!.headers)).toEqual([
      ["Accept", ["a", "b"]],
      ["__proto__", ["c"]],
    ]);
  });

  test("may have entries in any order, other zones, and parts of milliseconds", () => {
    const replay = replayOf(
      har(
        entry({ url: "https://example.org/3" }, "2026-01-02T03:04:06.006Z"),
        entry({ url: "https://example.org/1" }, "2026-01-02T04:04:05.006+01:00"),
        entry({ url: "https://example.org/2#part" }, "2026-01-02T03:04:05.00625Z"),
      ),
      readHar,
    );
    expect(replay.requests.map(({ path }) => path)).toEqual(["/1", "/2", "/3"]);
    expect([...replay.times]).toEqual([0, 0.25, 1000]);
  });

  test("may have bodies in base64, as parameters, and without a type", () => {
    const post = (postData: object): object => entry({ method: "POST", postData });
    const replay = replayOf(
      har(
        post({ mimeType: "image/png", text: "AP8=", encoding: "base64" }),
        post({ params: [{ name: "a b", value: "ü" }, { name: "c" }] }),
        post({ mimeType: "multipart/form-data", params: [{ name: "a", value: "b" }] }),
      ),
      readHar,
    );
    expect(replay.requests.map(({ body }) => body && [...body])).toEqual([
      [0, 255],
      [...new TextEncoder().encode("a+b=%C3%BC&c=")],
    ]);
    expect(replay.requests[0]!.headers).toEqual({ "content-type": ["image/png"] });
    expect(replay.skipped).toMatchObject([{ reason: "the HAR does not have its body", count: 1 }]);
  });

  test("leaves out what is not HTTP, with its count and the first one", () => {
    const replay = replayOf(
      har(
        entry({}),
        entry({ url: "data:text/plain,hello" }),
        entry({ url: "data:text/plain,again" }),
        entry({ url: "wss://example.org/socket" }),
        entry({ url: "chrome-extension://abc/x.js" }),
        entry({ url: "nonsense" }),
        entry({ method: "CONNECT" }),
        entry({ method: "GE T" }),
        entry({ headers: [header("X-Bad", "a\r\nEvil: 1")] }),
        entry({ url: 5 }),
        entry({}, "yesterday"),
      ),
      readHar,
    );
    expect(replay.requests).toHaveLength(1);
    expect(skippedSentences(replay)).toEqual([
      "2 left out: a data: URL is never sent; such as GET data:text/plain,hello",
      "1 left out: it is a WebSocket; such as GET wss://example.org/socket",
      "1 left out: chrome-extension: is not HTTP; such as GET chrome-extension://abc/x.js",
      "1 left out: its URL is none; such as GET nonsense",
      "1 left out: CONNECT is for proxies; such as CONNECT https://example.org/",
      "2 left out: HTTP does not allow it; such as GE T https://example.org/",
      '1 left out: an entry has no method or no URL; such as {"startedDateTime":"2026-01-02T03:04:05.006Z","request":{"method":"GET","url":5,"headers":[]}}',
      "1 left out: an entry has no time (ISO 8601); such as GET https://example.org/",
    ]);
  });

  test.each([
    ["{", /^DataFileError: file is no HAR: .+$/],
    ["[]", "DataFileError: file is no HAR: it has no log.entries"],
    ['{"log":{"entries":{}}}', "DataFileError: file is no HAR: it has no log.entries"],
    [har(), "DataFileError: file is a HAR without a request to replay"],
    [
      har(entry({ url: "data:,x" })),
      "DataFileError: file is a HAR without a request to replay: 1 left out, since a data: URL is never sent; the first is GET data:,x",
    ],
  ])("%p is refused", (contents, sentence) => {
    expect(ofFile(contents, readHar)).toEqual(
      typeof sentence === "string" ? sentence : expect.stringMatching(sentence),
    );
  });
});

const log = (...lines: string[]): string => lines.map((line) => `${line}\n`).join("");
const read =
  (options?: AccessLogOptions) =>
  (path: string): Replay =>
    readAccessLog(path, options);

describe("an access log", () => {
  test("in the common format has times and requests", () => {
    const replay = replayOf(
      log(
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?x=1 HTTP/1.0" 200 2326',
        '::1 - - [10/Oct/2000:20:55:38 +0000] "HEAD / HTTP/2.0" 304 -',
        '10.0.0.1 - two words [10/Oct/2000:22:55:37 +0200] "OPTIONS * HTTP/1.1" 200 0',
        '10.0.0.1 - - [10/Oct/2000:22:55:39 +0200] "GET http://example.org/proxied?x HTTP/1.1" 200 0',
        '10.0.0.1 - - [10/Oct/2000:22:55:39 +0200] "GET http://example.org HTTP/1.1" 200 0',
      ),
      read(),
    );
    expect(replay.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /apache_pb.gif?x=1",
      "OPTIONS *",
      "HEAD /",
      "GET /proxied?x",
      "GET /",
    ]);
    expect([...replay.times]).toEqual([0, 1000, 2000, 3000, 3500]);
    expect(replay.requests[0]).toEqual({
      method: "GET",
      origin: undefined,
      path: "/apache_pb.gif?x=1",
      headers: {},
      body: undefined,
    });
  });

  test("in the combined format has headers, which may be left out", () => {
    const line = String.raw`1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET /a HTTP/1.1" 200 5 "http://x/\"q\"" "A\x22B \\ \xC3"`;
    const extra = `${line} "10.0.0.1" 0.004`;
    const [request, other] = replayOf(log(line, extra), read()).requests;
    expect(request!.headers).toEqual({ referer: 'http://x/"q"', "user-agent": 'A"B \\ Ã' });
    expect(other).toBe(request!);
    expect(replayOf(log(line), read({ headers: false })).requests[0]!.headers).toEqual({});
  });

  test("is read as Apache has written it", () => {
    // Lines of an Apache 2.4 that got such requests.
    const start = "127.0.0.1 - - [27/Nov/2026:20:20:41 +0000]";
    const lines = [
      String.raw`${start} "GET /a%22b?q=\"x\"\\ HTTP/1.1" 404 416 "-" "-"`,
      String.raw`${start} "\x16\x03\x01\n" 400 448 "-" "-"`,
      String.raw`${start} "GET /\xc3\xbc HTTP/1.1" 404 416 "-" "-"`,
      `${start} "GET http://x/abs HTTP/1.1" 404 416 "-" "-"`,
      `${start} "OPTIONS * HTTP/1.1" 200 -`,
    ];
    const { requests, skipped } = replayOf(log(...lines), read());
    expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /a%22b?q="x"\\',
      "GET /abs",
      "OPTIONS *",
    ]);
    expect(skipped).toEqual([
      { reason: "a line does not parse", count: 1, first: lines[1]! },
      { reason: "HTTP does not allow it", count: 1, first: lines[2]! },
    ]);
  });

  test("has the requests of a second evenly within it", () => {
    const line = (second: string, path: string): string =>
      `1.2.3.4 - - [02/Jan/2026:03:04:${second} +0000] "GET ${path} HTTP/1.1" 200 5`;
    // The log is written when a request ends: seconds can be out of order.
    const contents = log(line("05", "/1"), line("06", "/3"), line("05", "/2"), line("08", "/4"));
    const replay = replayOf(contents, read());
    expect(replay.requests.map(({ path }) => path)).toEqual(["/1", "/2", "/3", "/4"]);
    expect([...replay.times]).toEqual([0, 500, 1000, 3000]);
  });

  test("counts lines that do not parse, and shows the first", () => {
    const good = '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 5';
    const wrong = [
      String.raw`1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "\x16\x03\x01" 400 157 "-" "-"`,
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET /" 200 5',
      '1.2.3.4 - - [31/Feb/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Foo/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Jan/2026:25:04:05 +0000] "GET / HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Jan/2026:03:04:05] "GET / HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET a HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200',
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 20 5',
      `${good}${"x".repeat(mostLogLineBytes)}`,
      "\u001b[31mred",
    ];
    const { requests, skipped } = replayOf(log(...wrong, "", good), read());
    expect(requests).toHaveLength(1);
    expect(skipped).toEqual([
      { reason: "a line does not parse", count: wrong.length, first: wrong[0]! },
    ]);
    expect(ofFile(log("\u001b[31mred"), read())).toBe(
      "DataFileError: file is an access log without a request to replay: " +
        "1 left out, since a line does not parse; the first is ?[31mred",
    );
  });

  test("leaves out requests whose bodies it does not have, unless they are wanted", () => {
    const contents = log(
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "POST /a HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "DELETE /a HTTP/1.1" 200 5',
    );
    const without = replayOf(contents, read());
    expect(without.requests.map(({ method }) => method)).toEqual(["DELETE"]);
    expect(without.skipped).toMatchObject([
      { reason: "the log has no bodies, as of POST", count: 1 },
    ]);
    const all = replayOf(contents, read({ withoutBody: "send" }));
    expect(all.requests.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
  });

  test("is read in parts, and lines may end as those of Windows or not at all", () => {
    const count = 3000;
    const line = (index: number): string =>
      `1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET /${index}${"y".repeat(index % 90)} HTTP/1.1" 200 5`;
    const contents = Array.from({ length: count }, (_, index) => line(index)).join("\r\n");
    const { requests, times, skipped } = replayOf(contents, read());
    expect(skipped).toEqual([]);
    expect(requests.map(({ path }) => Number.parseInt(path.slice(1), 10))).toEqual(
      Array.from({ length: count }, (_, index) => index),
    );
    expect(times.at(-1)).toBeCloseTo((1000 * (count - 1)) / count, 9);
  });

  test("with many brackets and quotes takes no time that grows faster than it", () => {
    const started = performance.now();
    for (const piece of ["[02/Jan/2026:03:04:05 +0000] ", '"', '\\"', " ", "a "]) {
      const line = `1 - ${piece.repeat(Math.floor(60_000 / piece.length))}`;
      expect(ofFile(log(line), read())).toStartWith("DataFileError");
    }
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("has options that are checked", () => {
    expect(() => readAccessLog("x", { withoutBody: "maybe" as never })).toThrow(
      'withoutBody is "skip" or "send"',
    );
    expect(() => readAccessLog("x", { headers: 1 as never })).toThrow("headers is true or false");
    expect(() => readAccessLog("x", { speed: 1 } as never)).toThrow('has no option "speed"');
    expect(() => readAccessLog("/nowhere")).toThrow(
      "/nowhere cannot be read: there is no such file",
    );
  });
});

describe("the speed of a replay", () => {
  const replay = replayOf(
    log(
      '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET /1 HTTP/1.1" 200 5',
      '1.2.3.4 - - [02/Jan/2026:03:04:15 +0000] "GET /2 HTTP/1.1" 200 5',
    ),
    read(),
  );

  test("is that of the recording, or faster or slower", () => {
    expect(atSpeed(replay, 1)).toBe(replay);
    expect([...atSpeed(replay, 2).times]).toEqual([0, 5000]);
    expect([...atSpeed(replay, 0.5).times]).toEqual([0, 20_000]);
    expect(atSpeed(replay, 2).isClosedLoop).toBe(false);
    expect([...replay.times]).toEqual([0, 10_000]);
  });

  test("is a closed loop when it is as fast as possible", () => {
    const fast = atSpeed(replay, Number.POSITIVE_INFINITY);
    expect(fast.isClosedLoop).toBe(true);
    expect([...fast.times]).toEqual([0, 0]);
  });

  test("is above 0", () => {
    expect(() => atSpeed(replay, 0)).toThrow("speed is above 0, not 0");
    expect(() => atSpeed(replay, Number.NaN)).toThrow("speed is a number");
    expect(() => atSpeed(replay, "2" as never)).toThrow("speed is a number");
  });
});

test.skipIf(!isInstalled("nginx"))("nginx's own log is what was sent", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("access.log");
  await using nginx = await startNginx(
    { "a.txt": "hello" },
    undefined,
    `access_log ${path} combined;`,
  );
  const until = deadline(5000);
  const requests = [
    'GET /a.txt?first HTTP/1.1\r\nUser-Agent: odd "agent" \\ \xe4\r\nReferer: http://x/\r\n',
    "HEAD /a.txt HTTP/1.1\r\n",
    "DELETE /none HTTP/1.1\r\n",
    "POST /a.txt HTTP/1.1\r\nContent-Length: 2\r\n",
    "GET /%C3%BC%22 HTTP/1.0\r\n",
  ];
  for (const request of requests) {
    await using socket = await connect({ host: "127.0.0.1", port: nginx.port, deadline: until });
    const body = request.startsWith("POST") ? "hi" : "";
    const bytes = Buffer.from(`${request}Host: x\r\nConnection: close\r\n\r\n${body}`, "latin1");
    await socket.write(bytes, until);
    while ((await socket.next(until)) !== null);
  }
  {
    await using nonsense = await connect({ host: "127.0.0.1", port: nginx.port, deadline: until });
    await nonsense.write(Uint8Array.of(22, 3, 1, 0, 1, 10), until);
    while ((await nonsense.next(until)) !== null);
  }
  // nginx writes the line when it has seen the end of the connection.
  const lines = (): number => readFileSync(path, "latin1").split("\n").length - 1;
  await pollUntil("nginx has logged everything", () => lines() === requests.length + 1);

  const replay = readAccessLog(path);
  // The probe of the start sends nothing, and nginx logs nothing of it.
  expect(replay.requests.map(({ method, path: target }) => `${method} ${target}`)).toEqual([
    "GET /a.txt?first",
    "HEAD /a.txt",
    "DELETE /none",
    "GET /%C3%BC%22",
  ]);
  expect(replay.requests[0]!.headers).toEqual({
    referer: "http://x/",
    "user-agent": 'odd "agent" \\ \xe4',
  });
  expect(replay.skipped.map(({ reason, count }) => ({ reason, count }))).toEqual([
    { reason: "the log has no bodies, as of POST", count: 1 },
    { reason: "a line does not parse", count: 1 },
  ]);
  expect(replay.times[0]).toBe(0);
  expect(replay.times.at(-1)!).toBeLessThan(10_000);
});
