/** A TCP proxy with half close: each side may end its stream and still read the other one. */

import { connect, deadline, listen, pipe, type Socket } from "plait";

const usage = `Usage: bun proxy.ts [port] [host] [port there]

Passes connections to 127.0.0.1, port 7001, on to a host and its port: 127.0.0.1 and 7000 if not given.`;

if (process.argv.includes("--help")) {
  console.log(usage);
  process.exit();
}
const [port = "7001", host = "127.0.0.1", portThere = "7000"] = process.argv.slice(2);

async function serve(client: Socket): Promise<void> {
  const ends = [client];
  try {
    const server = await connect({ host, port: Number(portThere), deadline: deadline(5000) });
    ends.push(server);
    await pipe(client, server);
    server.close(); // The listener closes the client.
  } catch (error) {
    // With `close` both would take the stream for complete.
    for (const end of ends) end.reset();
    throw error;
  }
}

const listener = await listen(
  { host: "127.0.0.1", port: Number(port), onError: (error) => console.error(String(error)) },
  serve,
);
console.log(`proxy for ${host} port ${portThere} at ${listener.address} port ${listener.port}`);
