import { beforeAll, describe, expect, test } from "bun:test";
import { deadline, type PipeError, pipe, type Socket, spawn } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { untilFull } from "../support/full_socket.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { type Proxied, proxied } from "../support/proxied.ts";
import { Random } from "../support/random.ts";
import { drain, readExactly, readText } from "../support/receiving.ts";
import { type SocketPair, socketPair, unixSocketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { tlsPair } from "../support/tls_pair.ts";

const mebibyte = 1024 * 1024;

async function unixPair(): Promise<SocketPair> {
  using folder = new TemporaryFolder();
  return await unixSocketPair(folder.file("socket"));
}

/** Writes all in parts of random sizes, and ends the stream. */
async function sendInParts(socket: Socket, data: Uint8Array, random: Random): Promise<void> {
  for (let start = 0; start < data.length; ) {
    const length = 1 + random.below(random.pick([10, 5000, 400_000]));
    await socket.write(data.subarray(start, start + length));
    start += length;
  }
  await socket.shutdown();
}

// OpenSSL's command takes seconds to make them.
beforeAll(() => void certificates(), 60_000);

test.each([
  ["TCP", socketPair, socketPair],
  ["TLS in front", tlsPair, socketPair],
  ["TLS behind", socketPair, tlsPair],
  ["TLS on both sides", tlsPair, tlsPair],
  ["a Unix socket behind", socketPair, unixPair],
  ["Unix sockets", unixPair, unixPair],
] as const)(
  "both ways at once, byte for byte: %s",
  async (_, front, behind) => {
    await using sockets = await proxied(front, behind);
    const { client, first, second, server } = sockets;
    const random = new Random();
    const request = distinctBytes(12_345_678);
    const answer = distinctBytes(9_876_543).toReversed();
    const piping = pipe(first, second);
    const [atServer, atClient] = await Promise.all([
      drain(server),
      drain(client),
      sendInParts(client, request, random),
      sendInParts(server, answer, random),
    ]);
    expect([random.seed, atServer]).toEqual([
      random.seed,
      { bytes: request.length, hash: hashOf(request) },
    ]);
    expect([random.seed, atClient]).toEqual([
      random.seed,
      { bytes: answer.length, hash: hashOf(answer) },
    ]);
    expect(await piping).toEqual({ forth: request.length, back: answer.length });
    expect(first.bytesRead).toBe(request.length);
    expect(second.bytesWritten).toBe(request.length);
    expect([first.closed, second.closed]).toEqual([false, false]);
  },
  30_000,
);

test.each([
  ["the first", true],
  ["the second", false],
])("%s ends its stream, and the other way goes on", async (_, isFirst) => {
  await using sockets = await proxied();
  const { first, second } = sockets;
  const [near, far] = isFirst ? [sockets.client, sockets.server] : [sockets.server, sockets.client];
  const piping = pipe(first, second);
  await near.write("question");
  await near.shutdown();
  expect(await readText(far)).toBe("question");
  for (const part of ["late ", "answer"]) await far.write(part);
  await far.shutdown();
  expect(await readText(near)).toBe("late answer");
  expect(await piping).toEqual(isFirst ? { forth: 8, back: 11 } : { forth: 11, back: 8 });
});

describe("without half close", () => {
  test("both ways end when one stream ends", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const piping = pipe(first, second, { halfClose: false });
    await server.write("bye");
    await server.shutdown();
    expect(await piping).toEqual({ forth: 0, back: 3 });
    expect(await readText(client)).toBe("bye");
    expect(await readText(server)).toBe("");
    // Nothing of the pipe is left: it takes no byte.
    await client.write("late");
    expect(new TextDecoder().decode((await first.next())!)).toBe("late");
  });

  test("what was received is still sent", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const piping = pipe(first, second, { halfClose: false });
    const data = distinctBytes(64 * mebibyte);
    const writer = failureOf(client.write(data));
    await untilFull(client);
    await server.shutdown();
    await pollUntil("the end has passed", () => first.closed || second.eof);
    const received = drain(server);
    const { forth, back } = await piping;
    expect(back).toBe(0);
    expect(forth).toBe(first.bytesRead);
    expect(await received).toEqual({ bytes: forth, hash: hashOf(data.subarray(0, forth)) });
    client.reset();
    await writer;
  }, 30_000);
});

