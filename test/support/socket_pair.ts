/** Two plait sockets that are connected to each other over the loopback interface or a path. */

import { type ConnectOptions, connect, type Listener, listen, type Socket } from "../../index.ts";

export interface SocketPair extends AsyncDisposable {
  readonly client: Socket;
  readonly server: Socket;
}

/** Disposing of the pair resets the connection: nothing lingers into the next test. */
export async function socketPair(): Promise<SocketPair> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  return await pairAt(listener, { host: "127.0.0.1", port: listener.port });
}

/** The same over a Unix socket at a path. */
export async function unixSocketPair(path: string): Promise<SocketPair> {
  await using listener = await listen({ path });
  return await pairAt(listener, { path });
}

async function pairAt(listener: Listener, options: ConnectOptions): Promise<SocketPair> {
  const [client, server] = await Promise.all([connect(options), listener.accept()]);
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      client.reset();
      server.reset();
    },
  };
}
