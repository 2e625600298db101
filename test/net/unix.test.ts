import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  realpathSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, deadline, type Listener, listen, type Socket } from "../../index.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { drain, readExactly, readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { WorkerProgram } from "../support/worker_program.ts";

/** A client and a server at a listener without a handler. */
async function pairAt(listener: Listener): Promise<[Socket, Socket]> {
  return await Promise.all([connect({ path: listener.address }), listener.accept()]);
}

test("the file of a path exists while a listener is open", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("socket");
  await using listener = await listen({ path });
  expect(listener.address).toBe(path);
  expect(listener.port).toBe(0);
  expect(statSync(path).isSocket()).toBe(true);
  await listener.close();
  expect(existsSync(path)).toBe(false);
  // The path can be listened at again.
  await using again = await listen({ path });
  expect(statSync(again.address).isSocket()).toBe(true);
});

/** Runs a function in another current folder of the process. */
async function inFolder<T>(path: string, run: () => T | Promise<T>): Promise<T> {
  const before = process.cwd();
  process.chdir(path);
  try {
    return await run();
  } finally {
    process.chdir(before);
  }
}

test("a relative path's file is removed although the current folder has changed", async () => {
  using folder = new TemporaryFolder();
  const listener = await inFolder(folder.path, async () => await listen({ path: "rel.sock" }));
  expect(listener.address).toBe("rel.sock");
  expect(existsSync(folder.file("rel.sock"))).toBe(true);
  await listener.close();
  expect(existsSync(folder.file("rel.sock"))).toBe(false);
});

test("a relative path begins at the current folder of the call of listen", async () => {
  using folder = new TemporaryFolder();
  const listening = await inFolder(folder.path, () => ({ at: listen({ path: "rel.sock" }) }));
  const listener = await listening.at;
  expect(existsSync(folder.file("rel.sock"))).toBe(true);
  await listener.close();
  expect(existsSync(folder.file("rel.sock"))).toBe(false);
});

test("a Worker's relative path begins at the folder of the process at the time of the call", async () => {
  using folder = new TemporaryFolder();
  await using worker = new WorkerProgram(`
    // From here on the Worker takes this for the current folder, even when the main thread changes
    // it.
    process.cwd();
    addEventListener("message", async () => {
      const listener = await listen({ path: "rel.sock" });
      post("bound");
      await listener.close();
      post("closed");
    });
    post("ready");
  `);
  expect(await worker.message()).toBe("ready");
  await inFolder(folder.path, async () => {
    worker.post("go");
    expect(await worker.message()).toBe("bound");
    expect(await worker.message()).toBe("closed");
  });
  expect(existsSync(folder.file("rel.sock"))).toBe(false);
});

test("a short relative path may stand for one that is too long for an address", async () => {
  using folder = new TemporaryFolder();
  const deep = folder.file(`${"d".repeat(100)}/${"e".repeat(100)}`);
  mkdirSync(deep, { recursive: true });
  const listener = await inFolder(deep, async () => {
    const listener = await listen({ path: "s" }, (socket) => socket.write("deep"));
    await using client = await connect({ path: "s" });
    expect(await readText(client)).toBe("deep");
    return listener;
  });
  expect(existsSync(`${deep}/s`)).toBe(true);
  await listener.close();
  expect(existsSync(`${deep}/s`)).toBe(false);
});

test("a path through a link removes only the file that the system has made", async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("target/inner"), { recursive: true });
  symlinkSync("target/inner", folder.file("link"));
  // By its text alone the path would be the one below.
  const [made, other] = [folder.file("target/s"), folder.file("s")];
  await using bystander = await listen({ path: other });
  const listener = await inFolder(folder.path, async () => await listen({ path: "link/../s" }));
  expect(statSync(realpathSync(made)).isSocket()).toBe(true);
  await listener.close();
  expect(existsSync(made)).toBe(false);
  expect(existsSync(bystander.address)).toBe(true);
});