describe("an error", () => {
  test.each([
    ["the client", "forth"],
    ["the server", "back"],
  ] as const)("%s resets: the error says which way has failed", async (_, way) => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const piping = failureOf(pipe(first, second));
    await client.write("12345");
    await server.next();
    await server.write("123");
    await client.next();
    (way === "forth" ? client : server).reset();
    const error = (await piping) as PipeError;
    expect(error).toMatchObject({
      name: "PipeError",
      code: "ECONNRESET",
      syscall: "pipe",
      way,
      forth: 5,
      back: 3,
      port: (way === "forth" ? first : second).remotePort!,
    });
    expect(error.cause).toMatchObject({ name: "SocketError", code: "ECONNRESET", syscall: "read" });
    expect(error.message).toContain(`${way}, after 5 bytes forth and 3 back`);
    // They are the caller's to reset.
    expect([first.closed, second.closed]).toEqual([false, false]);
  });

  test("a write that fails counts what the kernel had taken", async () => {
    await using sockets = await proxied();
    const { client, first, second, server } = sockets;
    const piping = failureOf(pipe(first, second));
    const writer = failureOf(client.write(distinctBytes(64 * mebibyte)));
    await untilFull(client);
    server.reset();
    const error = (await piping) as PipeError;
    expect(error.name).toBe("PipeError");
    expect(error.forth).toBe(second.bytesWritten);
    expect(first.bytesRead).toBeGreaterThanOrEqual(error.forth);
    client.reset();
    await writer;
  }, 15_000);

  test.each([
    ["first", "close"],
    ["second", "close"],
    ["first", "reset"],
  ] as const)("the %s socket's %s ends the pipe", async (name, call) => {
    await using sockets = await proxied();
    const { first, second } = sockets;
    const piping = failureOf(pipe(first, second));
    sockets[name][call]();
    expect(await piping).toMatchObject({ name: "PipeError", code: "ERR_SOCKET_CLOSED" });
  });
});

test("over TLS, a portion that was sent in part is not taken for the whole", async () => {
  await using sockets = await proxied(socketPair, tlsPair);
  const { client, first, second, server } = sockets;
  const fiber = spawn(() => pipe(first, second));
  const writer = failureOf(client.write(distinctBytes(64 * mebibyte)));
  await untilFull(client);
  fiber.cancel();
  await failureOf(fiber.join());
  // Not as the documentation advises.
  second.close();
  expect(await failureOf(drain(server))).toMatchObject({ code: "ERR_TLS_TRUNCATED" });
  client.reset();
  await writer;
}, 15_000);

describe("ended from outside", () => {
  test.each([
    [
      "a deadline",
      (first: Socket, second: Socket) => pipe(first, second, { deadline: deadline(300) }),
      { name: "TimeoutError", syscall: "pipe" },
    ],
    [
      "a signal",
      (first: Socket, second: Socket) => pipe(first, second, { signal: AbortSignal.timeout(300) }),
      { name: "CancelledError", syscall: "pipe" },
    ],
    [
      "the fiber's cancellation",
      async (first: Socket, second: Socket) => {
        const fiber = spawn(() => pipe(first, second));
        await Bun.sleep(300);
        fiber.cancel("enough");
        return await fiber.join();
      },
      { name: "CancelledError" },
    ],
  ] as const)(
    "%s ends a pipe in the middle of a write",
    async (_, run, expected) => {
      await using sockets = await proxied();
      const { client, first, second, server } = sockets;
      const piping = failureOf(run(first, second));
      const data = distinctBytes(64 * mebibyte);
      const writer = failureOf(client.write(data));
      expect(await piping).toMatchObject(expected);
      expect([first.closed, second.closed]).toEqual([false, false]);
      // What has been sent is the beginning of the data.
      const sent = second.bytesWritten;
      await second.shutdown();
      expect(await drain(server)).toEqual({ bytes: sent, hash: hashOf(data.subarray(0, sent)) });
      client.reset();
      await writer;
    },
    15_000,
  );

  test("a cancelled pipe that waits takes no byte", async () => {
    await using sockets = await proxied();
    const { client, first, second } = sockets;
    const fiber = spawn(() => pipe(first, second));
    await client.write("x");
    await sockets.server.next();
    fiber.cancel();
    await failureOf(fiber.join());
    await client.write("after");
    expect(new TextDecoder().decode((await first.next())!)).toBe("after");
  });
});

