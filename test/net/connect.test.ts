import { expect, test } from "bun:test";
import { hostname } from "node:os";
import {
  CancelledError,
  connect,
  deadline,
  listen,
  now,
  spawn,
  stats,
  TimeoutError,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { pollUntil } from "../support/poll.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { readText } from "../support/receiving.ts";
import { FullListener } from "../support/waits.ts";

test("both ends agree on the addresses of an IPv4 connection", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using client = await connect({ host: "127.0.0.1", port: listener.port });
  await using server = await listener.accept();
  expect(client.remoteAddress).toBe("127.0.0.1");
  expect(client.remotePort).toBe(listener.port);
  expect(client.localAddress).toBe("127.0.0.1");
  expect(server.remoteAddress).toBe("127.0.0.1");
  expect(server.remotePort).toBe(client.localPort!);
  expect(server.localPort).toBe(listener.port);
  expect(client.localPort).toBeGreaterThan(0);
  expect(client.connected).toBe(true);
  expect(client.secure).toBe(false);
  expect(client.fd).toBeGreaterThan(2);
});

test.skipIf(!hasIpv6)("both ends agree on the addresses of an IPv6 connection", async () => {
  await using listener = await listen({ host: "::1", port: 0 });
  expect(listener.address).toBe("::1");
  await using client = await connect({ host: "::1", port: listener.port });
  await using server = await listener.accept();
  expect(client.remoteAddress).toBe("::1");
  expect(server.remoteAddress).toBe("::1");
  expect(server.remotePort).toBe(client.localPort!);
});

test("localhost is the default host, and reaches a listener of either family", async () => {
  for (const host of hasIpv6 ? ["127.0.0.1", "::1"] : ["127.0.0.1"]) {
    await using listener = await listen({ host, port: 0 });
    await using client = await connect({ port: listener.port });
    expect(client.remoteAddress).toBe(host);
    await using named = await connect({ host: "localhost", port: listener.port });
    expect(named.remoteAddress).toBe(host);
  }
});

test("a name of this machine is looked up", async () => {
  const name = hostname();
  await using listener = await listen({ port: 0 }, (socket) => socket.write("found"));
  await using client = await connect({ host: name, port: listener.port });
  expect(await readText(client)).toBe("found");
});

test("a name that does not exist is ENOTFOUND", async () => {
  // A name with an empty label is invalid: no name server is asked, whether there is one or not.
  const error = await failureOf(connect({ host: "no..such.host", port: 80 }));
  expect(error).toMatchObject({
    name: "SocketError",
    code: "ENOTFOUND",
    syscall: "getaddrinfo",
    address: "no..such.host",
  });
  expect(error.message).toContain("no..such.host");
});

test("the error of a refused connection has its address", async () => {
  using reserved = new RawSocket();
  const port = reserved.bind();
  const error = await failureOf(connect({ host: "127.0.0.1", port }));
  expect(error).toMatchObject({
    name: "SocketError",
    code: "ECONNREFUSED",
    syscall: "connect",
    address: "127.0.0.1",
    port,
  });
  expect(error.cause).toBeUndefined();
  expect(error.message).toContain(`127.0.0.1:${port}`);
});

test.skipIf(!hasIpv6)(
  "when several addresses refuse, the cause has an error for each",
  async () => {
    using reserved = new RawSocket(6);
    const port = reserved.bind();
    const error = await failureOf(connect({ host: "localhost", port }));
    expect(error).toMatchObject({ code: "ECONNREFUSED", address: "localhost", port });
    const { cause } = error;
    if (!(cause instanceof AggregateError)) throw new Error(`the cause is ${String(cause)}`);
    const tried = cause.errors.map(({ code, address }) => `${address} ${code}`);
    expect(tried.toSorted()).toEqual(["127.0.0.1 ECONNREFUSED", "::1 ECONNREFUSED"]);
  },
);

test("a failed attempt leaves no socket behind", async () => {
  using reserved = new RawSocket();
  const port = reserved.bind();
  const { sockets, waiters } = await quietStats();
  await Promise.all(
    Array.from({ length: 50 }, () => failureOf(connect({ host: "127.0.0.1", port }))),
  );
  expect(stats()).toMatchObject({ sockets, waiters });
});

test.skipIf(!hasIpv6)("family selects among the addresses of a name", async () => {
  await using listener = await listen({ port: 0 });
  const { port } = listener;
  await using older = await connect({ host: "localhost", port, family: 4 });
  expect(older.remoteAddress).toBe("127.0.0.1");
  await using newer = await connect({ host: "localhost", port, family: 6 });
  expect(newer.remoteAddress).toBe("::1");
});

test("family holds for names that are looked up as well", async () => {
  await using listener = await listen({ host: "0.0.0.0", port: 0 });
  await using client = await connect({ host: hostname(), port: listener.port, family: 4 });
  expect(client.remoteAddress).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
});

test.skipIf(process.platform !== "linux")("localAddress is where it comes from", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const options = { host: "127.0.0.1", port: listener.port, localAddress: "127.0.0.77" };
  await using client = await connect(options);
  await using server = await listener.accept();
  expect(client.localAddress).toBe("127.0.0.77");
  expect(server.remoteAddress).toBe("127.0.0.77");
});

test("localAddress skips addresses of the other family", async () => {
  await using listener = await listen({ port: 0 });
  const options = { host: "localhost", port: listener.port, localAddress: "127.0.0.1" };
  await using client = await connect(options);
  expect(client.remoteAddress).toBe("127.0.0.1");
});

