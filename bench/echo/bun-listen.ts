// Bun.listen as a careful program uses it: what the kernel does not take is kept and sent on
// drain, and until then nothing more is read from that connection.

import { writeSync } from "node:fs";

interface Connection {
  unsent: Uint8Array | null;
}

const listener = Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { unsent: null };
    },
    data(socket, chunk) {
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
    },
    drain(socket) {
      const { unsent } = socket.data;
      if (unsent === null) return;
      const taken = Math.max(socket.write(unsent), 0);
      if (taken < unsent.byteLength) {
        socket.data.unsent = unsent.subarray(taken);
        return;
      }
      socket.data.unsent = null;
      socket.resume();
    },
  },
});

writeSync(1, `PORT ${listener.port}\n`);