test("a slow receiver holds the sender back", async () => {
  await using sockets = await proxied();
  const { client, first, second, server } = sockets;
  const piping = pipe(first, second);
  const data = distinctBytes(64 * mebibyte);
  const writing = client.write(data).then(() => client.shutdown());
  await untilFull(client);
  expect(client.bytesWritten).toBeLessThan(data.length);
  // One portion at most is in the proxy's hands.
  expect(first.bytesRead - second.bytesWritten).toBeLessThanOrEqual(262_144);
  const received = await drain(server);
  await writing;
  expect(received).toEqual({ bytes: data.length, hash: hashOf(data) });
  await server.shutdown();
  expect(await piping).toEqual({ forth: data.length, back: 0 });
}, 30_000);

test("a write of another fiber is not torn", async () => {
  await using sockets = await proxied(socketPair, tlsPair);
  const { client, first, second, server } = sockets;
  const piping = pipe(first, second);
  const data = new Uint8Array(8 * mebibyte).fill(1);
  const own = new Uint8Array(mebibyte).fill(2);
  const writing = client.write(data).then(() => client.shutdown());
  await pollUntil("the pipe carries", () => second.bytesWritten > 0);
  const beside = second.write(own);
  const chunks: Uint8Array[] = [];
  for await (const chunk of server) chunks.push(chunk);
  await Promise.all([writing, beside]);
  const all = Buffer.concat(chunks);
  expect(all.length).toBe(data.length + own.length);
  const start = all.indexOf(2);
  expect(all.subarray(start, start + own.length).every((byte) => byte === 2)).toBe(true);
  expect(all.indexOf(2, start + own.length)).toBe(-1);
  await server.shutdown();
  await piping;
}, 15_000);

test("1,000 idle pipes hold no descriptors beside their sockets, and little memory", async () => {
  const all: Proxied[] = [];
  for (let count = 0; count < 1000; count++) all.push(await proxied());
  const descriptors = openDescriptors();
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  const pipes = all.map(({ first, second }) => failureOf(pipe(first, second)));
  // Long portions: these go through a pipe of the kernel.
  const question = distinctBytes(200_000);
  for (const { client, server } of all) {
    void client.write(question);
    expect((await readExactly(server, question.length)).length).toBe(question.length);
    await server.write("answer");
    expect((await client.next())!.length).toBe(6);
  }
  Bun.gc(true);
  // All pipes of this thread have one kernel pipe together.
  expect(openDescriptors()).toBeLessThanOrEqual(descriptors + 2);
  // 16 KiB for each: far from a buffer for each way.
  expect(process.memoryUsage.rss() - before).toBeLessThan(16 * mebibyte);
  for (const sockets of all) await sockets[Symbol.asyncDispose]();
  const errors = await Promise.all(pipes);
  expect(errors.every((error) => error.name === "PipeError")).toBe(true);
}, 30_000);

test("a wrong argument fails before anything happens", async () => {
  await using sockets = await proxied();
  const { first, second } = sockets;
  const wrong = [
    pipe(first, first),
    pipe(first, {} as never),
    pipe(undefined as never, second),
    pipe(first, second, { halfClose: 1 as never }),
    pipe(first, second, { half: true } as never),
    pipe(first, second, { signal: {} as never }),
  ];
  for (const call of wrong) expect(await failureOf(call)).toBeInstanceOf(TypeError);
  expect(await failureOf(pipe(first, second, { deadline: Number.NaN }))).toBeInstanceOf(RangeError);
});
