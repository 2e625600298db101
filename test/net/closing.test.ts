import { expect, test } from "bun:test";
import {
  connect,
  deadline,
  type Listener,
  listen,
  now,
  Socket,
  sleep,
  spawn,
  stats,
} from "../../index.ts";
import { Limits } from "../../src/core/abi.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { DescriptorPair, writeTo } from "../support/foreign_descriptors.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { drain, readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

const mebibyte = 1024 * 1024;

async function pairAt(listener: Listener): Promise<[Socket, Socket]> {
  return await Promise.all([
    connect({ host: "127.0.0.1", port: listener.port }),
    listener.accept(deadline(3000)),
  ]);
}

/** Runs code in the middle of the next settling of a promise with a rejected one, which is asked for its `then`. */
function onNextSettling(run: () => void): void {
  const then = Object.getOwnPropertyDescriptor(Promise.prototype, "then")!;
  const name: string = "then";
  Object.defineProperty(Promise.prototype, name, {
    configurable: true,
    get() {
      Object.defineProperty(Promise.prototype, name, then);
      run();
      return then.value;
    },
  });
}

test("close ends the reads that wait", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const readers = [client.read(new Uint8Array(1)), client.next(), client.read(new Uint8Array(1))];
  const failures = readers.map(failureOf);
  client.close();
  for (const error of await Promise.all(failures)) {
    expect(error).toMatchObject({
      name: "SocketError",
      code: "ERR_SOCKET_CLOSED",
      syscall: "read",
    });
  }
});

test("close ends the writes that wait, each with its number of bytes", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const source = distinctBytes(64 * mebibyte);
  const first = failureOf(client.write(source));
  const second = failureOf(client.write("behind"));
  const ending = failureOf(client.shutdown());
  await pollUntil("the kernel takes no more", () => client.bytesWritten > 100_000);
  client.close();
  const { bytesWritten } = client;
  expect(await first).toMatchObject({ code: "ERR_SOCKET_CLOSED", bytesWritten });
  expect(await second).toMatchObject({ code: "ERR_SOCKET_CLOSED", bytesWritten: 0 });
  expect(await ending).toMatchObject({ code: "ERR_SOCKET_CLOSED", syscall: "shutdown" });
  // The bytes that the kernel has taken still arrive.
  expect(await drain(server)).toEqual({
    bytes: bytesWritten,
    hash: hashOf(source.subarray(0, bytesWritten)),
  });
});

test("a fiber that one socket's data wakes may close another socket", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const closer = spawn(async () => {
    await client.read(new Uint8Array(1));
    client.close();
  });
  const other = failureOf(client.read(new Uint8Array(1)));
  await server.write("ab");
  await closer.join();
  // It may have been woken in the same turn: then the byte is there, but the socket is closed.
  expect(await other).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
});

test("closing twice does nothing, also to the next owner of the handle", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const [client, server] = await pairAt(listener);
  client.close();
  server.close();
  const [nextClient, nextServer] = await pairAt(listener);
  await using _client = nextClient;
  await using _server = nextServer;
  client.close();
  client.reset();
  server.close();
  await nextClient.write("unharmed");
  await nextClient.shutdown();
  expect(await readText(nextServer)).toBe("unharmed");
});

test("close within close leaves the next owner of the handle alone", async () => {
  await using pair = await socketPair();
  await using later = new AsyncDisposableStack();
  const { client } = pair;
  const { handle } = client;
  const failure = failureOf(client.read(new Uint8Array(1)));
  await pair.server.write("");
  const slotMask = Limits.sockets - 1;
  let next: { socket: Socket; peer: number } | undefined;
  onNextSettling(() => {
    client.close();
    // Slots may be used again in the order in which they were given up.
    for (let count = 0; next === undefined && count < 100_000; count++) {
      const descriptors = later.use(DescriptorPair.sockets());
      const socket = Socket.fromFd(descriptors.first);
      if ((socket.handle & slotMask) === (handle & slotMask)) {
        next = { socket: later.use(socket), peer: descriptors.second };
      } else {
        socket.reset();
        descriptors.close(descriptors.second);
      }
    }
  });
  client.close();
  expect(await failure).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  const { socket, peer } = next!;
  const read = socket.read(new Uint8Array(8), deadline(2000));
  await sleep(5);
  writeTo(peer, new Uint8Array(3));
  expect(await read).toBe(3);
});

test("a read that is begun while the socket is being closed ends", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const failure = failureOf(client.write(new Uint8Array(64 * mebibyte)));
  let read: Promise<unknown> | undefined;
  onNextSettling(() => {
    read = failureOf(client.read(new Uint8Array(1)));
  });
  client.close();
  expect(await failure).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  expect(await read).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
});

test("await using closes", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  let inner: Socket;
  const { sockets } = await quietStats();
  {
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    inner = client;
    expect(stats().sockets).toBe(sockets + 1);
  }
  expect(inner.closed).toBe(true);
  expect(stats().sockets).toBe(sockets);
});

test("the peer's address remains after close once it was read", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const { remotePort } = client;
  client.close();
  expect(client).toMatchObject({ remoteAddress: "127.0.0.1", remotePort, fd: -1 });
  expect(client.localAddress).toBeUndefined();
  expect(client.localPort).toBeUndefined();
  expect(await failureOf(client.next())).toMatchObject({ address: "127.0.0.1", port: remotePort });
  server.close();
  expect(server.remoteAddress).toBeUndefined();
});

