/**
 * A program for test/net/descriptor_shortage.test.ts: an echo server that runs out of descriptors,
 * and prints lines of JSON. With the argument `accept` it has no handler.
 */

import { connect, listen, type Socket, sleep, spawn } from "../../index.ts";

// By then the test has given up, and could not end this process if it was ended itself.
setTimeout(() => process.exit(1), 20_000);

let reports = 0;

const listener = await listen(
  { host: "127.0.0.1", port: 0, onError },
  process.argv[2] === "accept" ? undefined : echo,
);
tell({ port: listener.port });
if (process.argv[2] === "accept") {
  for await (const socket of listener) {
    spawn(async () => {
      await using connection = socket;
      await echo(connection);
    });
  }
}

async function echo(socket: Socket): Promise<void> {
  for await (const chunk of socket) await socket.write(chunk);
}

function onError(error: unknown, socket?: Socket): void {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  tell({ code, syscall, hasSocket: socket !== undefined });
  if (++reports === 1) void spawn(measure);
}

/** The shortage goes on meanwhile: the clients keep their connections. */
async function measure(): Promise<void> {
  const refused = await connect({ host: "127.0.0.1", port: listener.port }).catch(
    (error: { code?: unknown }) => error.code,
  );
  const milliseconds = 400;
  const before = process.cpuUsage();
  await sleep(milliseconds);
  const { user, system } = process.cpuUsage(before);
  tell({ refused, cpu: (user + system) / 1000 / milliseconds, connections: listener.connections });
}

function tell(news: object): void {
  process.stdout.write(`${JSON.stringify(news)}\n`);
}
