/** Long portions of `pipe` pass through pipes of the kernel (splice(2)). */

import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { type PipeError, pipe, Socket, spawn } from "../../index.ts";
import { Limits } from "../../src/core/abi.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { untilFull } from "../support/full_socket.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { type Proxied, proxied } from "../support/proxied.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { drain, readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

const mebibyte = 1024 * 1024;

const hasSplice = process.platform === "linux";
if (!hasSplice) console.log("skipped: only Linux has splice(2)");

/** The ends of pipes that this process has open. */
function pipeEnds(): number {
  return readdirSync("/proc/self/fd").filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("pipe:");
    } catch {
      // The descriptor by which the folder was read is closed by now.
      return false;
    }
  }).length;
}

/** A pipe in the middle of a long write, whose receiver does not read. */
async function blocked(sockets: Proxied, data: Uint8Array) {
  const fiber = spawn(() => pipe(sockets.first, sockets.second));
  const writing = sockets.client.write(data).then(() => sockets.client.shutdown());
  const writer = writing.catch(() => {});
  await untilFull(sockets.client);
  const { first, second } = sockets;
  await pollUntil("the receiver is blocked", () => first.bytesRead > second.bytesWritten);
  return { fiber, writer };
}

describe.skipIf(!hasSplice)("a kernel pipe", () => {
  test("holds what a blocked receiver does not take, and is given back", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const before = pipeEnds();
    const data = distinctBytes(64 * mebibyte);
    const { fiber } = await blocked(sockets, data);
    expect(first.bytesRead).toBeGreaterThan(second.bytesWritten);
    expect(pipeEnds()).toBe(before + 2);
    expect(await drain(server)).toEqual({ bytes: data.length, hash: hashOf(data) });
    // One is kept while there is a pipe.
    expect(pipeEnds()).toBe(before + 2);
    await server.write("short");
    expect(new TextDecoder().decode((await client.next())!)).toBe("short");
    await server.shutdown();
    expect(await fiber.join()).toEqual({ forth: data.length, back: 5 });
    expect(pipeEnds()).toBe(before);
  }, 30_000);

  test("is not made for short messages", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const before = pipeEnds();
    const piping = failureOf(pipe(first, second));
    const message = distinctBytes(1000);
    for (let count = 0; count < 3000; count++) {
      await client.write(message);
      await readExactly(server, message.length);
    }
    expect(pipeEnds()).toBe(before);
    client.reset();
    await piping;
  }, 15_000);

  test.each([
    ["a cancellation", (_: Proxied, cancel: () => void) => cancel()],
    ["a reset of the server", ({ server }: Proxied) => server.reset()],
    ["a close of the proxy's socket", ({ second }: Proxied) => second.close()],
  ])(
    "is closed with what it holds by %s",
    async (_, end) => {
      await using sockets = await proxied();
      const { client, second, server } = sockets;
      const before = pipeEnds();
      const data = distinctBytes(64 * mebibyte);
      const { fiber, writer } = await blocked(sockets, data);
      expect(pipeEnds()).toBe(before + 2);
      end(sockets, () => fiber.cancel());
      const error = (await failureOf(fiber.join())) as PipeError;
      expect(pipeEnds()).toBe(before);
      if (error.name === "PipeError") expect(error.forth).toBe(second.bytesWritten);
      else {
        const sent = second.bytesWritten;
        await second.shutdown();
        expect(await drain(server)).toEqual({ bytes: sent, hash: hashOf(data.subarray(0, sent)) });
      }
      client.reset();
      await writer;
    },
    15_000,
  );

  test("is sent whole although its source is closed, which fails the pipe after that", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const before = pipeEnds();
    const data = distinctBytes(64 * mebibyte);
    const { fiber, writer } = await blocked(sockets, data);
    const joined = failureOf(fiber.join());
    const { bytesRead } = first;
    first.close();
    expect(await readExactly(server, bytesRead)).toEqual(data.slice(0, bytesRead));
    const error = (await joined) as PipeError;
    expect(error).toMatchObject({ name: "PipeError", code: "ERR_SOCKET_CLOSED", way: "forth" });
    expect(error.forth).toBe(bytesRead);
    expect([pipeEnds(), second.closed]).toEqual([before, false]);
    client.reset();
    await writer;
  }, 15_000);

  test("is closed with what it holds when both sockets are closed", async () => {
    await using sockets = await proxied();
    const { client, first, second } = sockets;
    const before = pipeEnds();
    const { fiber, writer } = await blocked(sockets, distinctBytes(64 * mebibyte));
    const joined = failureOf(fiber.join());
    first.close();
    second.close();
    const error = (await joined) as PipeError;
    expect(error).toMatchObject({ name: "PipeError", code: "ERR_SOCKET_CLOSED" });
    expect(error.forth).toBe(second.bytesWritten);
    expect(pipeEnds()).toBe(before);
    client.reset();
    await writer;
  }, 15_000);

  test("is sent whole before a write of another fiber", async () => {
    await using sockets = await proxied();
    const { second, server } = sockets;
    const data = new Uint8Array(32 * mebibyte).fill(1);
    const own = new Uint8Array(mebibyte).fill(2);
    const { fiber } = await blocked(sockets, data);
    const waiting = sockets.first.bytesRead;
    const beside = second.write(own);
    const all = await readExactly(server, data.length + own.length);
    await beside;
    expect(all.length).toBe(data.length + own.length);
    const start = all.indexOf(2);
    expect(start).toBe(waiting);
    expect(all.lastIndexOf(2)).toBe(start + own.length - 1);
    expect(all.subarray(start, start + own.length).every((byte) => byte === 2)).toBe(true);
    await server.shutdown();
    await fiber.join();
  }, 30_000);

  test("does not hide that the receiver's socket was closed", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const piping = failureOf(pipe(first, second));
    // The other way waits to send, so it does not notice.
    const answer = server.write(distinctBytes(64 * mebibyte)).catch(() => {});
    await untilFull(server);
    const long = distinctBytes(200_000);
    void client.write(long);
    await readExactly(server, long.length);
    second.close();
    await client.write(long);
    const error = await piping;
    expect(error).toMatchObject({ name: "PipeError", code: "ERR_SOCKET_CLOSED", way: "forth" });
    expect(error.cause).toMatchObject({ syscall: "write" });
    server.reset();
    await answer;
  }, 15_000);

  test("more ways than there may be kernel pipes are copied through memory", async () => {
    const before = pipeEnds();
    const count = Limits.kernelPipes + 4;
    const data = distinctBytes(16 * mebibyte);
    const all: Proxied[] = [];
    for (let index = 0; index < count; index++) all.push(await proxied());
    const fibers = all.map(({ first, second }) => spawn(() => pipe(first, second)));
    const writers = all.map(({ client }) => client.write(data).then(() => client.shutdown()));
    const isBlocked = ({ first, second }: Proxied) => first.bytesRead > second.bytesWritten;
    await pollUntil("all of them are blocked", () => all.every(isBlocked), 20_000);
    expect(pipeEnds()).toBe(before + 2 * Limits.kernelPipes);
    for (const { server } of all) {
      expect(await drain(server)).toEqual({ bytes: data.length, hash: hashOf(data) });
      await server.shutdown();
    }
    await Promise.all(writers);
    for (const fiber of fibers) expect(await fiber.join()).toEqual({ forth: data.length, back: 0 });
    expect(pipeEnds()).toBe(before);
    for (const sockets of all) await sockets[Symbol.asyncDispose]();
  }, 60_000);

  test("urgent data does not hold a way up", async () => {
    using raw = new RawSocket();
    const listener = new RawSocket();
    const port = listener.bind();
    listener.listen(1);
    raw.connect(port);
    const first = Socket.fromFd(listener.accept());
    listener.close();
    await using behind = await socketPair();
    const piping = pipe(first, behind.client);
    const long = "x".repeat(100_000);
    raw.send(long);
    expect((await readExactly(behind.server, long.length)).length).toBe(long.length);
    raw.send("before");
    raw.send("!", { isUrgent: true });
    raw.send("after");
    // The urgent byte is not a part of the stream (tcp(7)).
    const text = new TextDecoder().decode(await readExactly(behind.server, 11));
    expect(text).toBe("beforeafter");
    raw.close();
    await behind.server.shutdown();
    expect(await piping).toEqual({ forth: long.length + 11, back: 0 });
    first.close();
  });
});

