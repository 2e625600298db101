/** Cookies of users. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../index.ts";
import { Answer } from "../../src/http/answer.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { type Cookies, cookieJars, mostCookies } from "../../src/http/cookies.ts";
import { after } from "../../src/values/deadlines.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

let jar: () => Cookies;
beforeAll(async () => {
  jar = await cookieJars();
});

function answerOf(...cookies: string[]): Answer {
  const fields = cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join("");
  const head = Buffer.from(`HTTP/1.1 200 OK\r\n${fields}\r\n`, "latin1");
  return new Answer(200, true, 0, head, head.length);
}

describe("a jar", () => {
  test("has the cookies that belong to a URL", () => {
    const cookies = jar();
    expect(cookies.cookieHeader("http://a.test/")).toBeUndefined();
    cookies.store(
      answerOf(
        "a=1",
        "b=2; Path=/x",
        "c=3; Secure",
        "d=4; Domain=a.test; Path=/; HttpOnly",
        "e=5; Max-Age=0",
      ),
      "http://www.a.test/y/z?q#f",
    );
    cookies.store(answerOf("c=3; Secure"), new URL("https://www.a.test/"));
    const sorted = (url: string) => cookies.cookieHeader(url)?.split("; ").sort().join("; ");
    expect(sorted("http://www.a.test/y/")).toBe("a=1; d=4");
    expect(sorted("http://www.a.test/x#f")).toBe("b=2; d=4");
    expect(sorted("http://a.test/")).toBe("d=4");
    expect(sorted("https://www.a.test/")).toBe("c=3; d=4");
    expect(sorted("http://b.test/")).toBeUndefined();
  });

  test("replaces and drops cookies", () => {
    const cookies = jar();
    const url = "http://127.0.0.1:8080/";
    cookies.store(answerOf("a=1", "b=2"), url);
    cookies.store(answerOf("a=3", "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), url);
    expect(cookies.cookieHeader(url)).toBe("a=3");
    expect(cookies.cookieHeader("http://127.0.0.1:9090/")).toBe("a=3");
  });

  test("ignores what is malformed or meant for others", () => {
    const cookies = jar();
    const others = [
      "",
      ";",
      "=",
      "a=1; Domain=b.test",
      "b=2; Domain=test",
      "\xff",
      "c=3; Max-Age=x",
    ];
    cookies.store(answerOf(...others), "http://a.test/");
    expect(cookies.cookieHeader("http://a.test/")).toBe("c=3");
    expect(cookies.cookieHeader("http://b.test/")).toBeUndefined();
  });

  test("is one user's own", () => {
    const [first, second] = [jar(), jar()];
    first.store(answerOf("a=1"), "http://a.test/");
    expect(second.cookieHeader("http://a.test/")).toBeUndefined();
  });

  test("is bounded, and keeps the newer cookies", () => {
    const cookies = jar();
    const url = "http://a.test/";
    for (let start = 0; start < 3 * mostCookies; start += 50) {
      cookies.store(
        answerOf(...Array.from({ length: 50 }, (_, index) => `n${start + index}=1`)),
        url,
      );
    }
    const names = cookies.cookieHeader(url)!.split("; ");
    expect(names.length).toBeLessThanOrEqual(mostCookies);
    expect(names.length).toBeGreaterThanOrEqual(mostCookies / 2);
    expect(names).toContain(`n${3 * mostCookies - 1}=1`);
    expect(names).not.toContain("n0=1");
    // The same cookie again and again pushes no other one out.
    for (let count = 0; count < mostCookies; count++) cookies.store(answerOf(`same=${count}`), url);
    expect(cookies.cookieHeader(url)!.split("; ")).toHaveLength(names.length + 1);
  });
});

describe("a server", () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const visits = Number(/visits=(\d+)/.exec(request.headers.get("cookie") ?? "")?.[1] ?? 0);
      const headers = new Headers();
      headers.append("Set-Cookie", `visits=${visits + 1}; Path=/; HttpOnly`);
      headers.append("Set-Cookie", "other=x; Path=/elsewhere");
      return new Response(`${visits}`, { headers });
    },
  });
  afterAll(() => server.stop(true));

  test("gets the cookies back that it has set", async () => {
    const cookies = jar();
    using socket = await connect({ host: "127.0.0.1", port: server.port! });
    const reader = new AnswerReader(socket);
    for (let visits = 0; visits < 3; visits++) {
      const cookie = cookies.cookieHeader(server.url);
      const line = cookie === undefined ? "" : `Cookie: ${cookie}\r\n`;
      await socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n${line}\r\n`);
      const answer = await reader.read("body", false, 100, after(5000));
      expect(answer.text()).toBe(`${visits}`);
      cookies.store(answer, server.url);
    }
  });
});

test("without the package one sentence says what to add", async () => {
  using folder = new TemporaryFolder();
  cpSync(join(import.meta.dir, "../../src"), folder.file("src"), { recursive: true });
  const program = folder.file("program.ts");
  writeFileSync(
    program,
    `import { cookieJars } from "./src/http/cookies.ts";
    await cookieJars().catch((error) => console.log(error.message));`,
  );
  const { text } = await runCommand([process.execPath, "--no-install", program]);
  expect(text).toBe("plait: cookies need the package tough-cookie: bun add tough-cookie\n");
});
