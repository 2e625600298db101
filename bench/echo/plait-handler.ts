// The echo handlers that both drivers run: one for next() and one for read().

import { writeSync } from "node:fs";
import { listen, type Socket } from "../../index.ts";

const READ_BUFFER_BYTES = 16 * 1024;

async function echoWithNext(sock: Socket): Promise<void> {
  for (let chunk: Uint8Array | null; (chunk = await sock.next()); ) await sock.write(chunk);
}

async function echoWithRead(sock: Socket): Promise<void> {
  const buffer = new Uint8Array(READ_BUFFER_BYTES);
  for (;;) {
    const length = await sock.read(buffer);
    if (length === 0) return;
    await sock.write(buffer.subarray(0, length));
  }
}

/** Listens and announces the port; the style is the first argument of the program. */
export async function serveEcho(): Promise<void> {
  const handler = process.argv[2] === "read" ? echoWithRead : echoWithNext;
  const listener = await listen({ host: "127.0.0.1", port: 0 }, handler);
  writeSync(1, `PORT ${listener.port}\n`);
}