test("both ends have addresses: a path, or an empty one", async () => {
  using folder = new TemporaryFolder();
  await using listener = await listen({ path: folder.file("socket") });
  const [client, server] = await pairAt(listener);
  await using _both = new AsyncDisposableStack();
  _both.use(client);
  _both.use(server);
  expect(client.remoteAddress).toBe(listener.address);
  expect(client.localAddress).toBe("");
  expect(server.localAddress).toBe(listener.address);
  expect(server.remoteAddress).toBe("");
  for (const socket of [client, server]) {
    expect(socket.localPort).toBeUndefined();
    expect(socket.remotePort).toBeUndefined();
  }
});

test("settings for TCP have no effect", async () => {
  using folder = new TemporaryFolder();
  await using listener = await listen({ path: folder.file("socket") }, (socket) => {
    socket.setNoDelay().setKeepAlive({ idle: 5 }).setLinger(1);
    return socket.write("served");
  });
  await using client = await connect({ path: listener.address, linger: 1 });
  client.setNoDelay().setKeepAlive();
  expect(await readText(client)).toBe("served");
});

test("a stream is whole in both directions, with half closes", async () => {
  using folder = new TemporaryFolder();
  const upload = distinctBytes(8 * 1024 * 1024);
  await using listener = await listen({ path: folder.file("socket") }, async (socket) => {
    const received = await drain(socket);
    await socket.write(JSON.stringify(received));
  });
  await using client = await connect({ path: listener.address });
  expect(await client.write(upload)).toBe(upload.byteLength);
  await client.shutdown();
  const answer: unknown = JSON.parse(await readText(client));
  expect(answer).toEqual({ bytes: upload.byteLength, hash: hashOf(upload) });
});

test("written data arrives although close follows and input is unread", async () => {
  using folder = new TemporaryFolder();
  await using listener = await listen({ path: folder.file("socket") });
  const [client, server] = await pairAt(listener);
  await using _client = client;
  const answer = distinctBytes(100_000);
  await client.write("a question that nobody reads");
  await server.write(answer);
  server.close();
  const received = await readExactly(client, answer.byteLength);
  expect(hashOf(received)).toBe(hashOf(answer));
});

test.skipIf(process.platform !== "linux")("an abstract name has no file", async () => {
  const path = `\0plait-test-${process.pid}`;
  await using listener = await listen({ path }, (socket) => socket.write("abstract"));
  expect(listener.address).toBe(path);
  await using client = await connect({ path });
  expect(client.remoteAddress).toBe(path);
  expect(await readText(client)).toBe("abstract");
  const taken = await failureOf(listen({ path }));
  expect(taken).toMatchObject({ code: "EADDRINUSE" });
  // Errors show it as ss(8) and netstat(8) do.
  expect(taken.message).toContain(`@plait-test-${process.pid}`);
  await listener.close();
  expect(await failureOf(connect({ path }))).toMatchObject({ code: "ECONNREFUSED" });
});

test("a path may be as long as the system's address allows", async () => {
  using folder = new TemporaryFolder();
  const longest = folder.file("s".repeat(107 - folder.path.length - 1));
  expect(longest).toHaveLength(107);
  await using _listener = await listen({ path: longest }, (socket) => socket.write("long"));
  await using client = await connect({ path: longest });
  expect(await readText(client)).toBe("long");

  const tooLong = `${longest}s`;
  expect(await failureOf(connect({ path: tooLong }))).toBeInstanceOf(RangeError);
  expect(await failureOf(listen({ path: tooLong }))).toBeInstanceOf(RangeError);
  // The limit counts bytes.
  const wide = folder.file("ü".repeat(50));
  expect(await failureOf(connect({ path: wide }))).toBeInstanceOf(RangeError);
});

