/**
 * Handshakes that do not end: how many there may be, which is given up for others, and what a
 * client may send.
 */

import { expect, test } from "bun:test";
import {
  connect,
  deadline,
  type ListenOptions,
  type Socket,
  stats,
  type TlsOptions,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { Program } from "../support/programs.ts";
import { readExactly } from "../support/receiving.ts";
import { clientHello, dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

const hasOpenssl = isInstalled("openssl");
if (!hasOpenssl) console.log("tls_handshake_limit.test.ts: skipped, it needs openssl");
const usual = hasOpenssl ? presenting(certificates().p256) : {};
const hello = hasOpenssl ? await clientHello({ serverName: "localhost" }) : new Uint8Array(0);
const bound = 30_000;
const maxHandshakes = 4;

async function limited(options: Partial<ListenOptions> = { maxHandshakes }) {
  const errors: { code?: string }[] = [];
  const onError = (error: unknown) => errors.push(error as { code?: string });
  const listener = await serveTls(echo, usual, { onError, ...options });
  return { listener, errors, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

/** A client that is accepted and sends nothing. */
async function silent(port: number): Promise<Socket> {
  const { accepted } = stats();
  const socket = await connect({ host: "127.0.0.1", port });
  await pollUntil("it is accepted", () => stats().accepted > accepted);
  return socket;
}

/** A client that was answered and sends nothing more. */
async function stopped(port: number): Promise<Socket> {
  const socket = await connect({ host: "127.0.0.1", port });
  await socket.write(hello);
  await readExactly(socket, 5);
  return socket;
}

async function expectServed(port: number): Promise<void> {
  using socket = await dialTls(port, {}, deadline(bound));
  await socket.write("hello");
  expect(Buffer.from(await readExactly(socket, 5)).toString()).toBe("hello");
}

/** The listener has given it up. The answer of the server may come before that. */
async function expectReset(socket: Socket): Promise<void> {
  const failure = await failureOf(
    (async () => {
      while (await socket.next(deadline(bound)));
      throw new Error("it ended");
    })(),
  );
  expect(failure).toMatchObject({ code: "ECONNRESET" });
}

async function expectKept(socket: Socket): Promise<void> {
  const buffer = new Uint8Array(100_000);
  while (socket.tryRead(buffer)! > 0);
  expect(await failureOf(socket.read(buffer, deadline(20)))).toMatchObject({ code: "ETIMEDOUT" });
}

const clients: [string, (port: number) => Promise<Socket>][] = [
  ["are silent", silent],
  ["have stopped after ServerHello", stopped],
];

test.skipIf(!hasOpenssl).each(clients)(
  "the oldest of those that %s are given up for others",
  async (_, start) => {
    const { handshakesDropped } = stats();
    await using server = await limited();
    const { port } = server.listener;
    const sockets: Socket[] = [];
    for (let count = 0; count < maxHandshakes + 3; count++) sockets.push(await start(port));
    for (const socket of sockets.slice(0, 3)) await expectReset(socket);
    await expectServed(port);
    await expectReset(sockets[3]!);
    for (const socket of sockets.slice(4)) await expectKept(socket);
    expect(stats().handshakesDropped - handshakesDropped).toBe(4);
    expect(server.errors.map(({ code }) => code)).toEqual(["ERR_TLS_TOO_MANY_HANDSHAKES"]);
    for (const socket of sockets) socket.reset();
  },
  bound,
);

test.skipIf(!hasOpenssl)(
  "a client that was answered outlasts those that are silent",
  async () => {
    await using server = await limited();
    const { port } = server.listener;
    const answered = [await stopped(port), await stopped(port)];
    const sockets: Socket[] = [];
    for (let count = 0; count < 20; count++) sockets.push(await silent(port));
    for (const socket of sockets.slice(0, -2)) await expectReset(socket);
    for (const socket of [...answered, ...sockets.slice(-2)]) {
      await expectKept(socket);
      socket.reset();
    }
  },
  bound,
);

test.skipIf(!hasOpenssl)(
  "a byte now and then does not keep a place",
  async () => {
    await using server = await limited();
    const { port } = server.listener;
    const slow = await silent(port);
    const others: Socket[] = [];
    for (let count = 0; count < maxHandshakes; count++) {
      await slow.write(hello.subarray(count, count + 1));
      others.push(await silent(port));
    }
    await expectReset(slow);
    for (const socket of others) socket.reset();
  },
  bound,
);

test.skipIf(!hasOpenssl)(
  "without maxHandshakes, handshakes take at most half of maxConnections",
  async () => {
    await using server = await limited({ maxConnections: 4 });
    const { port } = server.listener;
    const sockets: Socket[] = [];
    for (let count = 0; count < 8; count++) sockets.push(await silent(port));
    await expectServed(port);
    expect(server.errors.length).toBe(1);
    for (const socket of sockets) socket.reset();
    await pollUntil("all are closed", () => server.listener.connections === 0);
    // It is reported again when there were few in between.
    for (let count = 0; count < 3; count++) sockets.push(await silent(port));
    await pollUntil("it is told of", () => server.errors.length > 1);
    for (const socket of sockets) socket.reset();
  },
  bound,
);

test.skipIf(!hasOpenssl)(
  "clients that come all at once are all served, with any limit",
  async () => {
    await using server = await limited({ maxHandshakes: 2 });
    await Promise.all(
      Array.from({ length: 2 }, async () => {
        for (let count = 0; count < 10; count++) await expectServed(server.listener.port);
      }),
    );
    expect(server.errors).toEqual([]);
  },
  bound,
);

test.skipIf(!hasOpenssl)(
  "all ClientHellos that one poll finds are answered, without another event",
  async () => {
    const count = 60;
    const options = { ...usual, handshakeTimeout: 0 };
    await using program = new Program(
      `
      const { port } = await listen({ port: 0, tls: ${JSON.stringify(options)} }, () => {});
      console.log(port);
      while (stats().accepted < ${count}) await Bun.sleep(5);
      console.log("accepted");
      `,
      { bound },
    );
    const port = Number(await program.line());
    const dialling = Array.from({ length: count }, () => connect({ host: "127.0.0.1", port }));
    const sockets = await Promise.all(dialling);
    expect(await program.line()).toBe("accepted");
    // All that arrives while it is stopped is there at once when it goes on.
    program.process.kill("SIGSTOP");
    for (const socket of sockets) await socket.write(hello);
    program.process.kill("SIGCONT");
    const until = deadline(10_000);
    const answers = sockets.map((socket) => socket.next(until).catch(() => undefined));
    const answered = (await Promise.all(answers)).filter((answer) => answer !== undefined);
    expect(answered.length).toBe(count);
    for (const socket of sockets) socket.reset();
  },
  bound,
);

// -- The length of a ClientHello

/** A message of the handshake, in records of so many bytes. */
function inRecords(message: Uint8Array, size: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let start = 0; start < message.length; start += size) {
    const part = message.subarray(start, start + size);
    parts.push(new Uint8Array([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

const longHeader = new Uint8Array([1, 0, 0x60, 1]);
const illegalParameter = new Uint8Array([21, 3, 3, 0, 2, 2, 47]);

/** The answer of the listener up to its end, and its reason to refuse. */
async function answerTo(bytes: Uint8Array, tls: TlsOptions = {}): Promise<[Uint8Array, unknown]> {
  const refused = Promise.withResolvers<unknown>();
  await using listener = await serveTls(echo, { ...usual, ...tls }, { onError: refused.resolve });
  await using socket = await connect({ host: "127.0.0.1", port: listener.port });
  await socket.write(bytes);
  const parts: Uint8Array[] = [];
  for await (const part of socket) parts.push(part);
  return [new Uint8Array(Buffer.concat(parts)), await refused.promise];
}

test.skipIf(!hasOpenssl).each([1, 3, 4, 2048])(
  "a ClientHello that says it is long is refused at its header, in records of %d bytes",
  async (size) => {
    const start = new Uint8Array([...longHeader, ...hello.subarray(9)]);
    const [answer, error] = await answerTo(inRecords(start, size));
    expect(answer).toEqual(illegalParameter);
    expect(error).toMatchObject({ code: "ERR_SSL_EXCESSIVE_MESSAGE_SIZE" });
  },
  bound,
);

test.skipIf(!hasOpenssl).each([true, false])(
  "and so is a second one: %p",
  async (isAtOnce) => {
    const tls: TlsOptions = { groups: "P-256", minVersion: "TLSv1.3" };
    const first = await clientHello({ groups: "X25519:P-256", minVersion: "TLSv1.3" });
    const second = inRecords(longHeader, 4);
    const refused = Promise.withResolvers<unknown>();
    await using listener = await serveTls(echo, { ...usual, ...tls }, { onError: refused.resolve });
    await using socket = await connect({ host: "127.0.0.1", port: listener.port });
    await socket.write(isAtOnce ? [first, second] : first);
    // HelloRetryRequest is a ServerHello, and change_cipher_spec may follow it.
    const head = await readExactly(socket, 5);
    await readExactly(socket, head[3]! * 256 + head[4]!);
    if (!isAtOnce) await socket.write(second);
    const rest: Uint8Array[] = [];
    for await (const part of socket) rest.push(part);
    expect(new Uint8Array(Buffer.concat(rest)).subarray(-7)).toEqual(illegalParameter);
    expect(await refused.promise).toMatchObject({ code: "ERR_SSL_EXCESSIVE_MESSAGE_SIZE" });
  },
  bound,
);

/** A list of protocols of so many bytes, each of 200. */
function protocols(bytes: number): string[] {
  return Array.from({ length: bytes / 200 }, (_, index) => `${index}`.padStart(199, "p"));
}

test.skipIf(!hasOpenssl).each(["TLSv1.2", "TLSv1.3"] as const)(
  "of %s one of 20 KB is accepted, and one of 30 KB is not",
  async (version) => {
    await using listener = await serveTls(echo, usual);
    const options = { minVersion: version, maxVersion: version };
    using socket = await dialTls(listener.port, { ...options, alpn: protocols(20_000) });
    await socket.write("hello");
    expect(Buffer.from(await readExactly(socket, 5)).toString()).toBe("hello");
    const long = dialTls(listener.port, { ...options, alpn: protocols(30_000) });
    expect((await failureOf(long)).code).toMatch(
      /ILLEGAL_PARAMETER|ECONNRESET|EPIPE|ERR_TLS_TRUNCATED/,
    );
  },
  bound,
);
