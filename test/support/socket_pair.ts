/** Two plait sockets that are connected to each other over the loopback interface. */

import { connect, listen, type Socket } from "../../index.ts";

export interface SocketPair extends AsyncDisposable {
  readonly client: Socket;
  readonly server: Socket;
}

/** Disposing of the pair resets the connection: nothing lingers into the next test. */
export async function socketPair(): Promise<SocketPair> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const [client, server] = await Promise.all([
    connect({ host: "127.0.0.1", port: listener.port! }),
    listener.accept(),
  ]);
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      client.reset();
      server.reset();
    },
  };
}
