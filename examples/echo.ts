/** An echo server. */

import { deadline, listen, TimeoutError } from "plait";

const usage = `Usage: bun echo.ts [port]

Echoes what its clients send, at 127.0.0.1, port 7000 if none is given. Try it with: nc 127.0.0.1 7000`;

if (process.argv.includes("--help")) {
  console.log(usage);
  process.exit();
}
const port = Number(process.argv[2] ?? 7000);

const listener = await listen({ host: "127.0.0.1", port }, async (socket) => {
  const buffer = new Uint8Array(16_384);
  try {
    for (let count: number; (count = await socket.read(buffer, deadline(30_000))) > 0; ) {
      await socket.write(buffer.subarray(0, count));
    }
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    await socket.write("silent for 30 seconds: goodbye\n");
  }
});

console.log(`echo at ${listener.address} port ${listener.port}`);
