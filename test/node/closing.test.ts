/** How sockets and servers end: descriptors, errors without a listener, the process. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import net, { type ConnectOptions } from "../../src/node/net.ts";
import { closed, listening, NetPair, type NetSocket, nextData } from "../support/net_pair.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { runCommand } from "../support/run_command.ts";

const host = "127.0.0.1";
const module = join(root, "src", "node", "net.ts");

test("a thousand connections leave no descriptor", async () => {
  const { server, port } = await listening({}, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  // Those of the loop itself are made with the first connection.
  const first = net.connect(port, host);
  first.end("x").resume();
  await closed(first);
  const before = openDescriptors();
  const ends = [
    (socket: NetSocket) => socket.destroy(),
    (socket: NetSocket) => socket.end(),
    (socket: NetSocket) => socket.end("some data"),
    (socket: NetSocket) => socket.resetAndDestroy(),
    (socket: NetSocket) => socket.destroySoon(),
    (socket: NetSocket) => socket.destroy(new Error("enough")),
  ];
  for (let round = 0; round < 20; round++) {
    const clients = Array.from({ length: 50 }, async (_, index) => {
      const client = net.connect(port, host);
      client.on("error", () => {});
      client.resume();
      const isConnected = index % 7 !== 0;
      if (isConnected) await once(client, "connect");
      ends[(round + index) % ends.length]!(client);
      await closed(client);
    });
    await Promise.all(clients);
  }
  await pollUntil("the descriptors are closed", () => openDescriptors() <= before);
  await server[Symbol.asyncDispose]();
});

/** The states in which a socket is destroyed. Each resolves when the socket is in it. */
const states: Readonly<Record<string, (port: number) => Promise<NetSocket> | NetSocket>> = {
  "new": () => new net.Socket(),
  connecting: (port) => net.connect(port, host),
  "connecting, in the next turn": async (port) => {
    const client = net.connect(port, host);
    await Promise.resolve();
    return client;
  },
  "connecting with a write and an end": (port) => {
    const client = net.connect(port, host);
    client.write("x");
    client.end("y");
    return client;
  },
  "looking a name up": (port) => net.connect(port, "plait-no-such-host.example"),
  connected: async (port) => {
    const client = net.connect(port, host);
    await once(client, "connect");
    return client;
  },
  reading: async (port) => {
    const client = net.connect(port, host);
    client.resume();
    await once(client, "connect");
    return client;
  },
  "writing more than the kernel takes": async (port) => {
    const client = net.connect(port, host);
    await once(client, "connect");
    client.on("error", () => {});
    client.write(new Uint8Array(20_000_000));
    client.write(new Uint8Array(10));
    return client;
  },
  ending: async (port) => {
    const client = net.connect(port, host);
    await once(client, "connect");
    client.end();
    return client;
  },
  ended: async (port) => {
    const client = net.connect(port, host);
    client.resume();
    client.end();
    await once(client, "end");
    return client;
  },
  "a connect that is aborted": (port) => {
    const controller = new AbortController();
    const options: ConnectOptions = { port, host, signal: controller.signal };
    const client = net.connect(options);
    client.on("error", () => {});
    controller.abort();
    return client;
  },
};

test.each(Object.keys(states))("destroy: %s", async (name) => {
  const { server, port } = await listening({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.pause();
    setTimeout(() => socket.destroy(), 50);
  });
  const before = openDescriptors();
  const client = await states[name]!(port);
  const events: string[] = [];
  for (const event of ["connect", "end", "close"]) client.on(event, () => events.push(event));
  const isClosed = closed(client);
  client.destroy();
  client.destroy();
  await isClosed;
  await Bun.sleep(20);
  expect(events).toEqual(["close"]);
  expect(client.destroyed).toBe(true);
  expect(client.plaitSocket).toBeUndefined();
  await server[Symbol.asyncDispose]();
  await pollUntil("the descriptors are closed", () => openDescriptors() <= before);
});

test("a signal that was aborted before: nothing connects", async () => {
  const { server, port } = await listening({}, (socket) => socket.destroy());
  const events: string[] = [];
  server.on("connection", () => events.push("connection"));
  const client = net.connect({ port, host, signal: AbortSignal.abort() });
  for (const event of ["connect", "end", "close"]) client.on(event, () => events.push(event));
  client.on("error", (error) => events.push(error.name));
  await closed(client);
  expect(client.destroyed).toBe(true);
  const other = net.connect(port, host).resume();
  await closed(other);
  await server[Symbol.asyncDispose]();
  expect(events).toEqual(["AbortError", "close", "connection"]);
});

/** Runs a program with `net` and a listening `server`, and returns how it ended. */
async function outcomeOf(source: string) {
  const program = `
    import net from "${module}";
    process.on("exit", (code) => console.log("exit " + code));
    const server = net.createServer((socket) => socket.on("error", () => {}));
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      ${source}
    });
  `;
  const command = [process.execPath, "-e", program];
  return await runCommand(command);
}

test.each([
  ["an error without a listener", `server.close(); net.connect(1, "127.0.0.1");`, "ECONNREFUSED"],
  [
    "an exception of a data listener",
    `server.on("connection", (socket) => socket.write("x"));
     net.connect(port, "127.0.0.1").on("data", () => { throw new Error("of a listener"); });`,
    "of a listener",
  ],
  [
    "an exception of a connection listener",
    `server.on("connection", () => { throw new Error("of a server"); });
     net.connect(port, "127.0.0.1");`,
    "of a server",
  ],
])("%s ends the process as an uncaught exception", async (_name, source, message) => {
  const { exitCode, stderr, text } = await outcomeOf(source);
  expect(stderr).toContain(message);
  expect(text).toContain("exit 1");
  expect(exitCode).toBe(1);
});

