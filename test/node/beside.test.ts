/** Sockets of plait/net beside the rest of plait: fibers, asynchronous contexts, sockets of plait. */

import { describe, expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import type { Server as NodesServer, Socket as NodesSocket } from "node:net";
import { connect, current, listen, sleep, spawn } from "../../index.ts";
import net, * as names from "../../src/node/net.ts";
import { failureOf } from "../support/failure.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import {
  closed,
  listening,
  NetPair,
  type NetSocket,
  nextData,
  received,
} from "../support/net_pair.ts";

const host = "127.0.0.1";

async function echo(): Promise<{ port: number; close: () => Promise<void> }> {
  const { server, port } = await listening({}, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  return { port, close: () => server[Symbol.asyncDispose]() };
}

test("a socket outlives the fiber that made it, and its cancellation", async () => {
  const { port, close } = await echo();
  let client!: InstanceType<typeof net.Socket>;
  const fiber = spawn(async () => {
    client = net.connect(port, host);
    client.on("data", () => {});
    client.write("in the fiber");
    await once(client, "data");
    await sleep(10_000);
  });
  while (client.bytesRead === 0) await sleep(1);
  fiber.cancel();
  await failureOf(fiber.join());
  client.write("after it");
  expect((await nextData(client)).toString()).toBe("after it");
  client.end();
  await closed(client);
  await close();
});

test("a cancelled fiber can still write and destroy", async () => {
  await using pair = await NetPair.make();
  const { client, accepted } = pair;
  const fiber = spawn(async () => {
    try {
      await sleep(10_000);
    } finally {
      client.write("goodbye");
    }
  });
  fiber.cancel();
  expect((await nextData(accepted)).toString()).toBe("goodbye");
});

test("listeners run in the context of connect and of listen, in no fiber", async () => {
  const context = new AsyncLocalStorage<string>();
  const seen: string[] = [];
  const note = (what: string): void => {
    seen.push(`${what} ${context.getStore()} ${current() === undefined}`);
  };
  const server = net.createServer((socket) => {
    note("connection");
    socket.on("data", (chunk) => {
      note("server data");
      socket.end(chunk);
    });
  });
  await spawn(() =>
    context.run("listen", async () => {
      server.listen(0, host);
      await once(server, "listening");
    }),
  ).join();
  const { port } = server.address() as { port: number };
  const ended = Promise.withResolvers<void>();
  await spawn(() =>
    context.run("connect", async () => {
      const client = net.connect(port, host);
      client.on("connect", () => note("connect"));
      client.on("data", () => note("data"));
      client.on("close", () => ended.resolve());
      client.write("x");
    }),
  ).join();
  await ended.promise;
  expect(seen.toSorted()).toEqual([
    ...["connect connect true", "connection listen true", "data connect true"],
    "server data listen true",
  ]);
  await server[Symbol.asyncDispose]();
});

test("a connected socket of plait becomes a stream, and connect announces it", async () => {
  const { port, close } = await echo();
  const plait = await connect({ host, port });
  const client = new net.Socket({ socket: plait });
  expect([client.connecting, client.pending, client.readyState]).toEqual([false, false, "open"]);
  expect(client.plaitSocket).toBe(plait);
  const events: string[] = [];
  for (const event of ["connect", "ready", "error"]) client.on(event, () => events.push(event));
  // As a driver does it, which knows nothing of the connection.
  expect(client.connect(9, "elsewhere.example")).toBe(client);
  await once(client, "ready");
  expect(events).toEqual(["connect", "ready"]);
  client.write("text");
  expect((await nextData(client)).toString()).toBe("text");
  expect(client.remotePort).toBe(port);
  client.destroy();
  await closed(client);
  expect(plait.closed).toBe(true);
  await close();
});

test("the socket of plait can be had back", async () => {
  const { port, close } = await echo();
  const client = net.connect(port, host);
  await once(client, "connect");
  client.write("one");
  await nextData(client);
  client.pause();
  const plait = client.detach();
  expect(client.destroyed).toBe(true);
  await closed(client);
  await plait.write("two");
  expect(Buffer.from((await plait.next())!).toString()).toBe("two");
  plait.close();
  expect(() => client.detach()).toThrow("Socket is closed");
  await close();
});

test("a socket with unread data is not given back", async () => {
  await using pair = await NetPair.make();
  const { client, accepted } = pair;
  accepted.write("data");
  await once(client, "readable");
  expect(() => client.detach()).toThrow(expect.objectContaining({ code: "EBUSY" }));
  expect(String(client.read())).toBe("data");
});

describe("a socket is not given back while a handshake is under way", () => {
  // Not by toThrow, which also reports promises that are rejected and have no handler yet.
  const outcome = (socket: NetSocket): unknown => {
    try {
      return socket.detach();
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
  };

  test("that of connect", async () => {
    await using pair = await NetPair.make({}, { tls: true });
    pair.client.on("error", () => {});
    expect(outcome(pair.client)).toBe("EBUSY");
    expect(pair.client.destroyed).toBe(false);
  });

  test("that of startTls, from its call on", async () => {
    await using pair = await NetPair.make();
    const { client, accepted } = pair;
    client.on("error", () => {});
    const starting = failureOf(client.startTls());
    expect(outcome(client)).toBe("EBUSY");
    await nextData(accepted);
    expect(outcome(client)).toBe("EBUSY");
    client.destroy();
    expect(await starting).toBeInstanceOf(Error);
  });
});

test("a socket of plait that is closed, or is waited on, is refused", async () => {
  const listener = await listen({ host, port: 0 }, async (socket) => void (await socket.next()));
  const plait = await connect({ host, port: listener.port });
  const waiting = failureOf(plait.next());
  expect(() => new net.Socket({ socket: plait })).toThrow(
    expect.objectContaining({ code: "EBUSY" }),
  );
  plait.close();
  await waiting;
  expect(() => new net.Socket({ socket: plait })).toThrow("Socket is closed");
  expect(() => new net.Socket({ socket: {} as never })).toThrow(TypeError);
  await listener.close();
});

test("closing the socket of plait below the stream is its error", async () => {
  await using pair = await NetPair.make();
  const { client } = pair;
  const error = once(client, "error");
  client.plaitSocket!.close();
  expect((await error)[0]).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
});

test("a handler of plait's listener can serve a stream", async () => {
  const listener = await listen({ host, port: 0 }, async (plait) => {
    const socket = new net.Socket({ socket: plait });
    socket.pipe(socket);
    await closed(socket);
  });
  const client = net.connect(listener.port, host);
  client.end("text");
  expect((await received(client)).toString()).toBe("text");
  await listener.close();
});

test("names and default have the same, and node:net's own functions", () => {
  const { default: all, ...named } = names;
  expect(Object.keys(all).toSorted()).toEqual(Object.keys(named).toSorted());
  expect(all.connect).toBe(all.createConnection);
  expect(all.Stream).toBe(all.Socket);
  expect([all.isIP("::1"), all.isIPv4("::1"), all.isIPv6("::1")]).toEqual([6, false, true]);
  const blocked = new all.BlockList();
  blocked.addAddress("127.0.0.1");
  expect(blocked.check("127.0.0.1")).toBe(true);
});

test("a socket passes for one of node:net, and can be made without new", () => {
  const socket: NodesSocket = new net.Socket();
  const server: NodesServer = new net.Server();
  expect([socket, server]).toEqual([expect.any(net.Socket), expect.any(net.Server)]);
  expect(net.Socket()).toBeInstanceOf(net.Socket);
  expect(net.Server()).toBeInstanceOf(net.Server);
  class Own extends net.Socket {
    readonly mine = true;
  }
  expect(new Own()).toBeInstanceOf(net.Socket);
  expect(new Own().mine).toBe(true);
});

test("the members of a subclass are not taken for those of the socket", async () => {
  const { port, close } = await echo();
  const fail = (): never => {
    throw new Error("a method of the subclass was called");
  };
  const names = ["announce", "attach", "connected", "connectionClosed", "connectionMade", "dial"];
  names.push("encrypt", "isReceiving", "prepare", "receive", "release", "renew", "reset", "send");
  names.push("setIdleTime", "startReading");
  class Own extends net.Socket {}
  for (const name of names) Object.defineProperty(Own.prototype, name, { value: fail });
  const socket = new Own();
  for (const how of ["destroy", "resetAndDestroy"] as const) {
    socket.connect(port, host);
    socket.setTimeout(10_000);
    socket.write("text");
    expect((await nextData(socket)).toString()).toBe("text");
    socket[how]();
    await closed(socket);
  }
  socket.connect(port, host);
  await once(socket, "ready");
  socket.pause();
  socket.detach().close();
  await close();
});

test("a blocked address is neither connected to nor accepted from", async () => {
  const blockList = new net.BlockList();
  blockList.addAddress(host);
  const { server, port } = await listening({ blockList });
  const drops: unknown[] = [];
  server.on("drop", (data) => drops.push(data));
  const client = net.connect(port, host);
  client.on("error", () => {});
  client.resume();
  await closed(client);
  expect(drops).toEqual([expect.objectContaining({ remoteAddress: host })]);
  const refused = net.connect({ port, host, blockList });
  const [error] = await once(refused, "error");
  expect(error).toMatchObject({ code: "ERR_IP_BLOCKED" });
  await server[Symbol.asyncDispose]();
});

test("a connection comes from the port and the address of localPort and localAddress", async () => {
  const { server, port } = await listening();
  const spare = await listening();
  await spare.server[Symbol.asyncDispose]();
  for (const localAddress of ["127.0.0.2", undefined]) {
    const client = net.connect({ port, host, localPort: spare.port, localAddress });
    const [accepted] = (await once(server, "connection")) as [InstanceType<typeof net.Socket>];
    expect(accepted.remotePort).toBe(spare.port);
    expect(accepted.remoteAddress).toBe(localAddress ?? host);
    client.resetAndDestroy();
    await once(accepted, "error");
  }
  const taken = net.connect({ port, host, localPort: port, localAddress: host });
  const [error] = await once(taken, "error");
  const place = { code: "EADDRINUSE", syscall: "connect", localPort: port, localAddress: host };
  expect(error).toMatchObject(place);
  expect(() => net.connect({ port, localPort: 70_000 })).toThrow(RangeError);
  await server[Symbol.asyncDispose]();
});

test("servers share a port with reusePort, and no port without it", async () => {
  const first = net.createServer().listen({ port: 0, host, reusePort: true });
  await once(first, "listening");
  const { port } = first.address() as { port: number };
  const second = net.createServer().listen({ port, host, reusePort: true });
  await once(second, "listening");
  const third = net.createServer().listen({ port, host });
  expect((await once(third, "error"))[0]).toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
  for (const server of [first, second]) await server[Symbol.asyncDispose]();
});

test.skipIf(!hasIpv6)(
  "a server of every address takes IPv4 too, unless ipv6Only is set",
  async () => {
    for (const ipv6Only of [false, true]) {
      const server = net.createServer((socket) => socket.end("text"));
      server.listen({ port: 0, host: "::", ipv6Only });
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      expect((await received(net.connect(port, "::1"))).toString()).toBe("text");
      const client = net.connect(port, host);
      if (ipv6Only)
        expect((await once(client, "error"))[0]).toMatchObject({ code: "ECONNREFUSED" });
      else expect((await received(client)).toString()).toBe("text");
      await server[Symbol.asyncDispose]();
    }
  },
);

test("what is not supported says so", () => {
  const error = { code: "ERR_NOT_SUPPORTED" };
  const attempts = [
    () => new net.Socket({ handle: {} } as never),
    () => net.createServer().listen({ handle: {} } as never),
    () => new net.Socket().setTypeOfService(16),
  ];
  for (const attempt of attempts) expect(attempt).toThrow(expect.objectContaining(error));
});
