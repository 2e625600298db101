/** Connected sockets of plait/net. */

import { type EventEmitter, once } from "node:events";
import type { AddressInfo } from "node:net";
import net, { type ConnectOptions, type ServerOptions } from "../../src/node/net.ts";

export type NetSocket = InstanceType<typeof net.Socket>;
export type NetServer = InstanceType<typeof net.Server>;

/** A server on loopback, which listens. */
export async function listening(
  options: ServerOptions = {},
  listener?: (socket: NetSocket) => void,
): Promise<{ server: NetServer; port: number }> {
  const server = net.createServer(options, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

/** Both ends of a connection. Disposing of them destroys both and closes the server. */
export class NetPair implements AsyncDisposable {
  readonly client: NetSocket;
  readonly accepted: NetSocket;
  readonly server: NetServer;

  private constructor(server: NetServer, client: NetSocket, accepted: NetSocket) {
    this.server = server;
    this.client = client;
    this.accepted = accepted;
  }

  static async make(ofServer: ServerOptions = {}, ofClient: ConnectOptions = {}): Promise<NetPair> {
    const { server, port } = await listening(ofServer);
    const client = net.connect({ port, host: "127.0.0.1", ...ofClient });
    const [[accepted]] = await Promise.all([once(server, "connection"), once(client, "connect")]);
    return new NetPair(server, client, accepted as NetSocket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    this.accepted.destroy();
    if (this.server.listening) await this.server[Symbol.asyncDispose]();
  }
}

/** All that a socket receives, up to the end. */
export async function received(socket: NetSocket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The next data of a socket. */
export async function nextData(socket: NetSocket): Promise<Buffer> {
  const [chunk] = await once(socket, "data");
  return chunk as Buffer;
}

/** Waits for `close`, which must not have come yet. An error before it does not count. */
export function closed(emitter: EventEmitter): Promise<unknown> {
  return new Promise((resolve) => emitter.once("close", resolve));
}
