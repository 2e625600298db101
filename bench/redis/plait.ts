// examples/redis.ts on Bun's event loop, or inside `block()`.

import { Redis } from "../../examples/redis.ts";
import { block } from "../../index.ts";
import { measure, taskOf } from "./measure.ts";

const [driver, ...rest] = process.argv.slice(2);
const task = taskOf(rest);

async function main(): Promise<void> {
  const redis = await Redis.connect({ host: "127.0.0.1", port: task.port });
  const get = (key: string) => redis.call(["GET", key]);
  await measure({ get, close: () => redis[Symbol.asyncDispose]() }, task);
}

if (driver === "block") block(main);
else await main();
