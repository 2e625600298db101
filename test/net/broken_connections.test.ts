import { expect, test } from "bun:test";
import { connect, deadline, listen, stats } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { pollUntil } from "../support/poll.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { tlsPair } from "../support/tls_pair.ts";

/** More than the kernel's buffers hold, so that a write of it waits. */
const bulk = new Uint8Array(64 * 1024 * 1024);

test("a reset ends a read that waits, and is repeated to every later one", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const waiting = [failureOf(client.read(new Uint8Array(10))), failureOf(client.next())];
  server.reset();
  expect(server.closed).toBe(true);
  const errors = await Promise.all(waiting);
  errors.push(await failureOf(client.read(new Uint8Array(10))), await failureOf(client.next()));
  for (const error of errors) {
    expect(error).toMatchObject({
      name: "SocketError",
      code: "ECONNRESET",
      syscall: "read",
      address: "127.0.0.1",
      port: client.remotePort,
    });
  }
  expect(client.eof).toBe(false);
  // The caller still owns the socket, and closes it.
  expect(client.connected).toBe(true);
});

test.each([
  ["TCP", socketPair],
  ["TLS 1.3", () => tlsPair()],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" })],
] as const)("over %s a shutdown after a reset tells of the reset", async (_name, makePair) => {
  const reset = { name: "SocketError", code: "ECONNRESET" };
  {
    // No poll has reported it yet, and the kernel reports it once.
    await using pair = await makePair();
    pair.server.reset();
    expect(await failureOf(pair.client.shutdown())).toMatchObject({
      ...reset,
      syscall: "shutdown",
    });
    expect(await failureOf(pair.client.read(new Uint8Array(1)))).toMatchObject(reset);
    expect(await failureOf(pair.client.shutdown())).toMatchObject(reset);
    expect(await failureOf(pair.client.write("x"))).toMatchObject({ code: "EPIPE" });
  }
  {
    await using pair = await makePair();
    pair.server.reset();
    expect(await failureOf(pair.client.read(new Uint8Array(1)))).toMatchObject(reset);
    expect(await failureOf(pair.client.shutdown())).toMatchObject(reset);
  }
  {
    await using pair = await makePair();
    pair.server.reset();
    expect(await failureOf(pair.client.write("x"))).toMatchObject(reset);
    expect(await failureOf(pair.client.shutdown())).toMatchObject(reset);
  }
  {
    await using pair = await makePair();
    const writing = failureOf(pair.client.write(bulk));
    const behind = failureOf(pair.client.shutdown());
    await pollUntil("the kernel takes no more", () => pair.client.bytesWritten > 100_000);
    pair.server.reset();
    expect(await writing).toMatchObject(reset);
    expect(await behind).toMatchObject(reset);
  }
});

test("a reset ends a write that waits, with the number of bytes", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const writing = failureOf(client.write(bulk));
  const behind = failureOf(client.write("behind it"));
  await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
  const taken = client.bytesWritten;
  server.reset();
  const error = await writing;
  expect(error).toMatchObject({ name: "SocketError", syscall: "write" });
  expect(["ECONNRESET", "EPIPE"]).toContain(error.code!);
  expect(error.bytesWritten).toBe(client.bytesWritten);
  expect(error.bytesWritten).toBeGreaterThanOrEqual(taken);
  for (const later of [await behind, await failureOf(client.write("later"))]) {
    expect(["ECONNRESET", "EPIPE"]).toContain(later.code!);
    expect(later.bytesWritten).toBe(0);
  }
  expect(await failureOf(client.read(new Uint8Array(1)))).toMatchObject({ code: "ECONNRESET" });
});

test("a reset ends a write of several buffers in the same way", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const writing = failureOf(client.write(["head", bulk, "tail"]));
  await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
  server.reset();
  const error = await writing;
  expect(["ECONNRESET", "EPIPE"]).toContain(error.code!);
  expect(error.bytesWritten).toBe(client.bytesWritten);
});

