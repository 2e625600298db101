/** dump and stats. */

import { describe, expect, test } from "bun:test";
import {
  connect,
  deadline,
  dump,
  type Fiber,
  listen,
  park,
  type Socket,
  sleep,
  spawn,
  stats,
  unpark,
  waitReadable,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { DescriptorPair } from "../support/foreign_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { Random } from "../support/random.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { FullListener, waitKinds } from "../support/waits.ts";

/** The line of a fiber in dump(). */
function lineOf(fiber: Fiber): string {
  const line = dump()
    .split("\n")
    .find((candidate) => candidate.startsWith(`#${fiber.id} `));
  if (line === undefined) throw new Error(`dump() has no line for fiber ${fiber.id}:\n${dump()}`);
  return line;
}

describe("dump", () => {
  test("has a line for each live fiber, the oldest first", async () => {
    const fibers = ["first", "second", "third"].map((name) => spawn(() => park(), { name }));
    const ids = dump()
      .split("\n")
      .map((line) => Number(/^#(\d+) /.exec(line)?.[1]))
      .filter((id) => fibers.some((fiber) => fiber.id === id));
    expect(ids).toEqual(fibers.map((fiber) => fiber.id));
    for (const fiber of fibers) unpark(fiber);
    await Promise.all(fibers.map((fiber) => fiber.join()));
    for (const { id } of fibers) expect(dump()).not.toContain(`#${id} `);
  });

  test("shows id, name, state, what the fiber waits for, the peer, and for how long", async () => {
    await using pair = await socketPair();
    const { remotePort } = pair.client;
    await using fiber = spawn(() => pair.client.next(), { name: "reader" });
    await sleep(20);
    const line = lineOf(fiber);
    const { id } = fiber;
    const pattern = `^#${id} reader waiting: read 127\\.0\\.0\\.1:${remotePort}, (\\d+\\.\\d{3}) s$`;
    const seconds = Number(new RegExp(pattern).exec(line)?.[1]);
    expect(line).toMatch(new RegExp(pattern));
    expect(seconds).toBeGreaterThanOrEqual(0.02);
    expect(seconds).toBeLessThan(3);
  });

  test.each(waitKinds)("shows the wait of $name", async ({ syscall, prepare }) => {
    await using situation = await prepare();
    await using fiber = spawn(() => situation.wait(), { name: "waits" });
    await pollUntil("it waits", () => fiber.state === "waiting");
    expect(lineOf(fiber)).toStartWith(`#${fiber.id} waits waiting: ${syscall}`);
  });

  test("shows the port that is connected to, the descriptor and the path", async () => {
    await using full = await FullListener.open();
    using pipe = DescriptorPair.pipe();
    using folder = new TemporaryFolder();
    const path = folder.file("socket");
    await using listener = await listen({ path });
    const client = await connect({ path });
    await using _accepted = await listener.accept();
    const expected = new Map<Fiber<unknown>, string>([
      [
        spawn(() => connect({ host: "127.0.0.1", port: full.port })),
        `connect 127.0.0.1:${full.port},`,
      ],
      [spawn(() => waitReadable(pipe.first)), `waitReadable fd ${pipe.first},`],
      [spawn(() => client.next()), `read ${path},`],
    ]);
    for (const [fiber, text] of expected) {
      await pollUntil("it waits", () => fiber.state === "waiting");
      expect(lineOf(fiber)).toContain(text);
      fiber.cancel();
      await failureOf(fiber.join());
    }
    client.close();
  });

  test("shows several waits of one fiber, and fibers without a name or a wait", async () => {
    const both = spawn(() => Promise.all([sleep(60_000), park()]), { name: "both" });
    expect(lineOf(both)).toMatch(/ both waiting: sleep, \d\.\d{3} s; park, \d\.\d{3} s$/);
    const { promise, resolve } = Promise.withResolvers<void>();
    const nameless = spawn(() => promise);
    expect(lineOf(nameless)).toBe(`#${nameless.id} (anonymous) running`);
    resolve();
    await nameless.join();
    both.cancel();
    await failureOf(both.join());
  });

  test("shows the remaining ones of many waits, which end in any order", async () => {
    const random = new Random();
    const targets = Array.from({ length: 50 }, () => spawn(() => park()));
    const fiber = spawn(() => Promise.all(targets.map((target) => target.join())));
    try {
      while (targets.length > 0) {
        expect(lineOf(fiber).match(/join, /g)).toHaveLength(targets.length);
        const [ended] = targets.splice(random.below(targets.length), 1);
        unpark(ended!);
        await ended!.join();
      }
      await fiber.join();
      expect(fiber.waits).toBeUndefined();
    } catch (error) {
      console.error(`seed ${random.seed}`);
      throw error;
    }
  });

  test("a hundred thousand waits of one fiber end in the order of their start", async () => {
    const order: number[] = [];
    const fiber = spawn(() =>
      Promise.all(
        Array.from({ length: 100_000 }, (_, index) => yieldNow().then(() => order.push(index))),
      ),
    );
    await fiber.join();
    expect(order.every((index, place) => index === place)).toBe(true);
    expect(order).toHaveLength(100_000);
  });

  test("shows that a running fiber was cancelled", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stubborn = spawn(() => promise, { name: "stubborn" });
    stubborn.cancel();
    expect(lineOf(stubborn)).toBe(`#${stubborn.id} stubborn running, cancelled`);
    resolve();
    await stubborn.join();
  });

  test("shows handlers, by their name", async () => {
    await using listener = await listen(
      { host: "127.0.0.1", port: 0 },
      async function serve(socket) {
        await socket.next();
      },
    );
    await using client = await connect({ host: "127.0.0.1", port: listener.port! });
    const peer = `127\\.0\\.0\\.1:${client.localPort}`;
    const pattern = new RegExp(`#\\d+ serve ${peer} waiting: read ${peer}, `);
    await pollUntil("the handler is shown", () => pattern.test(dump()));
  });

  test("shows waits outside of fibers last", async () => {
    await using pair = await socketPair();
    const reading = pair.client.next(deadline(20));
    await using fiber = spawn(() => park());
    const lines = dump().split("\n");
    expect(lines.at(-1)).toStartWith("outside of fibers: ");
    expect(lines.at(-1)).toContain(`read 127.0.0.1:${pair.client.remotePort}, `);
    expect(fiber.state).toBe("waiting");
    await failureOf(reading);
    expect(dump()).not.toContain(`read 127.0.0.1:${pair.client.remotePort}`);
  });
});

describe("stats", () => {
  test("counts sockets, waits, connections and bytes", async () => {
    const before = stats();
    const { client, server } = await socketPair();
    const opened = stats();
    expect(opened.sockets).toBe(before.sockets + 2);
    expect(opened.accepted).toBe(before.accepted + 1);
    expect(opened.connected).toBe(before.connected + 1);

    const reading = readExactly(server, 100_000);
    expect(stats().waiters).toBe(before.waiters + 1);
    await client.write(new Uint8Array(100_000));
    await reading;
    const after = stats();
    expect(after.waiters).toBe(before.waiters);
    expect(after.bytesSent).toBe(before.bytesSent + 100_000);
    expect(after.bytesReceived).toBe(before.bytesReceived + 100_000);
    expect(after.polls).toBeGreaterThan(before.polls);
    expect(after.events).toBeGreaterThan(before.events);
    expect(after.wakeups).toBeGreaterThan(before.wakeups);
    client.reset();
    server.reset();
    expect(stats().sockets).toBe(before.sockets);
  });

  test("counts a listener, and a descriptor while it is waited for", async () => {
    const before = stats();
    const listener = await listen({ host: "127.0.0.1", port: 0 }, () => {});
    expect(stats().sockets).toBe(before.sockets + 1);
    await listener.close();
    await pollUntil("its own wait is over", () => stats().waiters === before.waiters);
    using pipe = DescriptorPair.pipe();
    const fiber = spawn(() => waitReadable(pipe.first));
    expect(stats().sockets).toBe(before.sockets + 1);
    expect(stats().waiters).toBe(before.waiters + 1);
    fiber.cancel();
    await failureOf(fiber.join());
    expect(stats().sockets).toBe(before.sockets);
    expect(stats().waiters).toBe(before.waiters);
  });

  test("counts waits that ended by their deadline", async () => {
    const before = stats();
    await sleep(1);
    await failureOf(spawn(() => park(deadline(1))).join());
    expect(stats().timeouts).toBe(before.timeouts + 2);
    expect(stats().wakeups).toBeGreaterThanOrEqual(before.wakeups + 2);
  });

  test("counts closed sockets that still deliver their last bytes", async () => {
    const before = stats();
    const { client, server } = await socketPair();
    await failureOf(client.write(new Uint8Array(16_000_000), deadline(3)));
    client.close();
    expect(stats().lingering).toBe(before.lingering + 1);
    server.reset();
    await pollUntil("it is gone", () => stats().lingering <= before.lingering);
  });

  test("counts fibers from spawn to their end", async () => {
    const before = stats();
    const sockets: Socket[] = [];
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      sockets.push(socket);
      await socket.next();
    });
    const client = await connect({ host: "127.0.0.1", port: listener.port! });
    await pollUntil("the handler runs", () => sockets.length === 1);
    expect(stats().fibers).toBe(before.fibers + 1);
    expect(stats().fibersStarted).toBe(before.fibersStarted + 1);
    client.close();
    await pollUntil("the handler has ended", () => stats().fibers === before.fibers);
  });
});

