/** What a request takes from its URL. */

import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "../../index.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { requestUrl } from "../../src/http/request_url.ts";
import { after } from "../../src/values/deadlines.ts";
import { thrownBy } from "../support/failure.ts";
import { hasIpv6 } from "../support/ipv6.ts";

test.each([
  ["http://a.test", "a.test", 80, "/", "a.test"],
  ["https://a.test/", "a.test", 443, "/", "a.test"],
  ["http://a.test:8080/b/../c?d=e&f#g", "a.test", 8080, "/c?d=e&f", "a.test:8080"],
  ["http://a.test:443/", "a.test", 443, "/", "a.test:443"],
  ["https://a.test:443/", "a.test", 443, "/", "a.test"],
  ["http://[::1]/", "::1", 80, "/", "[::1]"],
  ["http://[2001:DB8:0:0::1]:8080/", "2001:db8::1", 8080, "/", "[2001:db8::1]:8080"],
  ["http://[::ffff:127.0.0.1]/", "::ffff:7f00:1", 80, "/", "[::ffff:7f00:1]"],
  ["http://127.1/", "127.0.0.1", 80, "/", "127.0.0.1"],
  [
    "http://gr\u00fcn.test/\u00fc?\u00fc",
    "xn--grn-ioa.test",
    80,
    "/%C3%BC?%C3%BC",
    "xn--grn-ioa.test",
  ],
  ["http://a.test/a b?c d", "a.test", 80, "/a%20b?c%20d", "a.test"],
])("%s", (url, host, port, path, hostField) => {
  expect(requestUrl(url)).toMatchObject({
    host,
    port,
    path,
    hostField,
    isSecure: url.startsWith("https:"),
    authorization: undefined,
  });
});

test("a relative URL is resolved against a base", () => {
  const base = "http://user:secret@a.test:81/x/y?z";
  for (const [url, host, path, hasCredentials] of [
    ["/b", "a.test", "/b", true],
    ["b?c", "a.test", "/x/b?c", true],
    ["?c", "a.test", "/x/y?c", true],
    ["//b.test/c", "b.test", "/c", false],
    ["https://b.test/c", "b.test", "/c", false],
  ] as const) {
    const taken = requestUrl(url, base);
    expect([url, taken.host, taken.path]).toEqual([url, host, path]);
    expect(taken.authorization !== undefined).toBe(hasCredentials);
  }
});

describe("credentials", () => {
  test.each([
    ["http://user:secret@a.test/", "user:secret"],
    ["http://user@a.test/", "user:"],
    ["http://:secret@a.test/", ":secret"],
    ["http://a%40b:c%3Ad%2F@a.test/", "a@b:c:d/"],
    ["http://gr%C3%BCn:\u20ac@a.test/", "gr\u00fcn:\u20ac"],
    ["http://100%:%zz@a.test/", "100%:%zz"],
  ])("of %s become Basic", (url, credentials) => {
    const taken = requestUrl(url);
    expect(taken.authorization).toBe(`Basic ${Buffer.from(credentials).toString("base64")}`);
    expect(taken.url.href).toBe("http://a.test/");
  });

  test("with a colon in the name cannot", () => {
    expect(thrownBy(() => requestUrl("http://a%3Ab:c@a.test/")).message).toContain("no colon");
  });
});

test.each([
  ["is no URL", "a.test"],
  ["is no URL", "/b"],
  ["is no URL", "http://"],
  ["is no URL", "http://a.test:99999/"],
  ["not by ftp:", "ftp://a.test/"],
  ["not by a.test:", "a.test:80"],
])("a mistake is a TypeError: %s: %s", (words, url) => {
  const error = thrownBy(() => requestUrl(url));
  expect([error.name, error.message.includes(words)]).toEqual(["TypeError", true]);
});

test("the URL that was given is not changed", () => {
  const url = new URL("http://user:secret@a.test/");
  requestUrl(url);
  expect(url.href).toBe("http://user:secret@a.test/");
});

describe.each(["127.0.0.1", ...(hasIpv6 ? ["::1"] : [])])("a server at %s", (address) => {
  test("gets the host, the path and the credentials", async () => {
    const server = createServer((request, response) => {
      const { host, authorization } = request.headers;
      response.end(JSON.stringify([host, request.url, authorization]));
    });
    await once(server.listen(0, address), "listening");
    try {
      const { port } = server.address() as AddressInfo;
      const named = address.includes(":") ? `[${address}]` : address;
      const taken = requestUrl(`http://user:secret@${named}:${port}/a b?c#d`);
      using socket = await connect({ host: taken.host, port: taken.port });
      const { path, hostField, authorization } = taken;
      await socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${hostField}\r\nAuthorization: ${authorization}\r\n\r\n`,
      );
      const answer = await new AnswerReader(socket).read("body", false, 1000, after(5000));
      expect(answer.json()).toEqual([
        `${named}:${port}`,
        "/a%20b?c",
        `Basic ${btoa("user:secret")}`,
      ]);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
