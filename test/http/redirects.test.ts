/** Redirects: the request that follows from an answer. */

import { afterAll, describe, expect, test } from "bun:test";
import { connect } from "../../index.ts";
import { Answer } from "../../src/http/answer.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { type Body, bodyOf } from "../../src/http/body.ts";
import { framedRequest } from "../../src/http/framing.ts";
import {
  type RedirectableRequest,
  RedirectError,
  type RedirectOptions,
  redirectOf,
} from "../../src/http/redirects.ts";
import { fieldLines, type Headers } from "../../src/http/request.ts";
import { requestUrl } from "../../src/http/request_url.ts";
import { after } from "../../src/values/deadlines.ts";
import { thrownBy } from "../support/failure.ts";

function answerOf(status: number, ...locations: string[]): Answer {
  const fields = locations.map((location) => `Location: ${location}\r\n`).join("");
  const head = Buffer.from(`HTTP/1.1 ${status} R\r\n${fields}\r\n`);
  return new Answer(status, true, 0, head, head.length);
}

const body = bodyOf({ body: "abc" })!;

interface Given {
  readonly url?: string;
  readonly method?: string;
  readonly headers?: Headers;
  readonly body?: Body | undefined;
}

function requestOf({ url = "https://a.test/x/y?z#f", method = "GET", ...rest }: Given) {
  return { url: new URL(url), method, headers: rest.headers ?? {}, body: rest.body };
}

function follow(status: number, location: string, given: Given = {}, options?: RedirectOptions) {
  return redirectOf(answerOf(status, location), requestOf(given), 0, options);
}

describe("methods and bodies", () => {
  const rows: [status: number, method: string, next: string, keepsBody: boolean][] = [
    [301, "GET", "GET", true],
    [301, "POST", "GET", false],
    [302, "POST", "GET", false],
    [303, "POST", "GET", false],
    [307, "POST", "POST", true],
    [308, "POST", "POST", true],
    [301, "PUT", "PUT", true],
    [302, "PATCH", "PATCH", true],
    [303, "PUT", "GET", false],
    [303, "DELETE", "GET", false],
    [303, "HEAD", "HEAD", true],
    [302, "HEAD", "HEAD", true],
    [303, "GET", "GET", true],
  ];
  const headers = { "content-TYPE": "text/x", Expect: "100-continue", "Content-Length": 3, A: "b" };

  test.each(rows)("%p after %s leads to %s", (status, method, next, keepsBody) => {
    const request = follow(status, "/next", { method, headers, body })!;
    expect([request.method, request.body]).toEqual([next, keepsBody ? body : undefined]);
    expect({ ...request.headers }).toEqual(keepsBody ? headers : { A: "b" });
  });

  test("a stream cannot be repeated, but dropped", () => {
    const stream = bodyOf({ body: new ReadableStream() });
    const error = thrownBy(() => follow(307, "/next", { method: "POST", body: stream }));
    expect(error).toBeInstanceOf(RedirectError);
    expect(error.message).toContain("cannot be sent again");
    expect(follow(302, "/next", { method: "POST", body: stream })!.body).toBeUndefined();
  });
});

test.each([200, 201, 300, 304, 305, 306, 399, 400])("%p is no redirect", (status) => {
  expect(follow(status, "/next")).toBeUndefined();
});

test("without Location it is no redirect", () => {
  expect(redirectOf(answerOf(302), requestOf({}), 0)).toBeUndefined();
});

test.each([
  ["/b", "https://a.test/b#f"],
  ["b?c", "https://a.test/x/b?c#f"],
  ["?c", "https://a.test/x/y?c#f"],
  ["#g", "https://a.test/x/y?z#g"],
  ["", "https://a.test/x/y?z#f"],
  ["//b.test/c", "https://b.test/c#f"],
  ["https://b.test#g", "https://b.test/#g"],
  ["https://[::1]:8443/", "https://[::1]:8443/#f"],
  ["/gr\u00fcn", "https://a.test/gr%C3%BCn#f"],
  ["../../b c", "https://a.test/b%20c#f"],
])("the Location %p leads to %s", (location, url) => {
  expect(follow(302, location)!.url.href).toBe(url);
});

