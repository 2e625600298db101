/** The answers of real servers: nginx, node:http and Bun.serve, one after another on a connection, and pipelined. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "../../index.ts";
import type { Answer, Keep } from "../../src/http/answer.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { after } from "../../src/values/deadlines.ts";
import { isInstalled } from "../support/installed_program.ts";
import { type Nginx, startNginx } from "../support/nginx.ts";

const large = "0123456789abcdef".repeat(40_000);

interface Asked {
  readonly method?: string;
  readonly headers?: string;
  readonly version?: string;
}

/** Sends all requests at once, and reads their answers. */
async function ask(
  port: number,
  requests: readonly (readonly [path: string, asked?: Asked])[],
  keep: Keep = "body",
): Promise<Answer[]> {
  using socket = await connect({ host: "127.0.0.1", port });
  const reader = new AnswerReader(socket);
  let text = "";
  for (const [path, { method = "GET", headers = "", version = "1.1" } = {}] of requests) {
    text += `${method} ${path} HTTP/${version}\r\nHost: x\r\n${headers}\r\n`;
  }
  await socket.write(text);
  const answers: Answer[] = [];
  for (const [, asked] of requests) {
    answers.push(await reader.read(keep, asked?.method === "HEAD", 1 << 20, after(5000)));
  }
  expect(reader.hasUnread).toBe(false);
  return answers;
}

