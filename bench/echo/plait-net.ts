// plait/net, with the same handler as node-net.ts.

import { writeSync } from "node:fs";
import { createServer } from "../../src/node/net.ts";

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", (chunk) => {
    if (!socket.write(chunk)) socket.pause();
  });
  socket.on("drain", () => socket.resume());
  socket.on("error", () => socket.destroy());
});

server.listen({ host: "127.0.0.1", port: 0 }, () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  writeSync(1, `PORT ${address.port}\n`);
});
