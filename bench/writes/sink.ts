// Reads what is sent to it, and ends when the sender does. Prints its port; ends with stdin.

import { listen } from "../../index.ts";

const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
  const buffer = new Uint8Array(1 << 20);
  while ((await socket.read(buffer)) > 0);
});
console.log(listener.port);
for await (const _ of Bun.stdin.stream());
await listener.close({ cancel: "the benchmark ends" });
