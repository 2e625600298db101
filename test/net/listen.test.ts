import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { connect, deadline, type Listener, listen, stats } from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

async function answerFrom(host: string, listener: Listener): Promise<string> {
  await using client = await connect({ host, port: listener.port });
  return await readText(client);
}

test("port 0 picks a free port, which the listener shows", async () => {
  await using first = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.write("1"));
  await using second = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.write("2"));
  expect(first.port).toBeGreaterThan(0);
  expect(first.port).not.toBe(second.port);
  expect(first.address).toBe("127.0.0.1");
  expect(await answerFrom("127.0.0.1", first)).toBe("1");
  expect(await answerFrom("127.0.0.1", second)).toBe("2");
});

test.skipIf(!hasIpv6)("without a host clients of both families arrive", async () => {
  await using listener = await listen({ port: 0 }, (socket) => socket.write(socket.remoteAddress!));
  expect(listener.address).toBe("::");
  expect(await answerFrom("::1", listener)).toBe("::1");
  expect(await answerFrom("127.0.0.1", listener)).toMatch(/^(::ffff:)?127\.0\.0\.1$/);
});

test.skipIf(!hasIpv6)("a host restricts it to one family", async () => {
  await using older = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.write("4"));
  expect(await answerFrom("127.0.0.1", older)).toBe("4");
  expect(await failureOf(answerFrom("::1", older))).toMatchObject({ code: "ECONNREFUSED" });
  await using newer = await listen({ host: "::1", port: 0 }, (socket) => socket.write("6"));
  expect(await answerFrom("::1", newer)).toBe("6");
  expect(await failureOf(answerFrom("127.0.0.1", newer))).toMatchObject({ code: "ECONNREFUSED" });
});

test.skipIf(!hasIpv6)("an IPv4-mapped IPv6 address can be listened at", async () => {
  for (const host of ["::ffff:127.0.0.1", "::FFFF:7f00:1", "0:0:0:0:0:ffff:127.0.0.1"]) {
    await using listener = await listen({ host, port: 0 }, (socket) => socket.write("mapped"));
    expect(listener.address).toBe("::ffff:127.0.0.1");
    expect(await answerFrom("127.0.0.1", listener)).toBe("mapped");
    expect(await answerFrom(host, listener)).toBe("mapped");
    expect(await answerFrom(listener.address, listener)).toBe("mapped");
    // That address alone, not all of the machine.
    expect(await failureOf(answerFrom("::1", listener))).toMatchObject({ code: "ECONNREFUSED" });
    expect(await failureOf(answerFrom("127.0.0.2", listener))).toMatchObject({
      code: "ECONNREFUSED",
    });
  }
});

test.skipIf(!hasIpv6)(
  "the unspecified address means all of the machine's, in every spelling",
  async () => {
    for (const host of ["::", "::0", "0:0:0:0:0:0:0:0"]) {
      await using listener = await listen({ host, port: 0 }, (socket) => socket.write("any"));
      expect(listener.address).toBe("::");
      expect(await answerFrom("::1", listener)).toBe("any");
      expect(await answerFrom("127.0.0.1", listener)).toBe("any");
    }
  },
);

test("a host may be a name", async () => {
  await using listener = await listen({ host: "localhost", port: 0 }, (socket) =>
    socket.write("!"),
  );
  expect(listener.address).toBe("127.0.0.1");
  expect(await answerFrom("localhost", listener)).toBe("!");
  await using below = await listen({ host: "api.LocalHost.", port: 0 }, (socket) =>
    socket.write("below"),
  );
  expect(below.address).toBe("127.0.0.1");
  expect(await answerFrom("api.localhost", below)).toBe("below");
  const unknown = await failureOf(listen({ host: "no..such.host", port: 0 }));
  expect(unknown).toMatchObject({ code: "ENOTFOUND", address: "no..such.host" });
});

test("a port in use is an error that names it", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const { port } = listener;
  const { sockets } = await quietStats();
  expect(await failureOf(listen({ host: "127.0.0.1", port }))).toMatchObject({
    name: "SocketError",
    code: "EADDRINUSE",
    syscall: "listen",
    address: "127.0.0.1",
    port,
  });
  expect(await failureOf(listen({ port }))).toMatchObject({ code: "EADDRINUSE" });
  expect(stats().sockets).toBe(sockets);
});

test("a port can be listened at again as soon as it is closed", async () => {
  const first = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.write("first"));
  const { port } = first;
  // A connection that the server closes leaves the port in TIME_WAIT.
  expect(await answerFrom("127.0.0.1", first)).toBe("first");
  await first.close();
  expect(first.closed).toBe(true);
  await using second = await listen({ host: "127.0.0.1", port }, (socket) =>
    socket.write("second"),
  );
  expect(await answerFrom("127.0.0.1", second)).toBe("second");
});

test("an address of another machine is refused by the system", async () => {
  const error = await failureOf(listen({ host: "203.0.113.9", port: 0 }));
  expect(error).toMatchObject({ code: "EADDRNOTAVAIL", address: "203.0.113.9" });
});

