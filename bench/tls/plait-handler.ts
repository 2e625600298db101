// The handlers that both drivers run: an echo, and the requests of the load client's bulk transfers.

import { writeSync } from "node:fs";
import { listen, type Socket } from "../../index.ts";
import { pattern, REQUEST_BYTES, TRANSFER_BYTES } from "./transfer.ts";

async function echo(socket: Socket): Promise<void> {
  for (let chunk: Uint8Array | null; (chunk = await socket.next()); ) await socket.write(chunk);
}

async function transfer(socket: Socket): Promise<void> {
  const request = new Uint8Array(REQUEST_BYTES);
  const numbers = new DataView(request.buffer);
  const buffer = new Uint8Array(TRANSFER_BYTES);
  for (;;) {
    for (let length = 0; length < REQUEST_BYTES; ) {
      const count = await socket.read(request.subarray(length));
      if (count === 0) return;
      length += count;
    }
    for (let rest = numbers.getUint32(0, true); rest > 0; ) {
      const count = await socket.read(rest < TRANSFER_BYTES ? buffer.subarray(0, rest) : buffer);
      if (count === 0) return;
      rest -= count;
    }
    for (let rest = numbers.getUint32(4, true); rest > 0; ) {
      const count = Math.min(rest, TRANSFER_BYTES);
      await socket.write(count < TRANSFER_BYTES ? pattern.subarray(0, count) : pattern);
      rest -= count;
    }
  }
}

/** Listens and announces the port. Arguments: certificate, key, and echo or transfer. */
export async function serve(): Promise<void> {
  const [certificate = "", key = "", mode] = process.argv.slice(2);
  const listener = await listen(
    { host: "127.0.0.1", port: 0, tls: { cert: certificate, key } },
    mode === "echo" ? echo : transfer,
  );
  writeSync(1, `PORT ${listener.port}\n`);
}