test("a reset ends a reader and a writer that wait at the same time", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const reading = failureOf(client.read(new Uint8Array(10)));
  const writing = failureOf(client.write(bulk));
  await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
  server.reset();
  // The kernel reports it to one of the two calls only.
  expect(await reading).toMatchObject({ code: "ECONNRESET", syscall: "read" });
  expect(["ECONNRESET", "EPIPE"]).toContain((await writing).code!);
});

test.skipIf(process.platform !== "linux")("a foreign peer's reset is the same", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  using peer = new RawSocket();
  peer.connect(listener.port);
  await using socket = await listener.accept();
  peer.send("hello");
  expect(await readExactly(socket, 5)).toHaveLength(5);
  const reading = failureOf(socket.read(new Uint8Array(10)));
  peer.reset();
  expect(await reading).toMatchObject({ code: "ECONNRESET" });
  expect(await failureOf(socket.write("late"))).toMatchObject({ code: "EPIPE", bytesWritten: 0 });
});

test.skipIf(process.platform !== "linux")("what came before a reset is read first", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  using peer = new RawSocket();
  peer.connect(listener.port);
  await using socket = await listener.accept();
  peer.send("last words");
  peer.reset();
  // A write finds the loss, and must not hide it from the reader.
  await pollUntil("the reset has come", async () => {
    const outcome = await socket.write("x").catch((error: unknown) => error);
    return outcome instanceof Error;
  });
  expect(new TextDecoder().decode(await readExactly(socket, 10))).toBe("last words");
  expect(await failureOf(socket.next())).toMatchObject({ code: "ECONNRESET" });
  expect(await failureOf(socket.next())).toMatchObject({ code: "ECONNRESET" });
});

test("a connection that was reset in the backlog is accepted, and reports the reset", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const client = await connect({ host: "127.0.0.1", port: listener.port });
  const { localPort } = client;
  client.reset();
  await using server = await listener.accept(deadline(2000));
  expect(server.remotePort).toBe(localPort!);
  expect(server.remoteAddress).toBe("127.0.0.1");
  expect(await failureOf(server.next())).toMatchObject({ code: "ECONNRESET" });
});

test("writing after shutdown is EPIPE, and reading goes on", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  await client.shutdown();
  for (const data of ["text", new Uint8Array(10), ["several", "parts"]]) {
    expect(await failureOf(client.write(data))).toMatchObject({
      name: "SocketError",
      code: "EPIPE",
      syscall: "write",
      bytesWritten: 0,
    });
  }
  expect(await failureOf(client.sendFile(import.meta.path))).toMatchObject({ code: "EPIPE" });
  await server.write("answer");
  expect(new TextDecoder().decode(await readExactly(client, 6))).toBe("answer");
  expect(client.bytesWritten).toBe(0);
});

test("writing to a peer that has closed fails in the end, and its last bytes can be read", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const answer = distinctBytes(20_000);
  await server.write(answer);
  server.close();
  const error = await failureOf(
    (async () => {
      for (;;) await client.write("is anybody there?", deadline(3000));
    })(),
  );
  expect(["EPIPE", "ECONNRESET"]).toContain(error.code!);
  expect(hashOf(await readExactly(client, answer.byteLength))).toBe(hashOf(answer));
});

test("reset closes at once, also twice, and ends the calls that wait", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const { sockets } = await quietStats();
  const reading = failureOf(client.read(new Uint8Array(10)));
  const writing = failureOf(client.write(bulk));
  await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
  client.reset();
  client.reset();
  client.close();
  expect(await reading).toMatchObject({ code: "ERR_SOCKET_CLOSED", syscall: "read" });
  expect(await writing).toMatchObject({
    code: "ERR_SOCKET_CLOSED",
    bytesWritten: client.bytesWritten,
  });
  expect(client).toMatchObject({ closed: true, connected: false, fd: -1 });
  expect(stats().sockets).toBe(sockets - 1);
});
