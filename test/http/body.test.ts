/** The bodies of requests, as servers receive them. */

import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { connect, deadline, sleep, TimeoutError } from "../../index.ts";
import { AnswerReader } from "../../src/http/answer_reader.ts";
import { type BodyOptions, bodyOf } from "../../src/http/body.ts";
import { framedRequest } from "../../src/http/framing.ts";
import { fieldLines, type Headers } from "../../src/http/request.ts";
import { after } from "../../src/values/deadlines.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { socketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** What a server has received. */
interface Received {
  readonly type: string | null;
  readonly length: string | null;
  readonly coding: string | null;
  readonly bytes: number;
  readonly hash: string;
}

const hashOf = (bytes: Uint8Array | string): string =>
  createHash("sha1").update(bytes).digest("hex");

const nodeServer = createServer(async (request: IncomingMessage, response) => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  const { headers } = request;
  const received: Received = {
    type: headers["content-type"] ?? null,
    length: headers["content-length"] ?? null,
    coding: headers["transfer-encoding"] ?? null,
    bytes: body.length,
    hash: hashOf(body),
  };
  response.end(JSON.stringify(received));
});
await new Promise<void>((resolve) => nodeServer.listen(0, "127.0.0.1", resolve));

const bunServer = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const body = await request.bytes();
    const { headers } = request;
    return Response.json({
      type: headers.get("content-type"),
      length: headers.get("content-length"),
      coding: headers.get("transfer-encoding"),
      bytes: body.length,
      hash: hashOf(body),
    });
  },
});
afterAll(async () => {
  nodeServer.close();
  await bunServer.stop(true);
});

const servers = [
  ["node:http", (nodeServer.address() as { port: number }).port],
  ["Bun.serve", bunServer.port!],
] as const;

function streamOf<T>(chunks: readonly T[]): ReadableStream<T> {
  const left = [...chunks];
  return new ReadableStream<T>({
    pull(controller) {
      if (left.length === 0) controller.close();
      else controller.enqueue(left.shift()!);
    },
  });
}

const encoder = new TextEncoder();

function headOf(method: string, headers: Headers): Uint8Array {
  return encoder.encode(`${method} / HTTP/1.1\r\nHost: x\r\n${fieldLines(headers)}\r\n`);
}

/** Sends a request so many times on one connection. */
async function exchange(
  port: number,
  options: BodyOptions,
  headers: Headers = {},
  count = 1,
): Promise<Received[]> {
  using socket = await connect({ host: "127.0.0.1", port });
  const framed = framedRequest("POST", headers, bodyOf(options));
  const head = headOf("POST", framed.headers);
  const reader = new AnswerReader(socket);
  const all: Received[] = [];
  for (let index = 0; index < count; index++) {
    if (framed.body === undefined) await socket.write(head);
    else await framed.body.send(socket, head, deadline(5000));
    const answer = await reader.read("body", false, 1 << 20, after(5000));
    expect(answer.status).toBe(200);
    all.push(answer.json() as Received);
  }
  return all;
}

const text = "grün €\n";
const large = Buffer.alloc(3_000_000, "0123456789abcdef");
const small = folder.file("small.json");
const big = folder.file("big.bin");
const emptyFile = folder.file("empty.txt");
writeFileSync(small, '{"a":1}');
writeFileSync(big, large);
writeFileSync(emptyFile, "");

const bytesOfText = encoder.encode(text);
const repeatable: [
  name: string,
  options: () => BodyOptions,
  type: string | null,
  sent: Uint8Array | string,
][] = [
  ["text", () => ({ body: text }), "text/plain;charset=utf-8", bytesOfText],
  ["no text", () => ({ body: "" }), "text/plain;charset=utf-8", ""],
  ["bytes", () => ({ body: bytesOfText }), null, bytesOfText],
  [
    "a part of a buffer",
    () => ({ body: bytesOfText.subarray(2, 5) }),
    null,
    bytesOfText.slice(2, 5),
  ],
  ["an ArrayBuffer", () => ({ body: bytesOfText.slice().buffer }), null, bytesOfText],
  [
    "a DataView",
    () => ({ body: new DataView(bytesOfText.buffer, 1, 3) }),
    null,
    bytesOfText.slice(1, 4),
  ],
  ["many bytes", () => ({ body: large }), null, large],
  [
    "a form",
    () => ({ body: new URLSearchParams({ a: "b c", d: "ü" }) }),
    "application/x-www-form-urlencoded;charset=utf-8",
    "a=b+c&d=%C3%BC",
  ],
  ["JSON", () => ({ json: { a: [1, "ü"] } }), "application/json", '{"a":[1,"ü"]}'],
  ["null as JSON", () => ({ json: null }), "application/json", "null"],
  ["a path", () => ({ file: small }), "application/json;charset=utf-8", '{"a":1}'],
  ["a large file", () => ({ body: Bun.file(big) }), "application/octet-stream", large],
  ["an empty file", () => ({ file: emptyFile }), "text/plain;charset=utf-8", ""],
];

