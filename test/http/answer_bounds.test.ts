/** A server cannot make the reader of answers keep more than its limits, nor hold up other fibers. */

import { describe, expect, test } from "bun:test";
import { connect, type Socket, sleep, spawn, TimeoutError } from "../../index.ts";
import type { Keep } from "../../src/http/answer.ts";
import { AnswerReader, mostHeadBytes } from "../../src/http/answer_reader.ts";
import { BadAnswerError } from "../../src/http/bad_answer.ts";
import { after } from "../../src/values/deadlines.ts";
import { failureOf } from "../support/failure.ts";
import { Program } from "../support/programs.ts";
import { isSoak } from "../support/soak.ts";
import { socketPair } from "../support/socket_pair.ts";

const ok = "HTTP/1.1 200 OK\r\n";
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`;

/** Bytes that the kernel may hand over at once beyond the limit. */
const slack = 131_072;

/** What a server sends first, and then for ever. */
const endless: [name: string, first: string, again: string, most: number, reason: string][] = [
  ["status line", "HTTP/1.1 200 ", "O", mostHeadBytes, "the head is longer"],
  ["field", `${ok}A: `, "b", mostHeadBytes, "the head is longer"],
  ["row of fields", ok, "A: b\r\n", mostHeadBytes, "the head is longer"],
  ["row of interim answers", "", "HTTP/1.1 103 E\r\nA: b\r\n\r\n", 10_000, "too many interim"],
  [
    "row of large interim answers",
    "",
    `HTTP/1.1 103 E\r\nA: ${"b".repeat(50_000)}\r\n\r\n`,
    100 * 50_100,
    "too many interim",
  ],
  ["extension", `${chunked}1;`, "b", mostHeadBytes, "extensions and trailers are too long"],
  [
    "row of extensions",
    chunked,
    `1;${"b".repeat(20)}\r\na\r\n`,
    2 * mostHeadBytes,
    "extensions and trailers are too long",
  ],
  ["blank behind a length", `${chunked}1`, " ", mostHeadBytes, "extensions and trailers"],
  ["row of zeros", chunked, "0", mostHeadBytes, "extensions and trailers are too long"],
  ["length of a chunk", chunked, "1", 20, "too many digits"],
  ["trailer", `${chunked}0\r\nA: `, "b", mostHeadBytes, "extensions and trailers are too long"],
  ["row of trailers", `${chunked}0\r\n`, "A: b\r\n", 2 * mostHeadBytes, "extensions and trailers"],
];

describe.each<Keep>(["status", "head", "body"])("with %p kept", (keep) => {
  test.each(endless)("an endless %s is bad HTTP", async (_name, first, again, most, reason) => {
    await using pair = await socketPair();
    const sending = send(pair.server, first, again);
    const reader = new AnswerReader(pair.client);
    const error = await failureOf(reader.read(keep, false, 1 << 20, after(5000)));
    expect(error).toBeInstanceOf(BadAnswerError);
    expect(error.message).toContain(reason);
    expect(pair.client.bytesRead).toBeLessThan(most + slack);
    pair.client.reset();
    await sending;
  });
});

describe("a body that is not kept", () => {
  const piece = new Uint8Array(1 << 20).fill(0x61);
  const count = isSoak ? 2048 : 128;
  const length = count * piece.length;
  const framed: [name: string, head: string, begin: string, end: string, last: string][] = [
    ["a length", `${ok}Content-Length: ${length}\r\n\r\n`, "", "", ""],
    ["chunks", chunked, "100000\r\n", "\r\n", "0\r\n\r\n"],
    ["the end of the stream", `${ok}\r\n`, "", "", ""],
  ];

  test.each(framed)("framed by %s takes no memory", async (_name, head, begin, end, last) => {
    for (const keep of ["status", "head"] as const) {
      await using pair = await socketPair();
      const sending = (async () => {
        await pair.server.write(head);
        for (let sent = 0; sent < count; sent++) await pair.server.write([begin, piece, end]);
        await pair.server.write(last);
        await pair.server.shutdown();
      })();
      const before = process.memoryUsage.rss();
      const reader = new AnswerReader(pair.client);
      const answer = await reader.read(keep, false, 0, after(60_000));
      await sending;
      expect(answer.bodyLength).toBe(length);
      expect(process.memoryUsage.rss() - before).toBeLessThan(32 << 20);
    }
  });

  test("is read in large portions, also if its head ends where the buffer does", async () => {
    // The reader's buffer has 32 KiB, and a body that is not kept has what the head leaves.
    const head = `${ok}Content-Length: 10000000\r\nA: `;
    const filled = `${head}${"b".repeat(32_768 - head.length - 5)}\r\n\r\n`;
    await using pair = await socketPair();
    const sending = (async () => {
      await pair.server.write(filled);
      for (let sent = 0; sent < 10; sent++) await pair.server.write(piece.subarray(0, 1_000_000));
    })();
    let portions = 0;
    const { client } = pair;
    const received = client.received.bind(client);
    client.received = (count) => {
      portions++;
      return received(count);
    };
    const reader = new AnswerReader(client);
    const answer = await reader.read("head", false, 0, after(60_000));
    await sending;
    expect(answer.bodyLength).toBe(10_000_000);
    expect(portions).toBeLessThan(10_000);
  });
});

test("an endless body does not hold up other fibers, nor its own deadline", async () => {
  // Its sender is faster than the reader, so there is always more to read.
  await using sender = new Program(
    `
      const bulk = "1\\r\\na\\r\\n".repeat(20_000);
      const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.write("HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n");
        for (;;) await socket.write(bulk);
      });
      console.log(listener.port);
    `,
    { bound: 10_000 },
  );
  const port = Number(await sender.line());
  using socket = await connect({ host: "127.0.0.1", port });
  let turns = 0;
  await using other = spawn(async () => {
    for (;;) {
      await sleep(10);
      turns++;
    }
  });
  const reader = new AnswerReader(socket);
  const error = await failureOf(reader.read("status", false, 0, after(300)));
  expect(error).toBeInstanceOf(TimeoutError);
  expect(turns).toBeGreaterThan(2);
  other.cancel();
});

async function send(socket: Socket, first: string, again: string): Promise<void> {
  const bulk = again.repeat(Math.ceil(65_536 / again.length));
  try {
    await socket.write(first);
    for (;;) await socket.write(bulk);
  } catch {
    // The reader has seen enough.
  }
}
