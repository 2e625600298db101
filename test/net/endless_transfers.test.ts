/**
 * Transfers to a peer that keeps up: the socket takes each part at once, so that the transfer never
 * waits. Deadlines and cancellations end them all the same.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync } from "node:fs";
import {
  block,
  connect,
  deadline,
  listen,
  now,
  type Socket,
  scope,
  sleep,
  spawn,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { type Failure, failureOf, thrownBy } from "../support/failure.ts";
import { type SocketPair, socketPair, unixSocketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, presenting, serveTls, tlsPair } from "../support/tls_pair.ts";
import { WorkerProgram } from "../support/worker_program.ts";

/** Far more than is sent until the end, and than a busy machine could send before it. */
const endlessBytes = 64 * 2 ** 30;
const inTimeMilliseconds = 4000;

const host = "127.0.0.1";

const portion = new Uint8Array(64 * 2 ** 20);
const endlessList = Array.from({ length: 1024 }, () => portion);

let folder: TemporaryFolder;
let endlessFile: string;
/** Another thread, which reads all that it receives, and reports how each stream has ended. */
let sink: WorkerProgram;
let places: { tcp: number; tls: number; unix: string };

beforeAll(async () => {
  folder = new TemporaryFolder();
  endlessFile = folder.file("endless");
  const fd = openSync(endlessFile, "w");
  ftruncateSync(fd, endlessBytes);
  closeSync(fd);
  const unix = folder.file("socket");
  sink = new WorkerProgram(`
    const handler = async (socket) => {
      const buffer = new Uint8Array(2 ** 20);
      try {
        while ((await socket.read(buffer)) > 0);
        post("the end");
      } catch (error) {
        post(error.code);
      }
    };
    const host = "127.0.0.1";
    const tls = ${JSON.stringify(presenting(certificates().p256))};
    const plain = await listen({ host, port: 0 }, handler);
    const encrypted = await listen({ host, port: 0, tls }, handler);
    await listen({ path: ${JSON.stringify(unix)} }, handler);
    post({ tcp: plain.port, tls: encrypted.port });
  `);
  places = { ...((await sink.message()) as { tcp: number; tls: number }), unix };
}, 60_000);

