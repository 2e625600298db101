import type { Socket } from "../../index.ts";
import { type SocketPair, socketPair } from "./socket_pair.ts";

/** A client and a server with a place for a proxy between them. */
export interface Proxied extends AsyncDisposable {
  readonly client: Socket;
  /** The proxy's socket to the client. */
  readonly first: Socket;
  /** The proxy's socket to the server. */
  readonly second: Socket;
  readonly server: Socket;
}

export type PairMaker = () => Promise<SocketPair>;

export async function proxied(
  front: PairMaker = socketPair,
  behind: PairMaker = socketPair,
): Promise<Proxied> {
  const one = await front();
  const other = await behind();
  return {
    client: one.client,
    first: one.server,
    second: other.client,
    server: other.server,
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    },
  };
}
