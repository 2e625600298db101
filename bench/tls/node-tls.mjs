// node:tls, for Bun and for Node, with backpressure as the documentation shows it.

import { readFileSync, writeSync } from "node:fs";
import { createServer } from "node:tls";

const REQUEST_BYTES = 8;
const TRANSFER_BYTES = 64 * 1024;
const pattern = new Uint8Array(TRANSFER_BYTES).map((_, index) => index * 31);

const [certificate, key, mode] = process.argv.slice(2);

function echo(socket) {
  socket.on("data", (chunk) => {
    if (!socket.write(chunk)) socket.pause();
  });
  socket.on("drain", () => socket.resume());
}

function transfer(socket) {
  const request = Buffer.alloc(REQUEST_BYTES);
  let requestLength = 0;
  let toReceive = 0;
  let toSend = 0;
  const send = () => {
    while (toReceive === 0 && toSend > 0) {
      const count = Math.min(toSend, TRANSFER_BYTES);
      toSend -= count;
      if (!socket.write(count < TRANSFER_BYTES ? pattern.subarray(0, count) : pattern)) return;
    }
  };
  socket.on("data", (chunk) => {
    for (let position = 0; position < chunk.byteLength; ) {
      const rest = chunk.byteLength - position;
      if (toReceive > 0) {
        const count = Math.min(rest, toReceive);
        toReceive -= count;
        position += count;
      } else {
        const count = Math.min(rest, REQUEST_BYTES - requestLength);
        request.set(chunk.subarray(position, position + count), requestLength);
        requestLength += count;
        position += count;
        if (requestLength < REQUEST_BYTES) return;
        requestLength = 0;
        toReceive = request.readUInt32LE(0);
        toSend = request.readUInt32LE(4);
      }
    }
    send();
  });
  socket.on("drain", send);
}

const options = { cert: readFileSync(certificate), key: readFileSync(key), noDelay: true };
const server = createServer(options, (socket) => {
  socket.on("error", () => socket.destroy());
  (mode === "echo" ? echo : transfer)(socket);
});
server.on("tlsClientError", () => {});

server.listen({ host: "127.0.0.1", port: 0 }, () => {
  writeSync(1, `PORT ${server.address().port}\n`);
});
