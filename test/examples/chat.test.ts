/** The chat server of the examples. */

import { expect, test } from "bun:test";
import { connect, deadline, type Socket } from "../../index.ts";
import { startExample } from "../support/examples.ts";
import { failureOf } from "../support/failure.ts";
import { linesOf } from "../support/lines.ts";

const decoder = new TextDecoder();

/** A client in the room, whose lines can be waited for. */
class Guest implements AsyncDisposable {
  readonly socket: Socket;
  readonly #lines: AsyncGenerator<string>;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#lines = linesOf(socket);
  }

  static async enter(port: number, name: string): Promise<Guest> {
    const guest = new Guest(await connect({ host: "127.0.0.1", port, deadline: deadline(8000) }));
    await guest.hears("your name?");
    await guest.says(name);
    return guest;
  }

  async says(line: string): Promise<void> {
    await this.socket.write(`${line}\n`, deadline(8000));
  }

  /** The next line; undefined at the end. */
  async next(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  async hears(...lines: readonly string[]): Promise<void> {
    for (const line of lines) expect(await this.next()).toBe(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
  }
}

test("every client gets the lines of the others, and who comes and goes", async () => {
  await using chat = await startExample("chat.ts");
  await using ann = await Guest.enter(chat.port, "ann");
  await ann.hears("* ann is here");
  await using bob = await Guest.enter(chat.port, "bob");
  await bob.hears("* bob is here");
  await ann.hears("* bob is here");
  await ann.says("hello\u001b[2J, bob");
  await ann.hears("ann: hello[2J, bob");
  await bob.hears("ann: hello[2J, bob");
  await bob.says(`${"x".repeat(3000)}`);
  await ann.hears(`bob: ${"x".repeat(1000)}`);
  await bob.says(`${"y".repeat(500_000)}\nshort`);
  await ann.hears(`bob: ${"y".repeat(1000)}`, "bob: short");
  await bob.hears(`bob: ${"x".repeat(1000)}`, `bob: ${"y".repeat(1000)}`, "bob: short");
  // Lines from before the end are still delivered, also to the client that has ended.
  await bob.socket.write("bye\nhalf a line");
  await bob.socket.shutdown();
  await ann.hears("bob: bye", "* bob has left");
  await bob.hears("bob: bye");
  expect(await bob.next()).toBeUndefined();
  ann.socket.reset();
}, 20_000);

test("a name cannot be taken twice, until its owner has left", async () => {
  await using chat = await startExample("chat.ts");
  await using ann = await Guest.enter(chat.port, "ann");
  await ann.hears("* ann is here");
  await using other = await Guest.enter(chat.port, "ann");
  await other.hears("that name is taken", "your name?");
  await other.says("  ");
  await other.hears("a name has letters", "your name?");
  await other.says("bob");
  await other.hears("* bob is here");
  ann.socket.reset();
  await other.hears("* ann has left");
  await using again = await Guest.enter(chat.port, "ann");
  await again.hears("* ann is here");
}, 20_000);

test("many lines in one chunk reach the clients that read, and no such client is dropped", async () => {
  await using chat = await startExample("chat.ts");
  await using ann = await Guest.enter(chat.port, "ann");
  await using bob = await Guest.enter(chat.port, "bob");
  await ann.hears("* ann is here", "* bob is here");
  await bob.hears("* bob is here");
  const lines = Array.from({ length: 3000 }, (_, index) => `${index}`);
  await ann.socket.write(`${lines.join("\n")}\n`, deadline(8000));
  const told = lines.map((line) => `ann: ${line}`);
  await Promise.all([ann.hears(...told), bob.hears(...told)]);
}, 20_000);

test("a client that does not read is dropped, and does not delay the others", async () => {
  await using chat = await startExample("chat.ts");
  await using slow = await Guest.enter(chat.port, "slow");
  await slow.hears("* slow is here");
  await using ann = await Guest.enter(chat.port, "ann");
  await ann.hears("* ann is here");
  // The server finds out when the buffers of the kernel are full, which takes megabytes.
  const line = "x".repeat(990);
  let hasLeft = false;
  let heard = 0;
  for (let said = 0; said < 20_000 && !hasLeft; said++) {
    await ann.says(line);
    const answer = await ann.next();
    if (answer === `ann: ${line}`) heard++;
    else {
      expect(answer).toBe("* slow has left");
      hasLeft = true;
      await ann.hears(`ann: ${line}`);
    }
  }
  expect(hasLeft).toBe(true);
  expect(heard).toBeGreaterThan(100);

  expect(await failureOf(readToEnd(slow.socket))).toMatchObject({ code: "ECONNRESET" });
}, 30_000);

test("a client that has ended and does not read the rest does not disturb the others", async () => {
  await using chat = await startExample("chat.ts", manyLines);
  await using slow = await Guest.enter(chat.port, "slow");
  await slow.hears("* slow is here");
  await using ann = await Guest.enter(chat.port, "ann");
  await ann.hears("* ann is here");
  const told = await flood(ann);
  await slow.says("my last word");
  await slow.socket.shutdown();
  await ann.hears("slow: my last word", "* slow has left");
  await ann.says("still here");
  await ann.hears("ann: still here");
  await slow.hears("* ann is here", ...told, "slow: my last word");
  expect(await slow.next()).toBeUndefined();
}, 30_000);

test("SIGINT says goodbye to all clients, named or not, and ends the server", async () => {
  await using chat = await startExample("chat.ts", 2);
  await using stack = new AsyncDisposableStack();
  const guests: Guest[] = [];
  for (const name of ["ann", "bob", "cyd", "dan", "eve"]) {
    const guest = stack.use(await Guest.enter(chat.port, name));
    guests.push(guest);
    for (const each of guests) await each.hears(`* ${name} is here`);
  }
  const until = deadline(8000);
  await using nameless = await connect({ host: "127.0.0.1", port: chat.port, deadline: until });
  expect(decoder.decode((await nameless.next(until)) ?? undefined)).toBe("your name?\n");
  chat.program.child.kill("SIGINT");
  for (const guest of guests) {
    await guest.hears("* the server stops");
    expect(await guest.next()).toBeUndefined();
  }
  expect(await readToEnd(nameless)).toBe("* the server stops\n");
  expect(await chat.program.child.exited).toBe(0);
  expect(chat.program.output).toMatch(/^chat at .*\n$/);
}, 20_000);

test("SIGINT ends the server also when a client does not read", async () => {
  await using chat = await startExample("chat.ts", manyLines);
  await using slow = await Guest.enter(chat.port, "slow");
  await slow.hears("* slow is here");
  await using ann = await Guest.enter(chat.port, "ann");
  await ann.hears("* ann is here");
  await flood(ann);
  chat.program.child.kill("SIGINT");
  await ann.hears("* the server stops");
  expect(await chat.program.child.exited).toBe(0);
}, 30_000);

/** More lines behind than `flood` has, so that no client is dropped. */
const manyLines = 30_000;

/**
 * Sends more than the kernel's buffers hold for a client that does not read, and returns the lines
 * that arrive.
 */
async function flood(guest: Guest): Promise<readonly string[]> {
  const line = "x".repeat(990);
  const told = Array.from({ length: 12_000 }, () => `ann: ${line}`);
  await Promise.all([guest.socket.write(`${line}\n`.repeat(told.length)), guest.hears(...told)]);
  return told;
}

async function readToEnd(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += decoder.decode(chunk);
  return text;
}
