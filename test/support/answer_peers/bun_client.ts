/**
 * Reads answers with Bun's fetch, which needs a real connection. The lines of stdin and stdout are those of
 * http_parser.c, without the fields, trailers and the end of the connection, which Bun does not show as they
 * came.
 */

import { createInterface } from "node:readline";

/** What the server sends for the request, in portions. */
let bytes: Uint8Array = new Uint8Array(0);
let portion = 1;

const server = Bun.listen<undefined>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket) {
      for (let start = 0; start < bytes.length; start += portion) {
        socket.write(bytes.subarray(start, start + portion));
      }
      socket.end();
    },
    error() {},
  },
});

/** Longer than an answer takes that has come. */
const milliseconds = 1000;

async function readStream(method: string): Promise<string[]> {
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/`, {
      method,
      redirect: "manual",
      decompress: false,
      keepalive: false,
      signal: AbortSignal.timeout(milliseconds),
    });
    const body = Buffer.from(await answer.bytes()).toString("hex");
    return [`S ${answer.status}`, `D ${body}`, "E 1", "X whole"];
  } catch (error) {
    const { code = `${error}` } = error as { code?: string };
    return [`X ${code === "ECONNRESET" ? "incomplete" : code}`];
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, length, digits = ""] = line.split(" ");
  bytes = Buffer.from(digits, "hex");
  portion = Number(length);
  const lines = await readStream(kind === "H" ? "HEAD" : "GET");
  process.stdout.write(`${lines.join("\n")}\n`);
}
process.exit();
