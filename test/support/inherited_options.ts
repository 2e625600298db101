/**
 * A program for test/values/inherited_options.test.ts. It adds properties to `Object.prototype`
 * under the names of plait's options, each alone and then all together. For each it prints as JSON
 * the results of a course of calls of plait. The arguments are the paths of certificates, as JSON.
 */

import { writeSync } from "node:fs";
import {
  all,
  cluster,
  connect,
  deadline,
  listen,
  race,
  resolve,
  type Socket,
  type SocketError,
  scope,
  setTlsDefaults,
  spawn,
  type TlsOptions,
  tlsContext,
} from "../../index.ts";
import type { Certificates } from "./certificates.ts";

// By then the test has given up, and could not end this process if it was ended itself.
setTimeout(() => process.exit(1), 60_000);

const made = JSON.parse(process.argv[2]!) as Certificates;
let told = 0;
const tell = () => void told++;

/** For each option a value that would make a difference. */
const values: Record<string, unknown> = {
  // Of connections, listeners and their ends.
  host: "192.0.2.1",
  port: 1,
  path: "/nowhere/socket",
  fd: 0,
  deadline: 1,
  signal: AbortSignal.abort("inherited"),
  localAddress: "127.0.0.9",
  family: 6,
  noDelay: false,
  keepAlive: { idle: 0.5 },
  linger: 0.5,
  backlog: 0.5,
  reusePort: true,
  maxConnections: 0.5,
  onError: tell,
  cancel: "inherited",
  idle: 0.5,
  interval: 0.5,
  count: 0.5,
  offset: 3,
  length: 1,
  // Of fibers and scopes.
  name: "inherited",
  discard: tell,
  // Of TLS.
  tls: true,
  context: tlsContext({ verifyPeer: false, alpn: ["inherited"] }),
  cert: made.named.chain,
  key: made.named.key,
  pfx: made.pfx,
  passphrase: made.passphrase,
  ca: made.otherRoot,
  crl: [...made.revocations],
  ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305",
  cipherSuites: "TLS_CHACHA20_POLY1305_SHA256",
  groups: "P-384",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
  alpn: ["inherited"],
  serverName: "inherited.example",
  verifyPeer: false,
  verifyIssuer: false,
  clientAuth: "require",
  session: new Uint8Array(64),
  onSession: tell,
  sni: () => null,
  onKeyLog: tell,
  handshakeTimeout: 1,
  side: "client",
  // Of clusters.
  module: "/nowhere/module.ts",
  workers: 0.5,
  data: "inherited",
  onRestart: tell,
  // Names in a table of server names, and of the details of errors.
  "good.example": { cert: made.rsa.chain, key: made.rsa.key },
  localhost: null,
  syscall: "inherited",
  address: "inherited",
  bytesWritten: 5,
  reason: "inherited",
  cause: "inherited",
  // Of the environment.
  SSL_CERT_FILE: made.root,
  SSLKEYLOGFILE: "/nowhere/keys",
};

const prototype = Object.prototype as unknown as Record<string, unknown>;

function pollute(names: readonly string[]): void {
  for (const name of names) prototype[name] = values[name];
}

function clean(): void {
  for (const name of Object.keys(values)) delete prototype[name];
}

const identity = { cert: made.p256.chain, key: made.p256.key };
const trusting = { ca: made.root };
const contextBefore = tlsContext(trusting);

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    return String(await promise);
  } catch (error) {
    const own = Object.assign(Object.create(null), error) as SocketError;
    const { name, message } = error as Error;
    // The kernel has chosen the port.
    const text = message.replaceAll(/:\d+/g, ":PORT");
    return JSON.stringify([name, text, own.code, own.syscall, own.address, typeof own.port]);
  }
}

/** Sends the client what the server knows of it. */
async function tellServersView(socket: Socket): Promise<void> {
  const { serverName, certificate } = socket.tls!;
  await socket.write(`${serverName},${certificate?.subject}`, deadline(8000));
}

/** What both ends know of a connection. */
async function bothViews(client: Socket): Promise<string> {
  const { protocol, cipher, group, alpn, verified, verifyError, resumed, certificate } =
    client.tls!;
  const own = [protocol, cipher, group, alpn, verified, verifyError, resumed, certificate?.subject];
  let others = "";
  for await (const chunk of client) others += String.fromCharCode(...chunk);
  return `${own.join()} ${others}`;
}

/** A client with a listener. */
async function encrypted(server: TlsOptions, client: true | TlsOptions): Promise<string> {
  await using listener = await listen({ host: "localhost", port: 0, tls: server }, tellServersView);
  return await outcomeOf(
    connect({ host: "localhost", family: 4, port: listener.port, tls: client }).then(
      async (socket) => {
        using connected = socket;
        return await bothViews(connected);
      },
    ),
  );
}

