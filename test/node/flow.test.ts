/** Backpressure, pausing, corking, and what a chunk is. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { root } from "../../scripts/build.ts";
import net from "../../src/node/net.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { closed, listening, NetPair, nextData, received } from "../support/net_pair.ts";
import { pollUntil } from "../support/poll.ts";
import { runCommand } from "../support/run_command.ts";

test("a stream that is not read receives no more than its buffer and a chunk", async () => {
  await using pair = await NetPair.make({}, { highWaterMark: 16_384 });
  const { client, accepted } = pair;
  let isDone = false;
  accepted.write(new Uint8Array(20_000_000), () => (isDone = true));
  await pollUntil("the buffer is full", () => client.readableLength >= 16_384);
  const before = client.bytesRead;
  // Other traffic of the same loop goes on meanwhile.
  await using other = await NetPair.make();
  for (let count = 0; count < 20; count++) {
    other.client.write("ping");
    await nextData(other.accepted);
  }
  expect(client.bytesRead).toBe(before);
  expect(before).toBeLessThanOrEqual(16_384 + 65_536);
  expect(isDone).toBe(false);
  client.resume();
  await pollUntil("all has come", () => client.bytesRead === 20_000_000, 15_000);
}, 20_000);

test("a paused stream stops reading, and goes on when it is resumed", async () => {
  await using pair = await NetPair.make();
  const { client, accepted } = pair;
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    client.pause();
    setTimeout(() => client.resume(), 1);
  });
  const data = distinctBytes(1_000_000);
  accepted.end(data);
  await once(client, "end");
  expect(hashOf(Buffer.concat(chunks))).toBe(hashOf(data));
}, 20_000);

test("a chunk is the program's own memory", async () => {
  await using pair = await NetPair.make();
  const { client, accepted } = pair;
  const kept: Buffer[] = [];
  client.on("data", (chunk: Buffer) => kept.push(chunk));
  for (let count = 0; count < 50; count++) {
    accepted.write(Buffer.alloc(10, count));
    const total = 10 * (count + 1);
    await pollUntil("it has come", () => client.bytesRead === total);
  }
  const expected = Buffer.concat(Array.from({ length: 50 }, (_, count) => Buffer.alloc(10, count)));
  expect(Buffer.concat(kept)).toEqual(expected);
  for (const chunk of kept) expect(chunk.buffer.byteLength).toBe(chunk.length);
});

test("corked writes leave in one system call", async () => {
  const program = `
    import net from "${join(root, "src", "node", "net.ts")}";
    const server = net.createServer((socket) => {
      socket.cork();
      for (let count = 0; count < 100; count++) socket.write("line " + count + "\\n");
      socket.uncork();
      socket.end();
    });
    server.listen(0, "127.0.0.1", () => {
      let text = "";
      const client = net.connect(server.address().port, "127.0.0.1");
      client.on("data", (chunk) => (text += chunk));
      client.on("close", () => {
        console.log(text.split("\\n").length);
        server.close();
      });
    });
  `;
  const command = [process.execPath, "-e", program];
  const { text, stderr } = await runCommand(["env", "PLAIT_TRACE=1", ...command]);
  expect(text).toBe("101\n");
  const sends = stderr.split("\n").filter((line) => /^plait: send/.test(line));
  expect(sends.length).toBe(1);
  expect(sends[0]).toContain("sendVector");
});

test("data that was transferred before it is sent is an error, and not left out", async () => {
  const { server, port } = await listening();
  const client = net.connect(port, "127.0.0.1");
  const bytes = new Uint8Array(100);
  client.write(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  const [error] = await once(client, "error");
  expect(error).toBeInstanceOf(TypeError);
  await server[Symbol.asyncDispose]();
});

test("a pipeline ends and destroys both ends", async () => {
  const { server, port } = await listening({}, (socket) => {
    const upper = new Transform({
      transform: (chunk, _encoding, callback) => callback(null, String(chunk).toUpperCase()),
    });
    pipeline(socket, upper, socket).catch(() => {});
  });
  const client = net.connect(port, "127.0.0.1");
  client.end("text");
  expect((await received(client)).toString()).toBe("TEXT");
  await server[Symbol.asyncDispose]();
});

test("onread receives into the program's buffer, and false pauses", async () => {
  const { server, port } = await listening({}, (socket) => {
    socket.end("0123456789");
  });
  const buffer = Buffer.alloc(4);
  const pieces: string[] = [];
  const client = net.connect({
    port,
    host: "127.0.0.1",
    onread: {
      buffer,
      callback(count: number, into: Uint8Array) {
        expect(into).toBe(buffer);
        pieces.push(buffer.toString("latin1", 0, count));
        setTimeout(() => client.resume(), 5);
        return false;
      },
    },
  });
  client.on("data", () => pieces.push("a data event"));
  await closed(client);
  expect(pieces).toEqual(["0123", "4567", "89"]);
  await server[Symbol.asyncDispose]();
});

test("writes of every kind arrive in their order", async () => {
  await using pair = await NetPair.make();
  const { client, accepted } = pair;
  const parts: Buffer[] = [];
  let random = 7;
  const next = (bound: number): number => (random = (random * 48_271) % 0x7fff_ffff) % bound;
  for (let count = 0; count < 400; count++) {
    const bytes = Buffer.alloc(next(10) === 0 ? next(300_000) : next(200), count);
    parts.push(bytes);
    const kind = next(3);
    if (kind === 0) client.write(bytes.toString("latin1"), "latin1");
    else client.write(kind === 1 ? bytes : new Uint8Array(bytes));
    if (next(20) === 0) client.cork();
    if (next(10) === 0) client.uncork();
    if (next(30) === 0) await Bun.sleep(1);
  }
  while (client.writableCorked > 0) client.uncork();
  client.end();
  const whole = Buffer.concat(parts);
  expect(client.bytesWritten).toBe(whole.length);
  expect(hashOf(await received(accepted))).toBe(hashOf(whole));
});
