/**
 * A chat server with one room: `bun examples/chat.ts [port] [lines behind]`, then `nc 127.0.0.1 7000`.
 * Nobody waits for a client that does not read: lines that it has not taken wait in a channel of its
 * own, and when that is full, the client is dropped. SIGINT stops the server with a goodbye to all.
 */

import {
  CancelledError,
  Channel,
  deadline,
  listen,
  type Socket,
  SocketError,
  scope,
  shield,
  TimeoutError,
  yieldNow,
} from "../index.ts";

const [port = 7000, linesBehind = 100] = process.argv.slice(2).map(Number);
const longestLine = 1000;

interface Member {
  readonly socket: Socket;
  readonly outbox: Channel<string>;
}

const members = new Map<string, Member>();

function tellAll(line: string): void {
  for (const { socket, outbox } of members.values()) {
    // One that has said its last word hears only what was said before it.
    if (outbox.isClosed) continue;
    // What its fibers wait for fails then, and they clean up.
    if (!outbox.trySend(`${line}\n`)) socket.reset();
  }
}

/** The lines of a client, cut where they are too long. */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let unread = "";
  for await (const chunk of socket) {
    unread += decoder.decode(chunk, { stream: true });
    const lines = unread.split("\n");
    unread = lines.pop()?.slice(0, longestLine) ?? "";
    // Control characters would reach the others' terminals.
    for (const line of lines) yield line.slice(0, longestLine).replace(/\p{Cc}/gu, "");
  }
}

/** Asks for a name that nobody else has, and lets its owner in. */
async function enter(
  socket: Socket,
  lines: AsyncGenerator<string>,
): Promise<[string, Channel<string>] | undefined> {
  for (;;) {
    await socket.write("your name?\n");
    const { value, done } = await lines.next();
    if (done) return undefined;
    const name = value.trim();
    if (name !== "" && !members.has(name)) {
      const outbox = new Channel<string>(linesBehind);
      members.set(name, { socket, outbox });
      return [name, outbox];
    }
    await socket.write(name === "" ? "a name has letters\n" : "that name is taken\n");
  }
}

async function hear(name: string, lines: AsyncGenerator<string>): Promise<void> {
  for await (const line of lines) {
    tellAll(`${name}: ${line}`);
    // Of many lines at once each goes out before the next: so only those fall behind who do not read.
    await yieldNow();
  }
}

async function serve(socket: Socket): Promise<void> {
  const lines = linesOf(socket);
  const member = await enter(socket, lines);
  if (member === undefined) return;
  const [name, outbox] = member;
  try {
    tellAll(`* ${name} is here`);
    await scope(async (client) => {
      client.spawn(async () => {
        await hear(name, lines);
        outbox.close();
      });
      for await (const line of outbox) await socket.write(line, deadline(30_000));
    });
  } finally {
    members.delete(name);
    tellAll(`* ${name} has left`);
  }
}

/** Serves a client, whatever becomes of it: only a mistake in this program ends the server. */
async function welcome(socket: Socket): Promise<void> {
  try {
    await serve(socket);
  } catch (error) {
    if (error instanceof CancelledError) {
      // One that does not read has a second, and no more.
      const goodbye = () => socket.write("* the server stops\n");
      await shield(goodbye, deadline(1000)).catch(() => {});
    } else if (!(error instanceof SocketError || error instanceof TimeoutError)) {
      throw error;
    }
  } finally {
    socket.close();
  }
}

await scope(async (server) => {
  await using listener = await listen({ host: "127.0.0.1", port });
  process.once("SIGINT", () => listener.close());
  console.log(`chat at ${listener.address} port ${listener.port}`);
  for await (const socket of listener) server.spawn(() => welcome(socket), { name: "client" });
  server.cancel("the server stops");
});