async function upgraded(): Promise<string> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    await socket.startTls({ ...identity });
    await tellServersView(socket);
  });
  using socket = await connect({ host: "127.0.0.1", port: listener.port });
  await socket.startTls({ ...trusting, serverName: "good.example" });
  return await bothViews(socket);
}

async function plain(): Promise<string> {
  const parts: string[] = [];
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    parts.push(
      String(await socket.sendFile(made.root)),
      String(await socket.sendFile(made.root, {})),
    );
    socket.setKeepAlive({});
    socket.shutdown();
    await socket.next();
  });
  const { port } = listener;
  using socket = await connect({ host: "127.0.0.1", port, keepAlive: {} });
  let bytes = 0;
  for await (const chunk of socket) bytes += chunk.byteLength;
  parts.push(String(bytes), socket.localAddress!);
  socket.close();
  await listener.close({});
  // The details of an error are those of the failure.
  parts.push(await outcomeOf(connect({ host: "127.0.0.1", port })));
  parts.push(await outcomeOf(connect({} as never)), await outcomeOf(listen({} as never)));
  return parts.join(" ");
}

async function concurrent(): Promise<string> {
  const fiber = spawn(() => "spawned", {});
  const parts = [fiber.name, await outcomeOf(fiber.join())];
  parts.push(await outcomeOf(scope((s) => s.spawn(() => s.name, {}).join(), {})));
  parts.push(
    await outcomeOf(race([() => 1, () => 2], {})),
    await outcomeOf(all([() => 1, () => 2])),
  );
  parts.push(await outcomeOf(resolve("localhost")), await outcomeOf(resolve("127.0.0.1", {})));
  return parts.join(" ");
}

async function behaviour(): Promise<Record<string, unknown>> {
  const usual = { ...identity };
  const names = {
    ...usual,
    sni: { "good.example": { cert: made.named.chain, key: made.named.key } },
  };
  const asksClients = { ...usual, ca: made.root, clientAuth: "require" } as const;
  const client = { cert: made.client.chain, key: made.client.key };
  const before = told;
  const result: Record<string, unknown> = {
    plain: await plain(),
    concurrent: await concurrent(),
    untrusted: await encrypted(usual, true),
    untrustedWithOptions: await encrypted(usual, { alpn: ["own"] }),
    trusted: await encrypted(usual, trusting),
    wrongName: await encrypted(usual, { ...trusting, serverName: "other.example" }),
    withContext: await encrypted(usual, { context: contextBefore }),
    withNewContext: await encrypted(usual, { context: tlsContext(trusting) }),
    named: await encrypted(names, { ...trusting, serverName: "good.example" }),
    unnamed: await encrypted(names, trusting),
    byFunction: await encrypted(
      { ...usual, sni: () => ({ ...names.sni["good.example"] }) },
      { ...trusting, serverName: "good.example" },
    ),
    byFunctionOfNone: await encrypted({ ...usual, sni: () => undefined }, trusting),
    authenticated: await encrypted(asksClients, { ...trusting, ...client }),
    anonymous: await encrypted(asksClients, trusting),
    upgraded: await upgraded(),
    withoutCertificate: await outcomeOf(listen({ port: 0, tls: {} })),
  };
  setTlsDefaults({ ...trusting });
  result.withDefaults = await encrypted(usual, true);
  setTlsDefaults({});
  return { ...result, told: told - before };
}

async function clustered(): Promise<string> {
  const served = await cluster({
    module: `${import.meta.dir}/cluster_module.ts`,
    workers: 1,
    port: 0,
    tls: { ...identity },
  });
  const dial = async (): Promise<string> => {
    using socket = await connect({ host: "localhost", port: served.port, tls: trusting });
    await socket.write("hello\n");
    await socket.next();
    return `${socket.tls!.protocol} ${socket.tls!.certificate!.subject}`;
  };
  const parts = [await dial()];
  await served.setTls({ cert: made.rsa.chain, key: made.rsa.key });
  parts.push(await dial());
  await served.close({});
  return parts.join();
}

function print(name: string, outcome: unknown): void {
  writeSync(1, `${JSON.stringify({ name, outcome })}\n`);
}

const optionNames = Object.keys(values);
print("nothing", { ...(await behaviour()), clustered: await clustered() });
for (const name of process.argv.slice(3)) {
  pollute(name === "everything" ? optionNames : [name]);
  const outcome: Record<string, unknown> = await behaviour().catch((error) => ({
    error: String(error),
  }));
  // Bun's own streams take an inherited signal for one of their options. A Worker has three of them.
  delete prototype.signal;
  if (name === "everything") outcome.clustered = await clustered().catch(String);
  clean();
  print(name, outcome);
}
process.exit();
