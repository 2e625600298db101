// Readers of lines that come with Bun.

import { connect } from "node:net";
import { createInterface } from "node:readline";
import { measure, type Way } from "./measure.ts";

const readline: Way = async (port, request) => {
  const socket = connect(port, "127.0.0.1");
  socket.write(request);
  let count = 0;
  for await (const _ of createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY })) {
    count++;
  }
  return count;
};

const textDecoderStream: Way = async (port, request) => {
  const chunks = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          open: (socket) => void socket.write(request),
          data: (_, chunk) => controller.enqueue(new Uint8Array(chunk)),
          close: () => controller.close(),
        },
      });
    },
  });
  let count = 0;
  let rest = "";
  for await (const text of chunks.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    count += lines.length;
  }
  return count;
};

await measure({ readline, textDecoderStream });