describe("node:http", () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = createServer((request, response) => {
      switch (request.url) {
        case "/trailers":
          response.writeHead(200, { Trailer: "Check, Set-Cookie" });
          response.write("abc");
          response.addTrailers({ Check: "5", "Set-Cookie": "a=b" });
          response.end("def");
          break;
        case "/interim":
          response.writeProcessing();
          response.writeEarlyHints({ link: "</style.css>; rel=preload" });
          response.end("after");
          break;
        case "/chunks":
          for (let start = 0; start < large.length; start += 10_000) {
            response.write(large.slice(start, start + 10_000));
          }
          response.end();
          break;
        case "/close":
          response.setHeader("Connection", "close");
          response.end("last");
          break;
        case "/empty":
          response.writeHead(204).end();
          break;
        default:
          response.setHeader("Content-Length", large.length);
          response.end(request.method === "HEAD" ? undefined : large);
      }
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    ({ port } = server.address() as AddressInfo);
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test("answers in all framings of HTTP/1.1, pipelined", async () => {
    const answers = await ask(port, [
      ["/trailers"],
      ["/interim"],
      ["/large"],
      ["/large", { method: "HEAD" }],
      ["/empty"],
      ["/chunks"],
      ["/close"],
    ]);
    const [trailers, interim, whole, head, empty, chunks, close] = answers;
    expect(trailers!.text()).toBe("abcdef");
    expect(Object.fromEntries(trailers!.trailers)).toEqual({ check: ["5"], "set-cookie": ["a=b"] });
    expect(trailers!.headers("set-cookie")).toEqual([]);
    expect([interim!.status, interim!.text()]).toEqual([200, "after"]);
    expect(whole!.text() === large).toBe(true);
    expect([head!.bodyLength, head!.header("content-length")]).toEqual([0, `${large.length}`]);
    expect([empty!.status, empty!.bodyLength]).toEqual([204, 0]);
    expect(chunks!.header("transfer-encoding")).toBe("chunked");
    expect(chunks!.text() === large).toBe(true);
    expect(answers.map((answer) => answer.keepsAlive)).toEqual([...Array(6).fill(true), false]);
    expect(close!.text()).toBe("last");
  });

  test("answers are counted alike when they are not kept", async () => {
    for (const keep of ["status", "head"] as const) {
      const answers = await ask(port, [["/chunks"], ["/large"], ["/trailers"], ["/close"]], keep);
      const lengths = answers.map((answer) => answer.bodyLength);
      expect(lengths).toEqual([large.length, large.length, 6, 4]);
    }
  });

  test("a body ends with the connection in HTTP/1.0", async () => {
    const [answer] = await ask(port, [["/chunks", { version: "1.0" }]]);
    expect([answer!.header("transfer-encoding"), answer!.keepsAlive]).toEqual([undefined, false]);
    expect(answer!.text() === large).toBe(true);
  });
});

describe.if(isInstalled("nginx"))("nginx", () => {
  let upstream: Server;
  let nginx: Nginx;
  beforeAll(async () => {
    upstream = createServer((_request, response) => {
      response.write(large);
      response.end("end");
    });
    await once(upstream.listen(0, "127.0.0.1"), "listening");
    const { port } = upstream.address() as AddressInfo;
    nginx = await startNginx(
      { "file.txt": large, "page.shtml": `<!--#echo var="uri" -->!` },
      undefined,
      `location /page { ssi on; ssi_types *; }
       location /proxied { proxy_pass http://127.0.0.1:${port}; proxy_http_version 1.1; }
       location /moved { return 301 /file.txt; }`,
    );
  });
  afterAll(async () => {
    await nginx?.[Symbol.asyncDispose]();
    upstream?.closeAllConnections();
    upstream?.close();
  });

  test("answers in all its framings, pipelined", async () => {
    const [file] = await ask(nginx.port, [["/file.txt"]]);
    const tag = file!.header("etag");
    const answers = await ask(nginx.port, [
      ["/file.txt"],
      ["/file.txt", { method: "HEAD" }],
      ["/file.txt", { headers: `If-None-Match: ${tag}\r\n` }],
      ["/file.txt", { headers: "Range: bytes=5-9\r\n" }],
      ["/page.shtml"],
      ["/proxied"],
      ["/moved"],
      ["/none"],
      ["/file.txt", { headers: "Connection: close\r\n" }],
    ]);
    const [whole, head, same, part, page, proxied, moved, none, last] = answers;
    expect(answers.map((answer) => answer.status)).toEqual([
      ...[200, 200, 304, 206, 200, 200, 301, 404, 200],
    ]);
    expect(answers.map((answer) => answer.keepsAlive)).toEqual([...Array(8).fill(true), false]);
    expect([whole!.text() === large, last!.text() === large]).toEqual([true, true]);
    expect([head!.bodyLength, same!.bodyLength]).toEqual([0, 0]);
    expect(part!.text()).toBe("56789");
    expect([page!.header("transfer-encoding"), page!.text()]).toEqual(["chunked", "/page.shtml!"]);
    expect(proxied!.header("transfer-encoding")).toBe("chunked");
    expect(proxied!.text() === `${large}end`).toBe(true);
    expect(moved!.header("location")).toEndWith("/file.txt");
    expect(none!.header("content-length")).toBe(`${none!.bodyLength}`);
  });

  test("a body ends with the connection in HTTP/1.0", async () => {
    for (const keep of ["body", "status"] as const) {
      const [answer] = await ask(nginx.port, [["/proxied", { version: "1.0" }]], keep);
      expect([answer!.bodyLength, answer!.keepsAlive]).toEqual([large.length + 3, false]);
    }
  });

  test("a request that is none gets an answer that closes", async () => {
    const [answer] = await ask(nginx.port, [["/file .txt"]]);
    expect([answer!.status, answer!.keepsAlive]).toEqual([400, false]);
  });
});

describe("Bun.serve", () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/stream") {
        let start = 0;
        return new Response(
          new ReadableStream({
            async pull(controller) {
              if (start >= large.length) return controller.close();
              controller.enqueue(Buffer.from(large.slice(start, start + 50_000)));
              start += 50_000;
              await Bun.sleep(0);
            },
          }),
        );
      }
      return new Response(pathname === "/empty" ? null : large, {
        status: pathname === "/empty" ? 204 : 200,
      });
    },
  });
  afterAll(() => server.stop(true));

  test("answers in its framings, one after another", async () => {
    for (const [path, asked, text] of [
      ["/large", {}, large],
      ["/large", { method: "HEAD" }, ""],
      ["/empty", {}, ""],
      ["/stream", {}, large],
    ] as const) {
      for (const keep of ["body", "head"] as const) {
        const [answer] = await ask(server.port!, [[path, asked]], keep);
        expect([path, answer!.bodyLength]).toEqual([path, text.length]);
        if (keep === "body") expect(answer!.text() === text).toBe(true);
      }
    }
  });
});
