// An echo with Bun.listen as a careful program writes it. It keeps what the kernel does not take and sends
// it on drain. Until then it reads nothing more from that connection.

import type { Socket } from "bun";

export interface Echoing {
  unsent: Uint8Array | null;
}

export function echo(socket: Socket<Echoing>, chunk: Uint8Array): void {
  const { unsent } = socket.data;
  if (unsent !== null) {
    socket.data.unsent = Buffer.concat([unsent, chunk]);
    return;
  }
  const taken = Math.max(socket.write(chunk), 0);
  if (taken < chunk.byteLength) {
    socket.data.unsent = chunk.subarray(taken);
    socket.pause();
  }
}

export function echoRest(socket: Socket<Echoing>): void {
  const { unsent } = socket.data;
  if (unsent === null) return;
  const taken = Math.max(socket.write(unsent), 0);
  if (taken < unsent.byteLength) {
    socket.data.unsent = unsent.subarray(taken);
    return;
  }
  socket.data.unsent = null;
  socket.resume();
}
