/** The first examples: echo, HTTP, and the demo. */

import { expect, test } from "bun:test";
import { connect, deadline } from "../../index.ts";
import { exampleCommand, startExample } from "../support/examples.ts";

async function readAll(port: number, request: string): Promise<string> {
  const until = deadline(5000);
  await using socket = await connect({ host: "127.0.0.1", port, deadline: until });
  await socket.write(request, until);
  await socket.shutdown(until);
  let text = "";
  for (let chunk: Uint8Array | null; (chunk = await socket.next(until)) !== null; ) {
    text += new TextDecoder().decode(chunk);
  }
  return text;
}

test("the echo server echoes", async () => {
  await using example = await startExample("echo.ts");
  expect(await readAll(example.port, "hello, plait\n")).toBe("hello, plait\n");
}, 10_000);

test("the HTTP responder answers requests that follow each other on one connection", async () => {
  await using example = await startExample("http.ts");
  const url = `http://127.0.0.1:${example.port}`;
  expect(await (await fetch(`${url}/one`)).text()).toBe("you asked for /one\n");
  expect((await fetch(`${url}/two`, { method: "POST", body: "x" })).status).toBe(405);
  const head =
    "GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nConnection: close\r\n\r\n";
  const answers = await readAll(example.port, head);
  expect(answers.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
  expect(answers).toContain("you asked for /a\n");
  expect(answers).not.toContain("you asked for /b\n");
  expect(answers).toEndWith("you asked for /c\n");
}, 10_000);

test.each([
  ["a head that is too long", `GET / HTTP/1.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, "431"],
  ["a head without an end", "x".repeat(20_000), "431"],
  ["another protocol", "EHLO there\r\n\r\n", "400"],
  ["an empty head", "\r\n\r\n", "400"],
])(
  "the HTTP responder answers %s, and closes the connection",
  async (_, request, status) => {
    await using example = await startExample("http.ts");
    const answers = await readAll(example.port, `${request}GET /next HTTP/1.1\r\n\r\n`);
    expect(answers).toStartWith(`HTTP/1.1 ${status} `);
    expect(answers).not.toContain("you asked for /next");
  },
  10_000,
);

test("the HTTP responder does not take a body for a request, nor half a head for a whole one", async () => {
  await using example = await startExample("http.ts");
  const body = "GET /inner HTTP/1.1\r\n\r\n";
  const outer = `GET /outer HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const answers = await readAll(example.port, outer);
  expect(answers).toContain("you asked for /outer\n");
  expect(answers).not.toContain("you asked for /inner\n");
  expect(await readAll(example.port, "GET /half HTTP/1.1\r\n")).toBe("");
}, 10_000);

test("SIGINT ends the HTTP responder, and its idle connections at once", async () => {
  await using example = await startExample("http.ts");
  const until = deadline(8000);
  await using socket = await connect({ host: "127.0.0.1", port: example.port, deadline: until });
  await socket.write("GET /a HTTP/1.1\r\n\r\n", until);
  const answer = new TextDecoder().decode((await socket.next(until)) ?? undefined);
  expect(answer).toEndWith("you asked for /a\n");
  example.program.child.kill("SIGINT");
  expect(await socket.next(until)).toBeNull();
  expect(await example.program.child.exited).toBe(0);
}, 10_000);

test("the demo shows its progress and a table in which every byte came back", async () => {
  const child = Bun.spawn(exampleCommand("demo.ts", 1.2), {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/1\.0 s {2}[\d,]+ requests/);
  for (const row of ["requests ", "requests/s", "latency p50", "latency p99", "bytes each way"]) {
    expect(stdout).toMatch(new RegExp(`^${row} .*\\d`, "m"));
  }
  expect(stdout).toMatch(/^came back as sent +every byte$/m);
}, 15_000);
