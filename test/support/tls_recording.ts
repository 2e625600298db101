/** The data of a handshake on the wire, as a relay in the middle sees it. */

import { connect, type Listener, listen, type Socket, type TlsOptions } from "../../index.ts";
import { dialTls } from "./tls_pair.ts";

/** A relay to a listener, which may change the data. */
export function relayTo(
  target: Listener,
  pass: (from: Socket, to: Socket, isClient: boolean) => Promise<void>,
): Promise<Listener> {
  return listen({ host: "127.0.0.1", port: 0 }, async (client) => {
    const server = await connect({ host: "127.0.0.1", port: target.port });
    await Promise.all([pass(client, server, true), pass(server, client, false)]).catch(() => {});
    // Both ends have sent everything. The kernel need not remember thousands of these connections.
    for (const socket of [client, server]) socket.reset();
  });
}

export interface Recording {
  /** The client's data, and the server's data before the end of the client's handshake. */
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

/** Records a handshake with a listener that has no handler. */
export async function recordHandshake(listener: Listener, tls: TlsOptions): Promise<Recording> {
  const chunks: { client: Uint8Array[]; server: Uint8Array[] } = { client: [], server: [] };
  await using relay = await relayTo(listener, async (from, to, isClient) => {
    for await (const chunk of from) {
      chunks[isClient ? "client" : "server"].push(chunk);
      await to.write(chunk);
    }
  });
  let server: Uint8Array | undefined;
  const dialling = dialTls(relay.port, tls).then((socket) => {
    server = Buffer.concat(chunks.server);
    return socket;
  });
  const [dialled, accepted] = await Promise.all([dialling, listener.accept()]);
  const client = Buffer.concat(chunks.client);
  for (const socket of [dialled, accepted]) socket.reset();
  return { client, server: server! };
}
