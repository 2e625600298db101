/** A listener with a handler at a free port of 127.0.0.1, and a client of it. */

import { connect, type Handler, type Listener, listen, type Socket } from "../../index.ts";

export async function serve(handler: Handler, options: object = {}): Promise<Listener> {
  return await listen({ host: "127.0.0.1", port: 0, ...options }, handler);
}

export async function dial(listener: Listener): Promise<Socket> {
  return await connect({ host: "127.0.0.1", port: listener.port });
}

/** A handler that ends with its peer's stream. */
export const untilEnd: Handler = async (socket) => {
  for await (const _ of socket);
};