test("an answer is whole although the server closes while the client uploads", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const answer = distinctBytes(mebibyte);
  for (let turn = 0; turn < 10; turn++) {
    const [client, server] = await pairAt(listener);
    await using _client = client;
    const upload = new Uint8Array(4 * mebibyte);
    const uploading = client.write(upload, deadline(4000)).catch(() => "cut off");
    await pollUntil("the upload is under way", () => client.bytesWritten > 0);
    await Promise.all([
      server.write(answer).then(() => server.close()),
      // The upload may be cut off, but only after the answer.
      (async () => {
        const hasher = new Bun.CryptoHasher("sha1");
        for (let left = answer.byteLength; left > 0; ) {
          const chunk = await client.next(deadline(4000));
          if (chunk === null) throw new Error(`the answer ended ${left} bytes early`);
          hasher.update(chunk);
          left -= chunk.byteLength;
        }
        expect(hasher.digest("hex")).toBe(hashOf(answer));
      })(),
    ]);
    await uploading;
  }
  await pollUntil("nothing lingers", () => stats().lingering === 0);
}, 15_000);

test("data for a peer that reads later arrives after the close", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const [client, server] = await pairAt(listener);
  await using _client = client;
  await client.write("a question that nobody reads");
  const answer = distinctBytes(64 * mebibyte);
  const { sockets } = await quietStats();
  const { bytesWritten } = await failureOf(server.write(answer, deadline(100)));
  server.close();
  expect(server.closed).toBe(true);
  // The core keeps the connection until the peer has taken the rest.
  expect(stats()).toMatchObject({ lingering: 1, sockets });
  expect(await drain(client)).toEqual({
    bytes: bytesWritten!,
    hash: hashOf(answer.subarray(0, bytesWritten)),
  });
  expect(stats().lingering).toBe(1);
  client.close();
  await pollUntil("nothing lingers", () => stats().lingering === 0);
  expect(stats().sockets).toBe(sockets - 2);
});

test("a peer that never closes is given up after the time that setLinger says", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const descriptors = openDescriptors();
  const [client, server] = await pairAt(listener);
  server.setLinger(1);
  await failureOf(server.write(new Uint8Array(64 * mebibyte), deadline(50)));
  const start = now();
  server.close();
  expect(stats().lingering).toBe(1);
  await pollUntil("nothing lingers", () => stats().lingering === 0);
  expect(now() - start).toBeGreaterThan(900);
  client.close();
  await pollUntil("no descriptor is left", () => openDescriptors() <= descriptors);
});

test("a peer that goes on sending after the close is cut off", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const [client, server] = await pairAt(listener);
  await using _client = client;
  server.setLinger(1);
  await failureOf(server.write(new Uint8Array(64 * mebibyte), deadline(50)));
  server.close();
  expect(stats().lingering).toBe(1);
  // The core throws away what the peer sends, but not for ever.
  const error = await failureOf(
    (async () => {
      const chunk = new Uint8Array(mebibyte);
      const end = deadline(4000);
      for (;;) await client.write(chunk, end);
    })(),
  );
  expect(["ECONNRESET", "EPIPE"]).toContain(error.code!);
  expect(stats().lingering).toBe(0);
});

test("a socket that is closed outside of a turn lingers no longer than it may", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const socket = await connect({ host: "127.0.0.1", port: listener.port });
  using _peer = await listener.accept();
  socket.setLinger(1);
  // More than the peer's kernel takes: the rest is not acknowledged.
  await failureOf(socket.write(new Uint8Array(1 << 26), deadline(100)));
  await socket.shutdown();
  await Bun.sleep(50);
  const before = stats().polls;
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      socket.close();
      resolve();
    }, 10);
  });
  expect(stats().lingering).toBe(1);
  // Nothing but the deadline of its lingering makes the core poll again.
  const start = performance.now();
  while (stats().lingering > 0 && performance.now() - start < 4500) await Bun.sleep(20);
  expect(stats().lingering).toBe(0);
  expect(stats().polls).toBeGreaterThan(before);
});

test("sockets that linger do not keep the process alive", async () => {
  const program = `
    import { connect, deadline, listen, stats } from ${JSON.stringify(`${import.meta.dir}/../../index.ts`)};
    const listener = await listen({ host: "127.0.0.1", port: 0 });
    const client = await connect({ host: "127.0.0.1", port: listener.port });
    const server = await listener.accept();
    await server.write(new Uint8Array(16 << 20), deadline(50)).catch(() => {});
    server.close();
    await listener.close();
    console.log(stats().lingering, client.connected);
  `;
  await using child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const start = performance.now();
  expect(await new Response(child.stdout).text()).toBe("1 true\n");
  expect(await child.exited).toBe(0);
  // The peer would have five seconds.
  expect(performance.now() - start).toBeLessThan(4000);
});

test("10,000 connections leave no descriptor behind", async () => {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    const chunk = await socket.next();
    if (chunk !== null) await socket.write(chunk);
  });
  const talk = async (): Promise<void> => {
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    await client.write("x");
    expect(await client.read(new Uint8Array(8))).toBe(1);
  };
  await talk();
  await pollUntil("all are closed", () => listener.connections === 0 && stats().lingering === 0);
  const descriptors = openDescriptors();
  const { sockets, waiters, fibers, accepted } = await quietStats();
  for (let batch = 0; batch < 50; batch++) {
    await Promise.all(Array.from({ length: 200 }, talk));
  }
  await pollUntil("all are closed", () => listener.connections === 0 && stats().lingering === 0);
  expect(stats()).toMatchObject({ sockets, waiters, fibers, accepted: accepted + 10_000 });
  expect(openDescriptors()).toBeLessThanOrEqual(descriptors);
}, 20_000);
