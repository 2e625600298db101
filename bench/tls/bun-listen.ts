// Bun.listen with TLS, as a careful program uses it.

import { writeSync } from "node:fs";
import type { Socket } from "bun";
import { type Echoing, echo, echoRest } from "../harness/bun-echo.ts";
import { pattern, REQUEST_BYTES, TRANSFER_BYTES } from "./transfer.ts";

interface Connection extends Echoing {
  request: Uint8Array;
  requestLength: number;
  toReceive: number;
  toSend: number;
}

const [certificate = "", key = "", mode] = process.argv.slice(2);

function receive(socket: Socket<Connection>, chunk: Uint8Array): void {
  const state = socket.data;
  for (let position = 0; position < chunk.byteLength; ) {
    const rest = chunk.byteLength - position;
    if (state.toReceive > 0) {
      const count = Math.min(rest, state.toReceive);
      state.toReceive -= count;
      position += count;
    } else {
      const count = Math.min(rest, REQUEST_BYTES - state.requestLength);
      state.request.set(chunk.subarray(position, position + count), state.requestLength);
      state.requestLength += count;
      position += count;
      if (state.requestLength < REQUEST_BYTES) return;
      const numbers = new DataView(state.request.buffer);
      state.requestLength = 0;
      state.toReceive = numbers.getUint32(0, true);
      state.toSend = numbers.getUint32(4, true);
    }
  }
  if (state.toReceive === 0) send(socket);
}

function send(socket: Socket<Connection>): void {
  const state = socket.data;
  while (state.toReceive === 0 && state.toSend > 0) {
    const wanted = Math.min(state.toSend, TRANSFER_BYTES);
    const taken = Math.max(socket.write(pattern, 0, wanted), 0);
    state.toSend -= taken;
    if (taken < wanted) return;
  }
}

const listener = Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: 0,
  tls: { cert: Bun.file(certificate), key: Bun.file(key) },
  socket: {
    open(socket) {
      const request = new Uint8Array(REQUEST_BYTES);
      socket.data = { unsent: null, request, requestLength: 0, toReceive: 0, toSend: 0 };
    },
    data: mode === "echo" ? echo : receive,
    drain: mode === "echo" ? echoRest : send,
  },
});

writeSync(1, `PORT ${listener.port}\n`);
