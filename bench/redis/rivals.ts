// The other clients: ioredis, node-redis, and the one that Bun has built in.

import { RedisClient } from "bun";
import Ioredis from "ioredis";
import { createClient } from "redis";
import { type Client, measure, type Task, taskOf } from "./measure.ts";

function ioredis({ port }: Task, enableAutoPipelining: boolean): Client {
  const redis = new Ioredis({ host: "127.0.0.1", port, enableAutoPipelining });
  return { get: (key) => redis.get(key), close: () => redis.disconnect() };
}

const clients: Readonly<Record<string, (task: Task) => Client | Promise<Client>>> = {
  ioredis: (task) => ioredis(task, false),
  "ioredis-pipelining": (task) => ioredis(task, true),
  "node-redis": async ({ port }) => {
    const redis = createClient({ socket: { host: "127.0.0.1", port }, RESP: 3 });
    await redis.connect();
    return { get: (key) => redis.get(key), close: () => redis.destroy() };
  },
  bun: ({ port }) => {
    const redis = new RedisClient(`redis://127.0.0.1:${port}`);
    return { get: (key) => redis.get(key), close: () => redis.close() };
  },
};

const [name = "", ...rest] = process.argv.slice(2);
const task = taskOf(rest);
const connect = clients[name];
if (connect === undefined) throw new Error(`no client ${name}`);
await measure(await connect(task), task);
