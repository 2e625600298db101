// Sends the stream that a client asks for, as fast as the client reads. Prints its port; ends with stdin.

import { listen } from "../../index.ts";
import { unitNames, units } from "./units.ts";

const MOST_BYTES = 1 << 20;

const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
  const request = await socket.next();
  if (request === null) return;
  const unit = units[unitNames[request[0]!]!];
  const together = Math.max(Math.floor(MOST_BYTES / unit.bytes), 1);
  const one = unit.encode();
  const many = new Uint8Array(together * unit.bytes);
  for (let index = 0; index < together; index++) many.set(one, index * unit.bytes);
  for (let left = unit.count; left > 0; left -= together) {
    await socket.write(left < together ? many.subarray(0, left * unit.bytes) : many);
  }
});
console.log(listener.port);
for await (const _ of Bun.stdin.stream());
await listener.close({ cancel: "the benchmark ends" });
