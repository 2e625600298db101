/** A program that makes handshakes of all kinds, good and bad, with handshake_server.ts. */

import { connect, deadline, type Socket, sleep, spawn, type TlsOptions } from "../../index.ts";
import { certificates } from "./certificates.ts";
import type { Ports } from "./handshake_server.ts";
import { answer, measure } from "./measured_program.ts";
import { dialTls, presenting } from "./tls_pair.ts";

/** Connections at a time. */
const width = 16;

const made = certificates();
let ports: Ports;
let count = 0;
const tally = { good: 0, resumed: 0, failed: 0 };
const sessions: { "TLSv1.2": Uint8Array[]; "TLSv1.3": Uint8Array[] } = {
  "TLSv1.2": [],
  "TLSv1.3": [],
};

async function talk(socket: Socket): Promise<void> {
  tally.good++;
  if (socket.tls!.resumed) tally.resumed++;
  await socket.write("hello");
  await socket.next(deadline(10_000));
}

async function good(port: number, tls?: TlsOptions): Promise<void> {
  await using socket = await dialTls(port, tls, deadline(10_000));
  await talk(socket);
}

/** Resumes an earlier session, if there is one. */
async function again(version: keyof typeof sessions): Promise<void> {
  const kept = sessions[version];
  await good(ports.plain, {
    maxVersion: version,
    session: kept.pop(),
    onSession: (session) => {
      // As many as are used again.
      if (kept.length < width) kept.push(session);
    },
  });
}

async function bad(port: number, tls?: TlsOptions): Promise<void> {
  try {
    await using socket = await dialTls(port, tls, deadline(10_000));
    // In TLS 1.3 a client learns of the refusal later.
    await socket.next(deadline(10_000));
  } catch {
    tally.failed++;
    return;
  }
  throw new Error("it was not refused");
}

async function plain(bytes: Uint8Array, end: (socket: Socket) => unknown): Promise<void> {
  const socket = await connect({ host: "127.0.0.1", port: ports.plain });
  await socket.write(bytes);
  await end(socket);
  await socket.next().catch(() => {});
  socket.close();
  tally.failed++;
}

/** A connect that is cancelled during its handshake, unless that is too fast. */
async function givenUp(): Promise<void> {
  const dialling = spawn(async () => (await dialTls(ports.plain)).close());
  await sleep(isEvenRound() ? 0 : 1);
  dialling.cancel();
  await dialling.join().catch(() => {});
  tally.failed++;
}

function isEvenRound(): boolean {
  return Math.floor(count / kinds.length) % 2 === 0;
}

/** The beginning of a ClientHello without its end. */
const beginning = new Uint8Array([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, ...new Uint8Array(60)]);

const kinds: readonly (() => Promise<void>)[] = [
  () => again("TLSv1.3"),
  () => good(ports.plain),
  () => again("TLSv1.3"),
  () => plain(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), () => {}),
  () => again("TLSv1.2"),
  () => good(ports.plain, { maxVersion: "TLSv1.2", onKeyLog: () => {} }),
  () => again("TLSv1.3"),
  () => bad(ports.plain, { ca: made.otherRoot }),
  () => again("TLSv1.3"),
  () => good(ports.guarded, presenting(made.client)),
  () => again("TLSv1.2"),
  () => bad(ports.guarded, isEvenRound() ? {} : presenting(made.expiredClient)),
  () => again("TLSv1.3"),
  () => good(ports.named, { serverName: "good.example" }),
  // New options make a context of their own.
  () => good(ports.plain, { alpn: [`number ${count}`] }),
  () => bad(ports.named, { serverName: "nobody.example", verifyPeer: false }),
  () => again("TLSv1.2"),
  () => bad(ports.plain, { serverName: "wrong.example" }),
  () => plain(beginning, (socket) => (isEvenRound() ? socket.shutdown() : socket.reset())),
  () => givenUp(),
  async () => {
    await using socket = await connect({ host: "127.0.0.1", port: ports.upgraded });
    await socket.startTls({ ca: made.root, serverName: "localhost" });
    await talk(socket);
    socket.reset();
  },
];

/** The outcomes of the handshakes. */
export type Tally = typeof tally;

async function work(end: number): Promise<void> {
  while (count < end) await kinds[count++ % kinds.length]!();
}

await answer({
  use: (text) => {
    ports = JSON.parse(text);
  },
  async run(text) {
    const end = count + Number(text);
    await Promise.all(Array.from({ length: width }, () => work(end)));
  },
  tally: () => tally,
  measure,
});