describe.each(servers)("to %s", (_server, port) => {
  test.each(repeatable)(
    "%s is sent with its length, and again",
    async (_name, options, type, sent) => {
      const length = Buffer.byteLength(sent);
      const expected = {
        type,
        length: `${length}`,
        coding: null,
        bytes: length,
        hash: hashOf(sent),
      };
      expect(await exchange(port, options(), {}, 2)).toEqual([expected, expected]);
      expect(bodyOf(options())!.isRepeatable).toBe(true);
    },
  );

  const chunks = ["", "a", bytesOfText, new Uint8Array(0), large.subarray(0, 100_000), "b"];
  const joined = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk as Uint8Array)));

  async function* generated() {
    for (const chunk of chunks) {
      await sleep(0);
      yield chunk;
    }
  }

  test.each([
    ["an async generator", () => generated()],
    ["a ReadableStream", () => streamOf(chunks)],
  ] as const)("%s is sent in chunks, or with a length", async (_name, source) => {
    const [inChunks] = await exchange(port, { body: source() });
    const { length } = joined;
    expect(inChunks).toMatchObject({ length: null, bytes: length, hash: hashOf(joined) });
    expect(inChunks!.coding).toBe("chunked");
    for (const [given, headers] of [
      [{ length }, {}],
      [{}, { "content-length": length }],
    ]) {
      const [received] = await exchange(port, { body: source(), ...given }, headers);
      expect(received).toMatchObject({ coding: null, length: `${length}`, hash: hashOf(joined) });
    }
  });

  test("no body is said to be none", async () => {
    const [received] = await exchange(port, {});
    expect(received).toMatchObject({ bytes: 0, type: null, coding: null, length: "0" });
  });

  test("the caller's headers win", async () => {
    const headers = { "content-TYPE": "text/x", "CONTENT-length": "3" };
    const [received] = await exchange(port, { body: "abc" }, headers);
    expect(received).toMatchObject({ type: "text/x", length: "3", bytes: 3 });
  });
});

describe("a caller's mistake", () => {
  const stream = () => streamOf(["a"]);
  test.each<[string, BodyOptions]>([
    ["one of body, json and file", { body: "a", json: 1 }],
    ["one of body, json and file", { body: "a", file: small }],
    ["no option", { text: "a" } as BodyOptions],
    ["length has no meaning", { length: 1 }],
    ["the body has 1 bytes", { body: "a", length: 2 }],
    ["length is a whole number", { body: stream(), length: "2" as unknown as number }],
    ["body is text, bytes", { body: 5 as unknown as string }],
    ["body is text, bytes", { body: null as unknown as string }],
    ["body is text, bytes", { body: ["a"] as unknown as string }],
    ["no value of JSON", { json: () => {} }],
    ["no regular file", { file: folder.path }],
    ["file is a path", { file: 5 as unknown as string }],
    ["only a Bun.file", { body: new Blob(["a"]) as Bun.BunFile }],
    ["slice of a Bun.file", { body: Bun.file(small).slice(1, 3) as Bun.BunFile }],
  ])("is a TypeError: %s: %p", (words, options) => {
    const error = thrownBy(() => bodyOf(options));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(words);
  });

  test("a file that is not there is an error with its path", () => {
    const error = thrownBy(() => bodyOf({ file: folder.file("none") }));
    expect([error.code, error.address]).toEqual(["ENOENT", folder.file("none")]);
  });

  test.each<[string, string, Headers, BodyOptions]>([
    ["Content-Length is 4", "POST", { "Content-Length": 4 }, { body: "abc" }],
    ["Content-Length is 4", "POST", { "Content-Length": "4" }, {}],
    ["is a number of bytes", "POST", { "Content-Length": "+3" }, { body: "abc" }],
    ["there 2 times", "POST", { "Content-Length": ["3", "3"] }, { body: "abc" }],
    ["there 2 times", "POST", { "Content-Length": "3", "content-length": "3" }, { body: "abc" }],
    ["chunked, but the body has 3", "POST", { "transfer-encoding": "chunked" }, { body: "abc" }],
    ["chunked, not", "POST", { "Transfer-Encoding": "gzip, chunked" }, { body: stream() }],
    ["no meaning", "POST", { "Transfer-Encoding": "chunked" }, {}],
    [
      "one of Content-Length and",
      "POST",
      { "Transfer-Encoding": "chunked", "Content-Length": 1 },
      { body: stream() },
    ],
    ["TRACE", "TRACE", {}, { body: "abc" }],
  ])("is a TypeError: %s: %s %p %p", (words, method, headers, options) => {
    const error = thrownBy(() => framedRequest(method, headers, bodyOf(options)));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(words);
  });

  test("only what a request lacks is added", () => {
    const chunked = { "Transfer-Encoding": "Chunked" };
    expect({ ...framedRequest("POST", chunked, bodyOf({ body: stream() })).headers }).toEqual(
      chunked,
    );
    expect({ ...framedRequest("GET", { A: "b" }, undefined).headers }).toEqual({ A: "b" });
    expect({ ...framedRequest("PUT", {}, undefined).headers }).toEqual({ "Content-Length": "0" });
    const length = { "Content-Length": "0" };
    expect({ ...framedRequest("GET", length, undefined).headers }).toEqual(length);
  });
});