test("an uncaught exception of a listener leaves the other sockets alone", async () => {
  const { text } = await outcomeOf(`
    process.on("uncaughtException", (error) => console.log("uncaught " + error.message));
    process.on("unhandledRejection", () => console.log("unhandled"));
    server.on("connection", (socket) => { socket.write("a"); setTimeout(() => socket.end("b"), 20); });
    let count = 0;
    for (const name of ["one", "two"]) {
      const client = net.connect(port, "127.0.0.1");
      client.on("data", (chunk) => {
        console.log("data");
        if (name === "one") throw new Error("of " + name);
      });
      client.on("close", () => { if (++count === 2) server.close(); });
    }
  `);
  const lines = text.trim().split("\n");
  expect(lines.toSorted()).toEqual([
    ...["data", "data", "data", "data", "exit 0", "uncaught of one", "uncaught of one"],
  ]);
});

test.each([
  ["a write before the connection", `client.write("x", fail);`],
  ["the second write before the connection", `client.write("w"); client.write("x", fail);`],
  [
    "a write that waits",
    `client.on("connect", () => client.write(Buffer.alloc(20_000_000), fail));`,
  ],
  [
    "corked writes that wait",
    `client.on("connect", () => {
    client.cork();
    client.write(Buffer.alloc(20_000_000));
    client.write("x", fail);
    client.uncork();
  });`,
  ],
  ["the end", `client.end("x", fail);`],
  ["a listener of finish", `client.on("finish", fail); client.end("x");`],
])("an exception of the callback is uncaught, and the socket lives on: %s", async (_name, code) => {
  const { text } = await outcomeOf(`
    process.on("uncaughtException", (error) => {
      console.log("uncaught " + error.message);
      setTimeout(() => {
        console.log("destroyed " + client.destroyed);
        process.exit();
      }, 20);
    });
    process.on("unhandledRejection", () => console.log("unhandled"));
    server.on("connection", (socket) => {
      socket.allowHalfOpen = true;
      socket.resume();
    });
    const client = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    client.on("error", (error) => console.log("error " + error.message));
    const fail = () => { throw new Error("of the callback"); };
    ${code}
  `);
  expect(text.trim().split("\n")).toEqual([
    ...["uncaught of the callback", "destroyed false", "exit 0"],
  ]);
});

test("an unreferenced server and socket let the process exit", async () => {
  const { text, exitCode } = await outcomeOf(`
    server.unref();
    const client = net.connect(port, "127.0.0.1");
    client.on("connect", () => { console.log("connected"); client.unref(); });
    server.on("connection", (socket) => socket.unref());
  `);
  expect(text).toBe("connected\nexit 0\n");
  expect(exitCode).toBe(0);
});

test("a socket that reads keeps the process alive, and again after ref", async () => {
  const { text } = await outcomeOf(`
    server.unref();
    server.on("connection", (socket) => {
      socket.unref();
      setTimeout(() => socket.end("late"), 100).unref();
    });
    const client = net.connect(port, "127.0.0.1");
    client.unref();
    client.on("connect", () => client.ref());
    client.ref();
    client.on("data", (chunk) => console.log(String(chunk)));
  `);
  expect(text).toBe("late\nexit 0\n");
});

test("a server closes when its last connection has ended", async () => {
  await using pair = await NetPair.make();
  const { server, client, accepted } = pair;
  const events: string[] = [];
  accepted.on("close", () => events.push("socket"));
  server.close(() => events.push("server"));
  client.write("still open");
  expect((await nextData(accepted)).toString()).toBe("still open");
  expect(events).toEqual([]);
  client.end();
  await once(server, "close");
  // As with Node: the sockets are closed by then, and their events follow.
  expect(events).toEqual(["server"]);
  await closed(accepted);
});

test("a server listens again after it was closed", async () => {
  const { server } = await listening();
  await server[Symbol.asyncDispose]();
  server.listen(0, host);
  await once(server, "listening");
  const client = net.connect((server.address() as { port: number }).port, host);
  const [accepted] = (await once(server, "connection")) as [NetSocket];
  client.destroy();
  await closed(accepted);
  await server[Symbol.asyncDispose]();
});

test("it listens on a descriptor", async () => {
  const first = await listening();
  // A copy of the descriptor, as a service manager would pass one.
  const script = `
    import net from "${module}";
    const server = net.createServer((socket) => { socket.end("from the child"); server.close(); });
    server.listen({ fd: 3 }, () => console.log("listening"));
  `;
  const acceptor = descriptorOf(first.port);
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdio: ["ignore", "pipe", "inherit", acceptor],
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toBe("listening\n");
  first.server.close();
  const client = net.connect(first.port, host);
  expect((await nextData(client)).toString()).toBe("from the child");
  await closed(client);
  expect(await child.exited).toBe(0);
});

/** The descriptor of this process that listens at a port. Linux only. */
function descriptorOf(port: number): number {
  const table = readFileSync("/proc/self/net/tcp", "latin1").split("\n").slice(1);
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const inode = table.map((line) => line.trim().split(/\s+/)).find((row) => row[1] === local)?.[9];
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(join("/proc/self/fd", name)) === `socket:[${inode}]`) return Number(name);
    } catch {
      // The descriptor by which the folder was read is closed by now.
    }
  }
  throw new Error(`nothing listens at ${port}`);
}