test.skipIf(process.platform !== "linux")("an abstract name may be one byte longer", async () => {
  const longest = `\0${`plait-test-${process.pid}-`.padEnd(107, "x")}`;
  expect(longest).toHaveLength(108);
  await using listener = await listen({ path: longest }, (socket) => socket.write("abstract"));
  expect(listener.address).toBe(longest);
  await using client = await connect({ path: longest });
  expect(client.remoteAddress).toBe(longest);
  expect(await readText(client)).toBe("abstract");
  // A shorter name is another one: no NUL is added or removed.
  const shorter = longest.slice(0, -1);
  expect(await failureOf(connect({ path: shorter }))).toMatchObject({ code: "ECONNREFUSED" });
  for (const path of [`${longest}x`, `\0${"ü".repeat(54)}`]) {
    expect(await failureOf(connect({ path }))).toBeInstanceOf(RangeError);
    expect(await failureOf(listen({ path }))).toBeInstanceOf(RangeError);
  }
});

test.skipIf(process.platform !== "linux")("an abstract name may hold any bytes", async () => {
  // A NUL has no special meaning there (unix(7)).
  const path = `\0plait-test-${process.pid}\0größe\0`;
  await using listener = await listen({ path }, (socket) => socket.write("abstract"));
  expect(listener.address).toBe(path);
  await using client = await connect({ path });
  expect(client.remoteAddress).toBe(path);
  expect(await readText(client)).toBe("abstract");
  const other = path.slice(0, -1);
  expect(await failureOf(connect({ path: other }))).toMatchObject({ code: "ECONNREFUSED" });
});

test("a path may have any characters of UTF-8", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("größe 日本 😀");
  await using _listener = await listen({ path }, (socket) => socket.write("found"));
  expect(existsSync(path)).toBe(true);
  await using client = await connect({ path });
  expect(client.remoteAddress).toBe(path);
  expect(await readText(client)).toBe("found");
});

test("the error of a path without a listener has the path", async () => {
  using folder = new TemporaryFolder();
  const missing = folder.file("missing");
  expect(await failureOf(connect({ path: missing }))).toMatchObject({
    name: "SocketError",
    code: "ENOENT",
    syscall: "connect",
    address: missing,
  });
  const occupied = folder.file("occupied");
  writeFileSync(occupied, "a file of somebody else's");
  expect(await failureOf(connect({ path: occupied }))).toMatchObject({ code: "ECONNREFUSED" });
  expect(await failureOf(listen({ path: occupied }))).toMatchObject({
    code: "EADDRINUSE",
    syscall: "listen",
    address: occupied,
  });
  expect(existsSync(occupied)).toBe(true);
  const nowhere = folder.file("no/such/folder");
  expect(await failureOf(listen({ path: nowhere }))).toMatchObject({ code: "ENOENT" });
});

test("a second listener at a path does not disturb the first", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("socket");
  await using listener = await listen({ path }, (socket) => socket.write("first"));
  expect(await failureOf(listen({ path }))).toMatchObject({ code: "EADDRINUSE" });
  await using client = await connect({ path: listener.address });
  expect(await readText(client)).toBe("first");
});

test("a full backlog is an error at once, since the kernel has no event for it", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("socket");
  await using _listener = await listen({ path, backlog: 1 });
  await using _waiting = new AsyncDisposableStack();
  let refused: { code?: string } | undefined;
  for (let count = 0; count < 10 && refused === undefined; count++) {
    try {
      _waiting.use(await connect({ path, deadline: deadline(2000) }));
    } catch (error) {
      refused = error as { code?: string };
    }
  }
  expect(refused).toMatchObject({ name: "SocketError", code: "ECONNREFUSED" });
});

test("a reset of the peer fails reads and writes", async () => {
  using folder = new TemporaryFolder();
  await using listener = await listen({ path: folder.file("socket") });
  const [client, server] = await pairAt(listener);
  await using _client = client;
  await client.write("unread");
  server.reset();
  // A Unix socket that is closed with unread input resets its peer (unix(7)).
  expect(await failureOf(client.read(new Uint8Array(10)))).toMatchObject({ code: "ECONNRESET" });
  expect(await failureOf(client.write("more"))).toMatchObject({ code: "EPIPE", bytesWritten: 0 });
});

test("closing does not remove a successor's file", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("socket");
  const first = await listen({ path });
  unlinkSync(path);
  await using second = await listen({ path });
  await first.close();
  await using client = await connect({ path });
  expect(client.connected).toBe(true);
  expect(second.address).toBe(path);
});