describe("PLAIT_STACKS", () => {
  const source = `
    async function outer(): Promise<void> { await sleep(1); await park(deadline(5)); }
    const fiber = spawn(async function waiter() { await new Event().wait(); });
    console.log(dump());
    const failing = spawn(outer);
    const { stack } = await failing.join().catch((error) => error);
    console.log(stack);
    fiber.cancel();
    console.log((await fiber.join().catch((error) => error)).stack);
  `;

  test("shows in dumps and errors the place in the program that waits", async () => {
    const { stdout, stderr } = await runProgram(source, { env: { PLAIT_STACKS: "1" } });
    expect(stderr).toBe("");
    const at = String.raw`at (?:async )?%s \(.*/program\.ts:\d+:\d+\)`;
    const frame = (name: string): string => at.replace("%s", name);
    expect(stdout).toMatch(
      new RegExp(`^#1 waiter waiting: event, \\d\\.\\d{3} s ${frame("waiter")}$`, "m"),
    );
    const timeout = String.raw`^TimeoutError: park ETIMEDOUT \(the deadline has passed\)\n +`;
    expect(stdout).toMatch(new RegExp(timeout + frame("outer"), "m"));
    const cancelled = String.raw`^CancelledError: event ECANCELED \(cancelled\)\n +`;
    expect(stdout).toMatch(new RegExp(cancelled + frame("waiter"), "m"));
    expect(stdout).not.toContain("/src/");
  });

  test("is off by default", async () => {
    const { stdout } = await runProgram(source, { env: { PLAIT_STACKS: "" } });
    expect(stdout).toMatch(/^#1 waiter waiting: event, \d\.\d{3} s$/m);
  });
});
