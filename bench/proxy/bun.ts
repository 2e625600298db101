// A proxy on Bun's own sockets, which joins the two by events. A short write is kept, and its source paused,
// until the target drains.

import type { Socket } from "bun";

const [port] = process.argv.slice(2);

interface Side {
  other: Socket<Side> | undefined;
  /** What `write` has not taken. */
  rest: Uint8Array | undefined;
  /** What came before there was another side. */
  early: Uint8Array[];
  hasEnded: boolean;
}

const newSide = (): Side => ({ other: undefined, rest: undefined, early: [], hasEnded: false });

/** Sends to a socket what its other side has received. */
function send(to: Socket<Side>, bytes: Uint8Array): void {
  const count = Math.max(to.write(bytes), 0);
  if (count === bytes.length) return;
  to.data.rest = Uint8Array.from(bytes.subarray(count));
  to.data.other?.pause();
}

const handlers = {
  data(socket: Socket<Side>, bytes: Uint8Array) {
    const { other, early } = socket.data;
    if (other === undefined) early.push(Uint8Array.from(bytes));
    else send(other, bytes);
  },
  drain(socket: Socket<Side>) {
    const { rest, other } = socket.data;
    if (rest === undefined) return;
    socket.data.rest = undefined;
    send(socket, rest);
    if (socket.data.rest !== undefined) return;
    if (other?.data.hasEnded) socket.shutdown();
    else other?.resume();
  },
  end(socket: Socket<Side>) {
    socket.data.hasEnded = true;
    const { other } = socket.data;
    if (other !== undefined && other.data.rest === undefined) other.shutdown();
  },
  close(socket: Socket<Side>) {
    socket.data.other?.end();
  },
};

const listener = Bun.listen<Side>({
  hostname: "127.0.0.1",
  port: 0,
  allowHalfOpen: true,
  socket: {
    ...handlers,
    open(client) {
      client.data = newSide();
      void Bun.connect<Side>({
        hostname: "127.0.0.1",
        port: Number(port),
        allowHalfOpen: true,
        data: { ...newSide(), other: client },
        socket: {
          ...handlers,
          open(server) {
            client.data.other = server;
            for (const bytes of client.data.early) send(server, bytes);
          },
        },
      });
    },
  },
});
console.log(listener.port);