test("reusePort lets two listen at the same port, and both get connections", async () => {
  const served = { first: 0, second: 0 };
  const options = { host: "127.0.0.1", reusePort: true };
  await using first = await listen({ ...options, port: 0 }, () => void served.first++);
  await using second = await listen({ ...options, port: first.port }, () => void served.second++);
  expect(second.port).toBe(first.port);
  const exclusive = await failureOf(listen({ host: "127.0.0.1", port: first.port }));
  expect(exclusive).toMatchObject({ code: "EADDRINUSE" });
  // The kernel chooses by a hash of both addresses: of 64 connections each gets some.
  await Promise.all(Array.from({ length: 64 }, () => answerFrom("127.0.0.1", first)));
  expect(served.first + served.second).toBe(64);
  expect(served.first).toBeGreaterThan(0);
  expect(served.second).toBeGreaterThan(0);
});

test.skipIf(process.platform !== "linux")(
  "a descriptor that listens already is taken",
  async () => {
    using raw = new RawSocket();
    const port = raw.bind();
    raw.listen(16);
    await using listener = await listen({ fd: raw.fd }, (socket) => socket.write("handed over"));
    // plait owns it from here on, and closes it with the listener.
    raw.release();
    expect(listener.port).toBe(port);
    expect(listener.address).toBe("127.0.0.1");
    expect(await answerFrom("127.0.0.1", listener)).toBe("handed over");
    await listener.close();
    expect(await failureOf(connect({ host: "127.0.0.1", port }))).toMatchObject({
      code: "ECONNREFUSED",
    });
  },
);

test.skipIf(process.platform !== "linux")(
  "other descriptors are refused and stay open",
  async () => {
    using folder = new TemporaryFolder();
    const file = openSync(folder.file("file"), "w");
    try {
      expect(await failureOf(listen({ fd: file }))).toMatchObject({ code: "ENOTSOCK" });
      expect(await failureOf(listen({ fd: 999_999 }))).toMatchObject({ code: "EBADF" });
    } finally {
      closeSync(file);
    }
    // A socket that does not listen yet must not begin to do so here.
    using raw = new RawSocket();
    const port = raw.bind();
    expect(await failureOf(listen({ fd: raw.fd }))).toMatchObject({ code: "EINVAL" });
    expect(await failureOf(connect({ host: "127.0.0.1", port }))).toMatchObject({
      code: "ECONNREFUSED",
    });
  },
);

test("without a handler, accept returns the connections in their order", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using held = new AsyncDisposableStack();
  const ports: number[] = [];
  for (let count = 0; count < 5; count++) {
    ports.push(held.use(await connect({ host: "127.0.0.1", port: listener.port })).localPort!);
  }
  const accepted: number[] = [];
  for (let count = 0; count < 5; count++) {
    accepted.push(held.use(await listener.accept()).remotePort!);
  }
  expect(accepted).toEqual(ports);
  expect(listener.connections).toBe(5);
});

test("callers of accept are served in the order of their calls", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using held = new AsyncDisposableStack();
  const order: number[] = [];
  const calls = [0, 1, 2, 3].map(async (caller) => {
    const socket = held.use(await listener.accept());
    order.push(caller);
    return socket.remotePort;
  });
  const ports: (number | undefined)[] = [];
  for (const _ of calls) {
    ports.push(held.use(await connect({ host: "127.0.0.1", port: listener.port })).localPort);
  }
  expect(await Promise.all(calls)).toEqual(ports);
  expect(order).toEqual([0, 1, 2, 3]);
});

test("connections that come all at once are not all accepted before the first is served", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const target = { host: "127.0.0.1", port: listener.port };
  const clients = await Promise.all(Array.from({ length: 300 }, () => connect(target)));
  // They are in the backlog until accept takes them. How many were taken when one goes on?
  const accepted: number[] = [];
  const servers = await Promise.all(
    clients.map(async () => {
      const socket = await listener.accept();
      accepted.push(listener.connections);
      return socket;
    }),
  );
  for (const socket of [...clients, ...servers]) socket.reset();
  expect(accepted[0]).toBeLessThan(100);
  expect(accepted.at(-1)).toBe(300);
});

test("a deadline ends accept, and loses no connection", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const error = await failureOf(listener.accept(deadline(15)));
  expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", syscall: "accept" });
  await using client = await connect({ host: "127.0.0.1", port: listener.port });
  await using server = await listener.accept(deadline(2000));
  expect(server.remotePort).toBe(client.localPort!);
});

test("for await yields the connections until the listener is closed", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const served = (async () => {
    let count = 0;
    for await (const socket of listener) {
      await using connection = socket;
      await connection.write(`number ${++count}`);
    }
    return count;
  })();
  for (const expected of ["number 1", "number 2", "number 3"]) {
    expect(await answerFrom("127.0.0.1", listener)).toBe(expected);
  }
  await listener.close();
  expect(await served).toBe(3);
});

test("close ends accept, and every later accept fails", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const waiting = [failureOf(listener.accept()), failureOf(listener.accept(deadline(5000)))];
  await listener.close();
  for (const error of await Promise.all(waiting)) {
    expect(error).toMatchObject({
      name: "SocketError",
      code: "ERR_SOCKET_CLOSED",
      syscall: "accept",
    });
  }
  expect(await failureOf(listener.accept())).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  for await (const _ of listener) throw new Error("a closed listener has no connections");
});

test("accept is refused if there is a handler", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, () => {});
  expect((await failureOf(listener.accept())).message).toContain("handler");
});
