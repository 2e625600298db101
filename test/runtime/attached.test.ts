/** The attached driver beside Bun's own events: neither loop loses a wake-up. */

import { describe, expect, test } from "bun:test";
import {
  deadline,
  type Fiber,
  now,
  park,
  sleep,
  sleepUntil,
  spawn,
  stats,
  unpark,
} from "../../index.ts";
import { Program } from "../support/programs.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

/** How long each test runs, in milliseconds. */
const duration = 300;

/** Each way in which Bun starts code. */
const beginnings: readonly (() => Promise<void>)[] = [
  () => new Promise((resolve) => setTimeout(resolve, 0)),
  () => new Promise((resolve) => setImmediate(resolve)),
  () => new Promise((resolve) => queueMicrotask(resolve)),
  () => new Promise((resolve) => process.nextTick(resolve)),
  () => Bun.sleep(1),
  () => sleep(0),
  () => sleep(0.05),
  () => Promise.resolve(),
];

describe("code that waits, started by any of Bun's events", () => {
  test("an answer arrives", async () => {
    await using pair = await socketPair();
    await using _echo = spawn(async () => {
      for await (const chunk of pair.server) await pair.server.write(chunk);
    });
    const until = now() + duration;
    for (let round = 0; now() < until; round++) {
      await beginnings[round % beginnings.length]!();
      await pair.client.write("x", deadline(2000));
      await pair.client.read(new Uint8Array(1), deadline(2000));
    }
  });

  test("a deadline is met", async () => {
    const until = now() + duration;
    for (let round = 0; now() < until; round++) {
      await beginnings[round % beginnings.length]!();
      const point = deadline((round % 7) / 5);
      const watchdog = new Promise((_, reject) => {
        setTimeout(reject, 2000, new Error(`a deadline was missed in round ${round}`)).unref();
      });
      await Promise.race([sleepUntil(point), watchdog]);
      expect(now()).toBeGreaterThanOrEqual(point);
    }
  });

  test("an unpark arrives", async () => {
    const consumer = spawn(async () => {
      let sum = 0;
      for (let value = 0; value >= 0; value = await park<number>()) sum += value;
      return sum;
    });
    const until = now() + duration;
    let expected = 0;
    for (let round = 0; now() < until; round++) {
      await beginnings[round % beginnings.length]!();
      if (unpark(consumer as Fiber, round)) expected += round;
    }
    const end = now() + 2000;
    while (!unpark(consumer as Fiber, -1) && now() < end) await Bun.sleep(0);
    expect(await consumer.join(deadline(2000))).toBe(expected);
  });
});

test("idle connections and idle fibers cost no turns", async () => {
  await using pair = await socketPair();
  await using _reader = spawn(() => pair.client.next());
  await using _sleeper = spawn(() => sleep(60_000));
  await Bun.sleep(20);
  const before = stats().polls;
  await Bun.sleep(200);
  expect(stats().polls - before).toBeLessThanOrEqual(2);
});

test("an idle process uses next to no processor time", async () => {
  await using program = new Program(`
    const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    const socket = await connect({ host: "127.0.0.1", port: listener.port });
    await socket.write("x");
    await socket.next();
    spawn(() => socket.next());
    spawn(() => sleep(60_000));
    await sleep(50);
    const before = process.cpuUsage();
    await Bun.sleep(500);
    const { user, system } = process.cpuUsage(before);
    console.log(user + system);
    process.exit(0);
  `);
  expect(Number(await program.line())).toBeLessThan(50_000);
});

describe("signals", () => {
  test("signals end no wait early and lose none, in both drivers", async () => {
    await using program = new Program(`
      let signals = 0;
      process.on("SIGUSR2", () => signals++);
      const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        for await (const chunk of socket) await socket.write(chunk);
      });
      const socket = await connect({ host: "127.0.0.1", port: listener.port });
      async function echo() {
        const until = deadline(200);
        const sleeper = spawn(async () => {
          await sleepUntil(until);
          return now() >= until;
        });
        let echoes = 0;
        for (; now() < until; echoes++) {
          await socket.write("x", deadline(2000));
          await socket.next(deadline(2000));
        }
        console.log(await sleeper.join(), echoes > 10);
      }
      console.log("begun");
      await echo();
      block(echo);
      await sleep(10);
      console.log(signals > 0);
      process.exit(0);
    `);
    expect(await program.line()).toBe("begun");
    const timer = setInterval(() => program.process.kill("SIGUSR2"), 2);
    const lines = [await program.line(), await program.line(), await program.line()];
    clearInterval(timer);
    expect(lines).toEqual(["true true", "true true", "true"]);
  });
});

test("a burst of thousands of wake-ups is delivered whole", async () => {
  const point = deadline(5);
  const fibers = Array.from({ length: 5000 }, (_, index) =>
    spawn(async () => {
      await sleepUntil(point);
      return index;
    }),
  );
  const values = await Promise.all(fibers.map((fiber) => fiber.join(deadline(4000))));
  expect(values).toEqual(fibers.map((_, index) => index));
});

test("one-byte reads from many sockets at once all end", async () => {
  await using stack = new AsyncDisposableStack();
  const pairs = await Promise.all(Array.from({ length: 100 }, () => socketPair()));
  for (const pair of pairs) stack.use(pair);
  for (let round = 0; round < 20; round++) {
    const readers = pairs.map((pair) => spawn(() => readExactly(pair.client, 1)));
    await Bun.sleep(0);
    for (const pair of pairs) await pair.server.write("x");
    for (const reader of readers) expect(await reader.join(deadline(2000))).toHaveLength(1);
  }
});
