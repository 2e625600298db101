/**
 * A chat server with one room. A client that does not read delays no other: its lines wait in a channel of
 * its own, and when the channel is full, the client is dropped.
 */

import {
  BufferedReader,
  CancelledError,
  Channel,
  deadline,
  listen,
  MessageTooLongError,
  type Socket,
  scope,
  shield,
  UnexpectedEndError,
  yieldNow,
} from "plait";

const usage = `Usage: bun chat.ts [port] [lines]

A chat at 127.0.0.1, port 7000 if none is given. Try it with: nc 127.0.0.1 7000
A client that is more than 100 lines behind, or as many as given, is dropped.
SIGINT stops the server with a goodbye to all.`;

if (process.argv.includes("--help")) {
  console.log(usage);
  process.exit();
}
const [port = 7000, linesBehind = 100] = process.argv.slice(2).map(Number);
/** Bytes. */
const longestLine = 1000;

interface Member {
  readonly name: string;
  readonly socket: Socket;
  readonly outbox: Channel<string>;
}

const members = new Set<Member>();

function tellAll(line: string): void {
  for (const { socket, outbox } of members) {
    // The waits of its fibers then fail, and the fibers clean up.
    if (!outbox.trySend(`${line}\n`)) socket.reset();
  }
}

function leave(member: Member): void {
  if (!members.delete(member)) return;
  member.outbox.close(); // Lines that are in it are still written.
  tellAll(`* ${member.name} has left`);
}

/** The lines of a client, cut where they are too long. */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  const reader = new BufferedReader(socket, { maxLength: longestLine });
  for (let line: string | null; (line = await nextLine(reader)) !== null; ) {
    // Control characters would reach the others' terminals.
    yield line.replace(/\p{Cc}/gu, "");
  }
}

async function nextLine(reader: BufferedReader): Promise<string | null> {
  try {
    return await reader.readLine();
  } catch (error) {
    if (error instanceof UnexpectedEndError) return null;
    if (!(error instanceof MessageTooLongError)) throw error;
    const start = await reader.readText(longestLine);
    await reader.discardUntil("\n");
    return start;
  }
}

/** Asks for a name until it is a free one, and adds the member. */
async function enter(socket: Socket, lines: AsyncGenerator<string>): Promise<Member | undefined> {
  for (;;) {
    await socket.write("your name?\n");
    const { value, done } = await lines.next();
    if (done) return undefined;
    const name = value.trim();
    const isTaken = [...members].some((member) => member.name === name);
    if (name !== "" && !isTaken) {
      const member = { name, socket, outbox: new Channel<string>(linesBehind) };
      members.add(member);
      tellAll(`* ${name} is here`);
      return member;
    }
    await socket.write(isTaken ? "that name is taken\n" : "a name has letters\n");
  }
}

async function serve(socket: Socket): Promise<void> {
  const lines = linesOf(socket);
  const member = await enter(socket, lines);
  if (member === undefined) return;
  try {
    await scope(async (client) => {
      client.spawn(async () => {
        for await (const line of lines) {
          tellAll(`${member.name}: ${line}`);
          // Others run between two lines. So many lines at once fill only the channels of clients that
          // do not read.
          await yieldNow();
        }
        leave(member);
      });
      for await (const line of member.outbox) await socket.write(line, deadline(30_000));
    });
  } finally {
    leave(member);
  }
}

/** Serves a client. The listener closes its socket, and ignores connections that break. */
async function welcome(socket: Socket): Promise<void> {
  try {
    await serve(socket);
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    await shield(() => socket.write("* the server stops\n"), deadline(1000));
  }
}

const listener = await listen({ host: "127.0.0.1", port }, welcome);
console.log(`chat at ${listener.address} port ${listener.port}`);
process.once("SIGINT", () => {
  members.clear(); // So that no client is told that all the others leave.
  // A client that does not read gets a second for the goodbye.
  void listener.close({ cancel: "the server stops", deadline: deadline(2000) });
});
