/**
 * A TCP proxy with half close: `bun examples/proxy.ts [port] [host] [port there]`. Each side may end its
 * stream and still read the other one.
 */

import { connect, deadline, listen, type Socket, scope } from "../index.ts";

const [port = "7001", host = "127.0.0.1", portThere = "7000"] = process.argv.slice(2);

async function pump(from: Socket, to: Socket): Promise<void> {
  // A write returns when the kernel has taken the chunk, so a slow reader slows its writer down.
  for await (const chunk of from) await to.write(chunk);
  await to.shutdown();
}

async function serve(client: Socket): Promise<void> {
  const ends = [client];
  try {
    const server = await connect({ host, port: Number(portThere), deadline: deadline(5000) });
    ends.push(server);
    await scope(async (both) => {
      both.spawn(() => pump(client, server), { name: "client to server" });
      both.spawn(() => pump(server, client), { name: "server to client" });
    });
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
