/** A server for load tests: it answers as the test says, and knows what came. */

import { BufferedReader, type Listener, listen, type Socket, sleep } from "../../index.ts";

export interface TargetRequest {
  /** From 0 on, in the order in which the requests came. */
  readonly number: number;
  /** From 0 on, on its connection. */
  readonly numberOnConnection: number;
  readonly path: string;
  /** The whole head. */
  readonly head: string;
  readonly socket: Socket;
}

/** What the server does with a request: what it sends, or how it ends the connection. */
export type Reaction =
  | string
  | Uint8Array
  | { readonly send?: string | undefined; readonly end: "close" | "reset" }
  | undefined;

export const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

export interface LoadTarget extends AsyncDisposable {
  readonly listener: Listener;
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Requests that came so far. */
  readonly requests: number;
  readonly connections: number;
  /** The paths of all requests. */
  readonly paths: readonly string[];
}

type React = (request: TargetRequest) => Reaction | Promise<Reaction>;

/** Answers each request on its own; those of a connection one after the other. */
export async function loadTarget(
  react: React = () => okAnswer,
  host = "127.0.0.1",
): Promise<LoadTarget> {
  let requests = 0;
  let connections = 0;
  const paths: string[] = [];
  const listener = await listen({ host, port: 0, onError: () => undefined }, async (socket) => {
    connections++;
    const reader = new BufferedReader(socket);
    for (let numberOnConnection = 0; ; numberOnConnection++) {
      const head = await reader.readUntil("\r\n\r\n");
      if (head === null) return;
      const text = new TextDecoder().decode(head);
      const path = text.split(" ", 2)[1]!;
      const number = requests++;
      paths.push(path);
      const reaction = await react({ number, numberOnConnection, path, head: text, socket });
      if (reaction === undefined) await sleep(3_600_000);
      else if (typeof reaction === "string" || reaction instanceof Uint8Array) {
        await socket.write(reaction);
      } else {
        if (reaction.send !== undefined) await socket.write(reaction.send);
        if (reaction.end === "reset") socket.reset();
        else socket.close();
        return;
      }
    }
  });
  const place = host.includes(":") ? `[${host}]` : host;
  return {
    listener,
    url: `http://${place}:${listener.port}`,
    get requests() {
      return requests;
    },
    get connections() {
      return connections;
    },
    paths,
    async [Symbol.asyncDispose]() {
      await listener.close({ cancel: true });
    },
  };
}