test("a localAddress that is not this machine's is refused by the system", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  // RFC 5737 keeps this address for documentation.
  const options = { host: "127.0.0.1", port: listener.port, localAddress: "203.0.113.9" };
  const error = await failureOf(connect(options));
  expect(error).toMatchObject({ name: "SocketError", code: "EADDRNOTAVAIL" });
});

test("a signal that is aborted already ends connect before any attempt", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const { connected, sockets } = await quietStats();
  const reason = new Error("not wanted");
  const signal = AbortSignal.abort(reason);
  const error = await failureOf(connect({ host: "127.0.0.1", port: listener.port, signal }));
  expect(error).toBeInstanceOf(CancelledError);
  const { port } = listener;
  expect(error).toMatchObject({ code: "ECANCELED", cause: reason, address: "127.0.0.1", port });
  expect(stats()).toMatchObject({ connected, sockets });
  const nobody = await failureOf(listener.accept(deadline(20)));
  expect(nobody.code).toBe("ETIMEDOUT");
});

test("a signal ends an attempt that hangs", async () => {
  await using full = await FullListener.open();
  const { sockets } = await quietStats();
  const controller = new AbortController();
  const attempt = connect({ host: "127.0.0.1", port: full.port, signal: controller.signal });
  const failure = failureOf(attempt);
  await pollUntil("the attempt is under way", () => stats().sockets === sockets + 1);
  const reason = new Error("changed my mind");
  controller.abort(reason);
  const { port } = full;
  expect(await failure).toMatchObject({ name: "CancelledError", cause: reason, port });
  expect(stats().sockets).toBe(sockets);
});

test("a signal that is aborted right after the call ends it too", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const { sockets } = await quietStats();
  const controller = new AbortController();
  const { signal } = controller;
  const failure = failureOf(connect({ host: "127.0.0.1", port: listener.port, signal }));
  controller.abort("at once");
  expect(await failure).toMatchObject({ name: "CancelledError", cause: "at once" });
  expect(stats().sockets).toBe(sockets);
});

test("a signal ends the look-up of a name", async () => {
  const controller = new AbortController();
  const { waiters } = stats();
  const failure = failureOf(
    connect({ host: "no..such.host", port: 80, signal: controller.signal }),
  );
  expect(stats().waiters).toBe(waiters + 1);
  controller.abort("not needed");
  expect(await failure).toMatchObject({ name: "CancelledError", cause: "not needed" });
});

test("a signal that is aborted later leaves the socket alone", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const { signal } = controller;
  await using client = await connect({ host: "127.0.0.1", port: listener.port, signal });
  await using server = await listener.accept();
  controller.abort();
  await server.write("still there");
  server.close();
  expect(await readText(client)).toBe("still there");
});

test("a cancelled fiber's attempt ends", async () => {
  await using full = await FullListener.open();
  const { sockets } = await quietStats();
  const fiber = spawn(() => connect({ host: "127.0.0.1", port: full.port }));
  await pollUntil("the attempt is under way", () => stats().sockets === sockets + 1);
  const reason = new Error("no more");
  fiber.cancel(reason);
  expect(await failureOf(fiber.join())).toMatchObject({ name: "CancelledError", cause: reason });
  expect(fiber.state).toBe("cancelled");
  expect(stats().sockets).toBe(sockets);
});

test("a deadline ends an attempt that hangs", async () => {
  await using full = await FullListener.open();
  const { sockets } = await quietStats();
  const end = deadline(20);
  const error = await failureOf(connect({ host: "127.0.0.1", port: full.port, deadline: end }));
  expect(now()).toBeGreaterThanOrEqual(end);
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ syscall: "connect", address: "127.0.0.1", port: full.port });
  expect(stats().sockets).toBe(sockets);
});

test("every option has its effect", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, (socket) =>
    socket.write("hi"),
  );
  await using client = await connect({
    host: "127.0.0.1",
    port: listener.port,
    deadline: deadline(3000),
    signal: new AbortController().signal,
    localAddress: "127.0.0.1",
    family: 4,
    noDelay: false,
    keepAlive: { idle: 30, interval: 10, count: 3 },
    linger: 2,
  });
  client.setNoDelay().setNoDelay(false).setKeepAlive().setKeepAlive(false).setLinger(0);
  expect(await readText(client)).toBe("hi");
});

test.skipIf(process.platform !== "linux")("the options reach the kernel", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const target = { host: "127.0.0.1", port: listener.port };
  await using plain = await connect(target);
  await using server = await listener.accept();
  const keepAlive = { idle: 31, interval: 11, count: 4 };
  await using tuned = await connect({ ...target, noDelay: false, keepAlive });
  for (const socket of [plain, server]) {
    expect(RawSocket.tcpOption(socket.fd, "noDelay")).toBe(1);
    expect(RawSocket.keepsAlive(socket.fd)).toBe(false);
  }
  expect(RawSocket.tcpOption(tuned.fd, "noDelay")).toBe(0);
  expect(RawSocket.keepsAlive(tuned.fd)).toBe(true);
  expect(RawSocket.tcpOption(tuned.fd, "keepAliveIdle")).toBe(31);
  expect(RawSocket.tcpOption(tuned.fd, "keepAliveInterval")).toBe(11);
  expect(RawSocket.tcpOption(tuned.fd, "keepAliveCount")).toBe(4);
});

test("two hundred connections at once are all made", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    await socket.write(await readText(socket));
  });
  const { connected, accepted } = stats();
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      await using client = await connect({ host: "127.0.0.1", port: listener.port });
      await client.write(`number ${index}`);
      await client.shutdown();
      return await readText(client);
    }),
  );
  expect(answers).toEqual(Array.from({ length: 200 }, (_, index) => `number ${index}`));
  expect(stats()).toMatchObject({ connected: connected + 200, accepted: accepted + 200 });
});
