// The ways to send through a stream of node:net or plait/net.

import type { Socket } from "node:net";
import { Readable } from "node:stream";

/** Sends so many MiB, and ends the stream. */
type Way = (socket: Socket, mebibytes: number) => void;

const MEBIBYTE = 1 << 20;

/** Writes until `write` asks for a pause, and goes on at `drain`. */
function writing(bytes: number): Way {
  return (socket, mebibytes) => {
    const chunk = Buffer.alloc(bytes, 7);
    let left = (mebibytes * MEBIBYTE) / bytes;
    const go = (): void => {
      while (left > 0) {
        left--;
        if (!socket.write(chunk) && left > 0) return;
      }
      socket.end();
    };
    socket.on("drain", go);
    go();
  };
}

/** Collects so many writes for one system call. */
function corked(bytes: number, together: number): Way {
  return (socket, mebibytes) => {
    const chunk = Buffer.alloc(bytes, 7);
    let left = (mebibytes * MEBIBYTE) / bytes / together;
    const go = (): void => {
      while (left > 0) {
        left--;
        socket.cork();
        for (let count = 0; count < together; count++) socket.write(chunk);
        socket.uncork();
        if (socket.writableNeedDrain && left > 0) return;
      }
      socket.end();
    };
    socket.on("drain", go);
    go();
  };
}

function piping(bytes: number): Way {
  return (socket, mebibytes) => {
    const chunk = Buffer.alloc(bytes, 7);
    let left = (mebibytes * MEBIBYTE) / bytes;
    const source = new Readable({
      highWaterMark: bytes,
      read() {
        this.push(left-- > 0 ? chunk : null);
      },
    });
    source.pipe(socket);
  };
}

/** Each with the MiB that are measured. */
export const ways: Readonly<Record<string, { readonly send: Way; readonly mebibytes: number }>> = {
  "write, 64 KiB": { send: writing(65_536), mebibytes: 500 },
  "pipe, 64 KiB": { send: piping(65_536), mebibytes: 500 },
  "write, 1 KiB": { send: writing(1024), mebibytes: 40 },
  "cork, 16 x 1 KiB": { send: corked(1024, 16), mebibytes: 80 },
};