describe("for another origin", () => {
  const headers: Headers = {
    AUTHORIZATION: "a",
    Cookie: "b",
    host: "c",
    "Proxy-Authorization": "d",
    Accept: "e",
  };

  const accepted: Headers = { Accept: "e" };

  test.each([
    ["https://b.test/", false],
    ["https://a.test:444/", false],
    ["http://a.test/", false],
    ["https://a.test:443/", true],
    ["/", true],
  ])("what is meant for one is dropped: %s", (location, isSame) => {
    const url = "https://user:secret@a.test/";
    const request = follow(302, location, { url, headers }, { allowInsecure: true })!;
    expect({ ...request.headers }).toEqual(isSame ? headers : accepted);
    expect(request.url.username + request.url.password).toBe(isSame ? "usersecret" : "");
  });

  test("the credentials of the Location are taken", () => {
    const { url } = follow(302, "https://u:p@b.test/", { url: "https://user:secret@a.test/" })!;
    expect([url.username, url.password]).toEqual(["u", "p"]);
  });
});

test("https: leads to http: only if that is allowed", () => {
  const error = thrownBy(() => follow(302, "http://a.test/"));
  expect([error.name, error.code]).toEqual(["RedirectError", "ERR_HTTP_REDIRECT"]);
  expect(error.message).toContain("from https: to http:");
  expect(follow(302, "http://a.test/", {}, { allowInsecure: true })!.url.protocol).toBe("http:");
  expect(follow(302, "https://a.test/", { url: "http://a.test" })!.url.protocol).toBe("https:");
});

test.each([
  ["is no URL", "https://"],
  ["is no URL", "http://[::1/"],
  ["leads to ftp:", "ftp://a.test/"],
  ["leads to javascript:", "javascript:alert(1)"],
  ["leads to file:", "file:///etc/passwd"],
  ["leads to data:", "data:,x"],
])("a Location that %s is an error: %s", (words, location) => {
  expect(thrownBy(() => follow(302, location)).message).toContain(words);
});

test("several of Location are an error", () => {
  const error = thrownBy(() => redirectOf(answerOf(302, "/a", "/b"), requestOf({}), 0));
  expect(error.message).toContain("several of Location");
});

test("there is a limit", () => {
  const request = requestOf({});
  const answer = answerOf(302, "/a");
  expect(redirectOf(answer, request, 19)).toBeDefined();
  expect(thrownBy(() => redirectOf(answer, request, 20)).message).toContain("number 21, of 20");
  expect(thrownBy(() => redirectOf(answer, request, 0, { most: 0 })).message).toContain("of 0");
  expect(redirectOf(answer, request, 20, { most: 21 })).toBeDefined();
  expect(thrownBy(() => redirectOf(answer, request, 0, { most: -1 })).name).toBe("RangeError");
  const unknown = { many: 1 } as RedirectOptions;
  expect(thrownBy(() => redirectOf(answer, request, 0, unknown)).message).toContain("no option");
});

describe("real servers", () => {
  const other = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => Response.json([request.method, request.headers.get("authorization")]),
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      const status = Number(searchParams.get("status"));
      if (pathname === "/end") {
        const authorization = request.headers.get("authorization");
        return Response.json([request.method, authorization, await request.text()]);
      }
      const location = pathname === "/other" ? `http://127.0.0.1:${other.port}/` : "/end";
      return new Response(null, { status, headers: { Location: location } });
    },
  });
  afterAll(async () => {
    await server.stop(true);
    await other.stop(true);
  });

  /** Sends a request, and those that follow from the answers. */
  async function send(request: RedirectableRequest, count = 0): Promise<Answer> {
    const { host, port, path, hostField, authorization } = requestUrl(request.url);
    using socket = await connect({ host, port });
    const { headers, body } = framedRequest(request.method, request.headers, request.body);
    const own: Headers = authorization === undefined ? {} : { Authorization: authorization };
    const lines = fieldLines({ Host: hostField, ...own, ...headers });
    const head = Buffer.from(`${request.method} ${path} HTTP/1.1\r\n${lines}\r\n`, "latin1");
    if (body === undefined) await socket.write(head);
    else await body.send(socket, head);
    const answer = await new AnswerReader(socket).read("body", false, 1 << 20, after(5000));
    const next = redirectOf(answer, request, count);
    return next === undefined ? answer : await send(next, count + 1);
  }

  const basic = `Basic ${btoa("user:secret")}`;

  test("lead on as fetch is led", async () => {
    for (const [path, method] of [
      ["/?status=307", "POST"],
      ["/?status=303", "PUT"],
      ["/?status=302", "POST"],
      ["/other?status=308", "POST"],
    ] as const) {
      const url = new URL(path, server.url);
      const fetched = await fetch(url, { method, body: "abc", headers: { Authorization: basic } });
      url.username = "user";
      url.password = "secret";
      const answer = await send({ url, method, headers: {}, body });
      expect([path, answer.json()]).toEqual([path, await fetched.json()]);
    }
  });
});