describe("a body that cannot be sent whole", () => {
  const head = encoder.encode("POST / HTTP/1.1\r\n\r\n");

  async function sendFailing(options: BodyOptions, milliseconds = 5000): Promise<Error> {
    await using pair = await socketPair();
    const body = bodyOf(options)!;
    return await failureOf(body.send(pair.client, head, deadline(milliseconds)));
  }

  test("is a stream of another length than was said", async () => {
    const stream = () => streamOf(["abc", "def"]);
    const long = await sendFailing({ body: stream(), length: 5 });
    expect([long.name, long.message]).toEqual(["RangeError", "the stream is longer than 5 bytes"]);
    const short = await sendFailing({ body: stream(), length: 7 });
    expect(short.message).toBe("the stream is 1 bytes shorter than 7");
  });

  test("is one whose source fails: with its error", async () => {
    const error = await sendFailing({
      body: (async function* () {
        yield "abc";
        throw new Error("no more");
      })(),
    });
    expect(error.message).toBe("no more");
  });

  test("is one whose source never comes: with the deadline, and the source is ended", async () => {
    let isCancelled = false;
    const stream = new ReadableStream<string>({
      cancel() {
        isCancelled = true;
      },
    });
    expect(await sendFailing({ body: stream }, 20)).toBeInstanceOf(TimeoutError);
    let isEnded = false;
    const iterable: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return() {
          isEnded = true;
          throw new Error("not heard");
        },
      }),
    };
    expect(await sendFailing({ body: iterable }, 20)).toBeInstanceOf(TimeoutError);
    expect([isEnded, isCancelled]).toEqual([true, true]);
  });

  test("is a chunk that is neither text nor bytes", async () => {
    const error = await sendFailing({ body: streamOf([5]) as never });
    expect(error.message).toBe("a chunk of a body is text or bytes");
  });

  test("is a stream that was sent before", async () => {
    await using pair = await socketPair();
    const body = bodyOf({ body: streamOf(["a"]) })!;
    expect(body.isRepeatable).toBe(false);
    expect(await body.send(pair.client, undefined)).toBe(11);
    const error = await failureOf(body.send(pair.client, undefined));
    expect(error.message).toBe("a stream cannot be sent again as a body");
  });

  test("is a file that has become shorter, or bytes that are gone", async () => {
    const path = folder.file("shrinking");
    writeFileSync(path, "abcdef");
    await using pair = await socketPair();
    const body = bodyOf({ file: path })!;
    writeFileSync(path, "abc");
    const error = await failureOf(body.send(pair.client, head, deadline(5000)));
    expect(error.message).toBe(`${path} had 6 bytes, and has 3 now`);
    const bytes = new Uint8Array(5);
    const detached = bodyOf({ body: bytes })!;
    structuredClone(bytes, { transfer: [bytes.buffer] });
    const gone = await failureOf(detached.send(pair.client, head));
    expect(gone.message).toBe("the body had 5 bytes, and has 0 now");
  });
});
