// A proxy on plait: `pipe`, or a loop over `next` and `write` as one writes it by hand.

import { connect, listen, pipe, type Socket, scope } from "../../index.ts";

const [way, port] = process.argv.slice(2);

async function copy(from: Socket, to: Socket): Promise<void> {
  for await (const chunk of from) await to.write(chunk);
  await to.shutdown();
}

async function loop(client: Socket, server: Socket): Promise<void> {
  await scope((both) => {
    both.spawn(() => copy(client, server));
    both.spawn(() => copy(server, client));
  });
}

const join = way === "pipe" ? pipe : loop;
const listener = await listen({ host: "127.0.0.1", port: 0 }, async (client) => {
  await using server = await connect({ host: "127.0.0.1", port: Number(port) });
  await join(client, server);
});
console.log(listener.port);