afterAll(async () => {
  await sink[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const pairs: [name: string, make: () => Promise<SocketPair>, cutOff: string][] = [
  ["TCP", socketPair, "the end"],
  ["a Unix socket", () => unixSocketPair(folder.file("pair")), "the end"],
  ["TLS 1.3", () => tlsPair(), "ERR_TLS_TRUNCATED"],
  ["TLS 1.2", () => tlsPair({ maxVersion: "TLSv1.2" }), "ERR_TLS_TRUNCATED"],
];

/** Reads on the same thread, each time more than is sent, so that there is always room. */
async function readToEnd(socket: Socket): Promise<string> {
  const buffer = new Uint8Array(4 * 2 ** 20);
  try {
    while ((await socket.read(buffer)) > 0);
    return "the end";
  } catch (error) {
    return (error as Failure).code!;
  }
}

type Transfer = (socket: Socket, until?: number) => Promise<number>;

const transfers: [name: string, transfer: Transfer][] = [
  ["a write", (socket, until) => socket.write(endlessList, until)],
  ["sendFile", (socket, until) => socket.sendFile(endlessFile, { deadline: until })],
];

/** Cancels a transfer when some of it was sent. */
async function cancelled(socket: Socket, transfer: Transfer): Promise<never> {
  const fiber = spawn(() => transfer(socket));
  while (socket.bytesWritten === 0) await sleep(10);
  fiber.cancel("enough");
  await fiber.join();
  throw new Error("it was not cancelled");
}

const ends: [name: string, error: string, run: (s: Socket, t: Transfer) => Promise<unknown>][] = [
  ["a deadline", "TimeoutError", (socket, transfer) => transfer(socket, deadline(50))],
  ["a cancellation", "CancelledError", cancelled],
  [
    "a scope's deadline",
    "TimeoutError",
    (socket, transfer) => scope(() => transfer(socket), { deadline: deadline(50) }),
  ],
];

const drivers: [name: string, run: (main: () => Promise<void>) => Promise<void>][] = [
  ["attached", (main) => main()],
  ["blocking", async (main) => block(main)],
];

describe.each(drivers)("%s", (_driver, run) => {
  describe.each(pairs)("over %s", (_transport, make, cutOff) => {
    describe.each(transfers)("%s", (_transfer, transfer) => {
      test.each(ends)("is ended by %s", async (_end, name, end) => {
        await run(async () => {
          await using pair = await make();
          const { client, server } = pair;
          const reading = spawn(() => readToEnd(server));
          const started = now();
          const error = await failureOf(end(client, transfer));
          expect(now() - started).toBeLessThan(inTimeMilliseconds);
          expect(error.name).toBe(name);
          expect(client.bytesWritten).toBeGreaterThan(0);
          if (error.syscall !== "scope") expect(error.bytesWritten).toBe(client.bytesWritten);
          // The next write has its turn.
          expect(await client.write("more", deadline(inTimeMilliseconds))).toBe(4);
          client.close();
          expect(await reading.join()).toBe(cutOff);
        });
      });
    });
  });
});

const dials: [name: string, dial: () => Promise<Socket>, cutOff: string][] = [
  ["TCP", () => connect({ host, port: places.tcp }), "the end"],
  ["a Unix socket", () => connect({ path: places.unix }), "the end"],
  ["TLS 1.3", () => dialTls(places.tls), "ERR_TLS_TRUNCATED"],
  ["TLS 1.2", () => dialTls(places.tls, { maxVersion: "TLSv1.2" }), "ERR_TLS_TRUNCATED"],
];

test.each(dials)(
  "over %s a write that blocks the thread is ended by its deadline",
  async (_transport, dial, cutOff) => {
    {
      await using socket = await dial();
      const data = new Uint8Array(2 ** 31);
      const started = now();
      const error = thrownBy(() => socket.writeSync(data, deadline(50)));
      expect(error.name).toBe("TimeoutError");
      expect(error.bytesWritten).toBe(socket.bytesWritten);
      expect(error.bytesWritten).toBeGreaterThan(0);
      expect(now() - started).toBeLessThan(inTimeMilliseconds);
    }
    expect(await sink.message()).toBe(cutOff);
  },
);

const listeners = [
  ["TCP", listenPlain, (port: number) => connect({ host, port })],
  ["TLS 1.3", serveTls, (port: number) => dialTls(port)],
  ["TLS 1.2", serveTls, (port: number) => dialTls(port, { maxVersion: "TLSv1.2" })],
] as const;

function listenPlain(handler: (socket: Socket) => Promise<void>) {
  return listen({ host, port: 0 }, handler);
}

describe.each(listeners)("over %s", (_transport, serve, dial) => {
  test.each(transfers)("%s ends when the listener is closed", async (_name, transfer) => {
    let failure: Failure | undefined;
    const listener = await serve(async (socket: Socket) => {
      failure = await failureOf(transfer(socket));
    });
    await using client = await dial(listener.port!);
    const buffer = new Uint8Array(2 ** 20);
    const reading = spawn(async () => {
      while ((await client.read(buffer)) > 0);
    });
    while (client.bytesRead < 2 ** 20) await sleep(5);
    const started = now();
    await listener.close({ cancel: "closing", deadline: deadline(10_000) });
    expect(now() - started).toBeLessThan(inTimeMilliseconds);
    expect(failure).toMatchObject({ name: "CancelledError", cause: "closing" });
    await reading.join().catch(() => {});
  });
});

test.each([
  ["attached", (main: string) => `await (${main})();`],
  ["blocking", (main: string) => `block(${main});`],
])("in a Worker, %s", async (_driver, run) => {
  await using worker = new WorkerProgram(
    run(`async () => {
      const portion = new Uint8Array(2 ** 26);
      const list = Array.from({ length: 1024 }, () => portion);
      const nameOf = async (promise) => promise.then(() => "none", (error) => error.name);
      for (const tls of [undefined, { ca: ${JSON.stringify(certificates().root)} }]) {
        const port = tls ? ${places.tls} : ${places.tcp};
        for (const transfer of [
          (socket, until) => socket.write(list, until),
          (socket, deadline) => socket.sendFile(${JSON.stringify(endlessFile)}, { deadline }),
        ]) {
          await using socket = await connect({ host: "127.0.0.1", port, tls });
          post(await nameOf(transfer(socket, deadline(50))));
          const fiber = spawn(() => transfer(socket));
          await sleep(50);
          fiber.cancel();
          post(await nameOf(fiber.join()));
        }
      }
    }`),
  );
  for (const cutOff of ["the end", "the end", "ERR_TLS_TRUNCATED", "ERR_TLS_TRUNCATED"]) {
    expect(await worker.message()).toBe("TimeoutError");
    expect(await worker.message()).toBe("CancelledError");
    expect(await sink.message()).toBe(cutOff);
  }
});

describe("one call moves a bounded amount, so that others get their turn", () => {
  const most = 2 ** 20;

  test.each([
    ["a write", (socket: Socket) => socket.write(portion)],
    ["a write of a list", (socket: Socket) => socket.write(["head", portion, portion])],
    ["sendFile", (socket: Socket) => socket.sendFile(endlessFile, { length: 2 ** 26 })],
  ])("%s", async (_name, transfer) => {
    await using pair = await socketPair();
    const { client, server } = pair;
    const reading = spawn(() => readToEnd(server));
    const sending = transfer(client);
    expect(client.bytesWritten).toBeGreaterThan(0);
    expect(client.bytesWritten).toBeLessThanOrEqual(most);
    const count = await sending;
    expect(count).toBe(client.bytesWritten);
    await client.shutdown();
    expect(await reading.join()).toBe("the end");
    expect(server.bytesRead).toBe(count);
  });

  test("a read, and the next one gets the rest", async () => {
    await using pair = await socketPair();
    const { client, server } = pair;
    const data = distinctBytes(8 * most);
    const sending = client.write(data).then(() => client.shutdown());
    const buffer = new Uint8Array(8 * most);
    const counts: number[] = [];
    const hash = new Bun.CryptoHasher("sha1");
    for (let count: number; (count = await server.read(buffer, deadline(20_000))) > 0; ) {
      counts.push(count);
      hash.update(buffer.subarray(0, count));
    }
    await sending;
    expect(Math.max(...counts)).toBeLessThanOrEqual(most);
    expect(hash.digest("hex")).toBe(hashOf(data));
  });
});
