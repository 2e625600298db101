// Sends in one way through node:net of Bun or plait/net, and prints the CPU time in microseconds for each MiB.
// Its arguments are the module, the way and the port.

import { once } from "node:events";
import type * as net from "node:net";
import { ways } from "./ways.ts";

const [moduleName = "", wayName = "", port = ""] = process.argv.slice(2);
const module = moduleName === "plait" ? "../../src/node/net.ts" : "node:net";
const { connect } = (await import(module)) as Pick<typeof net, "connect">;
const { send, mebibytes } = ways[wayName]!;

async function run(count: number): Promise<void> {
  const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  send(socket.resume(), count);
  await once(socket, "close");
  if (socket.bytesWritten !== count << 20)
    throw new Error(`${socket.bytesWritten} bytes were sent`);
}

await run(mebibytes);
const before = process.cpuUsage();
await run(mebibytes);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ us: (user + system) / mebibytes, userUs: user / mebibytes }));
process.exit();