describe.skipIf(!hasSplice)("in a program of its own", () => {
  const transfer = `
    const place = { path: process.cwd() + "/socket" };
    const listener = await listen(place);
    const pairOf = async () => {
      const client = await connect(place);
      return { client, server: await listener.accept() };
    };
    const one = await pairOf();
    const other = await pairOf();
    const data = new Uint8Array(16 << 20).fill(7);
    const piping = pipe(one.server, other.client).catch((error) => error);
    const writing = one.client.write(data).then(() => one.client.shutdown()).catch(() => {});
  `;

  test("without descriptors the data passes through memory", async () => {
    const { stdout, stderr } = await runProgram(
      `import { readdirSync, openSync } from "node:fs";
       ${transfer}
       const held = [];
       try { for (;;) held.push(openSync("/dev/null", "r")); } catch {}
       let bytes = 0;
       const reading = (async () => {
         for (let chunk; (chunk = await other.server.next()) !== null; ) bytes += chunk.length;
         await other.server.shutdown();
       })();
       const { forth } = await piping;
       await reading;
       console.log(forth === data.length && bytes === data.length);
       process.exit();`,
      { within: ["prlimit", "--nofile=200:200"], bound: 15_000 },
    );
    expect([stdout, stderr]).toEqual(["true", ""]);
  }, 20_000);

  test("a receiver that is gone does not end the process by SIGPIPE", async () => {
    const { stdout, stderr, exitCode } = await runProgram(
      `${transfer}
       for (let bytes = 0; bytes < 1 << 20; ) bytes += (await other.server.next()).length;
       // A Unix socket raises the signal. Bun sets the signal's default action when its last listener goes.
       process.once("SIGPIPE", () => {}).removeAllListeners("SIGPIPE");
       other.server.reset();
       const error = await piping;
       console.log(error.name, error.forth > 0);
       process.exit(0);`,
      { bound: 15_000 },
    );
    expect([stdout, stderr, exitCode]).toEqual(["PipeError true", "", 0]);
  }, 20_000);
});
