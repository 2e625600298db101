/** plait on both ends of TLS. */

import {
  connect,
  type Handler,
  type Listener,
  type ListenOptions,
  listen,
  type Socket,
  type TlsContext,
  type TlsOptions,
} from "../../index.ts";
import type { Issued } from "./certificate_authority.ts";
import { certificates } from "./certificates.ts";
import { readExactly } from "./receiving.ts";

/** The options that present a certificate with its chain. */
export function presenting({ chain, key }: Issued): TlsOptions {
  return { cert: chain, key };
}

/** A listener with the usual certificate, unless the options say otherwise. */
export async function serveTls(
  handler?: Handler,
  tls: TlsOptions | TlsContext = presenting(certificates().p256),
  options: Partial<ListenOptions> = {},
): Promise<Listener> {
  return await listen({ host: "127.0.0.1", port: 0, tls, ...options }, handler);
}

/** A client that trusts the test's root. */
export async function dialTls(
  port: number,
  tls: TlsOptions = {},
  deadline?: number,
): Promise<Socket> {
  return await connect({
    host: "127.0.0.1",
    port,
    deadline,
    tls: tls.context || tls.ca ? tls : { ca: certificates().root, ...tls },
  });
}

export interface TlsPair extends AsyncDisposable {
  readonly client: Socket;
  readonly server: Socket;
}

export async function tlsPair(client: TlsOptions = {}, server?: TlsOptions): Promise<TlsPair> {
  await using listener = await serveTls(undefined, server);
  const [dialled, accepted] = await Promise.all([
    dialTls(listener.port, client),
    listener.accept(),
  ]);
  return {
    client: dialled,
    server: accepted,
    async [Symbol.asyncDispose]() {
      dialled.reset();
      accepted.reset();
    },
  };
}

/** A client's first message, as it is sent. */
export async function clientHello(tls: TlsOptions = {}): Promise<Uint8Array> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const dialling = dialTls(listener.port, tls).catch(() => {});
  await using server = await listener.accept();
  const head = await readExactly(server, 5);
  const rest = await readExactly(server, head[3]! * 256 + head[4]!);
  server.reset();
  await dialling;
  // Not a Buffer: its `slice` would be the same memory.
  return new Uint8Array(Buffer.concat([head, rest]));
}

/** Sends back all that it receives. */
export const echo: Handler = async (socket) => {
  for await (const chunk of socket) await socket.write(chunk);
};
