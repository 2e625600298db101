/** What the hidden code of the documentation's snippets may use: see test/package/documentation.test.ts. */

import { connect, deadline, listen, type Socket } from "../../index.ts";
import { pollUntil } from "./poll.ts";

export { strict as assert } from "node:assert";
export { once } from "node:events";
export {
  startMysql,
  startNats,
  startPostgres,
  startRedis,
  startRedisCluster,
} from "./snippet_servers.ts";

/** Two sockets that are connected to each other: the client's end and the server's. */
export async function pair(): Promise<[Socket, Socket]> {
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  const address = { host: "127.0.0.1", port: listener.port };
  return await Promise.all([connect(address), listener.accept()]);
}

/** Sends a text to a server of this machine, ends its side, and returns everything that comes. */
export async function exchange(port: number, text: string): Promise<string> {
  const until = deadline(10_000);
  using socket = await connect({ host: "127.0.0.1", port, deadline: until });
  await socket.write(text, until);
  await socket.shutdown(until);
  let answer = "";
  const decoder = new TextDecoder();
  for (let chunk: Uint8Array | null; (chunk = await socket.next(until)) !== null; )
    answer += decoder.decode(chunk, { stream: true });
  return answer;
}

/** Waits until a condition holds. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  await pollUntil(`${condition}`, async () => await condition(), 10_000);
}
