/** Looking up host names: cancellation, deadlines, and the end of a process or Worker. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { runProgram } from "../support/programs.ts";
import { SlowNames } from "../support/slow_names.ts";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: a slow name service is made for Linux only");

let names: SlowNames | undefined;

beforeAll(() => {
  if (isLinux) names = new SlowNames();
}, 30_000);

afterAll(() => names?.[Symbol.dispose]());

/** Runs a program with names such as `wait-100.test`, and returns the lines that it prints. */
async function linesOf(source: string, bound = 4000): Promise<string[]> {
  const { stdout, stderr, exitCode } = await runProgram(source, { env: names!.env, bound });
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  return stdout.split("\n");
}

const listening = `
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const { port } = listener;
`;

describe.skipIf(!isLinux)("a look-up", () => {
  test("takes its time while other fibers go on, and then the connection is made", async () => {
    const lines = await linesOf(`
      ${listening}
      const fiber = spawn(() => connect({ host: "wait-100.test", port }), { name: "client" });
      let ticks = 0;
      const ticker = setInterval(() => ticks++, 1);
      await sleep(20);
      console.log(/ client waiting: getaddrinfo wait-100.test, /.test(dump()));
      const socket = await fiber.join();
      clearInterval(ticker);
      console.log(socket.remoteAddress, ticks > 10);
      socket.close();
      await listener.close();
    `);
    expect(lines).toEqual(["true", "127.0.0.1 true"]);
  });

  test("is cancelled with its fiber or by a signal, and its result is ignored", async () => {
    const lines = await linesOf(`
      ${listening}
      const tell = (error) => console.log(error.name, error.syscall, error.cause);
      const fiber = spawn(() => connect({ host: "wait-30.test", port }));
      await sleep(1);
      fiber.cancel("by the fiber");
      await fiber.join().catch(tell);
      const controller = new AbortController();
      const connecting = connect({ host: "wait-30.test", port, signal: controller.signal });
      await sleep(1);
      controller.abort("by the signal");
      await connecting.catch(tell);
      // These take the numbers of the waiters that were given up, whose look-ups end meanwhile.
      for (let count = 0; count < 40; count++) await sleep(1);
      const socket = await connect({ host: "wait-1.test", port });
      console.log(socket.remotePort === port, stats().waiters);
      socket.close();
      await listener.close();
    `);
    expect(lines).toEqual([
      "CancelledError connect by the fiber",
      "CancelledError connect by the signal",
      "true 2",
    ]);
  });

  test.each([
    ["attached", "await main()"],
    ["blocking", "block(main)"],
  ])("ends at its deadline, not early and not late: %s", async (_name, run) => {
    const lateness = JSON.stringify(join(import.meta.dir, "..", "support", "lateness.ts"));
    const [line] = await linesOf(`
      import { latenessOf } from ${lateness};
      async function main() {
        return latenessOf(async (until) => {
          const error = await connect({ host: "wait-40.test", port: 1, deadline: until }).catch((e) => e);
          if (!(error instanceof TimeoutError)) throw error;
        }, 2);
      }
      console.log(JSON.stringify(${run}));
      process.exit(0);
    `);
    const { least, median } = JSON.parse(line!) as { least: number; median: number };
    expect(least).toBeGreaterThanOrEqual(0);
    expect(median).toBeLessThanOrEqual(2);
  });

  test("does not begin after its deadline", async () => {
    const lines = await linesOf(`
      const late = { host: "wait-3000.test", port: 1, deadline: now() - 1 };
      console.log((await connect(late).catch((error) => error)).name);
    `);
    expect(lines).toEqual(["TimeoutError"]);
  });

  test("waits for its turn or is given up when there are more than threads", async () => {
    const lines = await linesOf(`
      ${listening}
      const target = { host: "wait-20.test", port };
      const fibers = Array.from({ length: 40 }, (_, index) =>
        spawn(() => connect(index % 2 ? { ...target, deadline: deadline(30) } : target)),
      );
      for (const [index, fiber] of fibers.entries()) if (index % 4 === 0) fiber.cancel();
      const counts = { connected: 0, TimeoutError: 0, CancelledError: 0 };
      for (const result of await Promise.allSettled(fibers.map((fiber) => fiber.join()))) {
        if (result.status === "rejected") counts[result.reason.name]++;
        else {
          counts.connected++;
          result.value.close();
        }
      }
      console.log(counts.CancelledError, counts.connected >= 10, counts.TimeoutError > 0);
      console.log(counts.CancelledError + counts.connected + counts.TimeoutError);
      await listener.close();
    `);
    expect(lines).toEqual(["10 true true", "40"]);
  });

  test("can be one of thousands at a time", async () => {
    const lines = await linesOf(`
      const count = 10_000;
      const found = Array.from({ length: count }, () => resolve("wait-0.test"));
      console.log(...new Set((await Promise.all(found)).flat()));
      const fibers = Array.from({ length: count }, () => spawn(() => resolve("wait-60000.test")));
      console.log(stats().waiters);
      // The last ones are cancelled first.
      for (const fiber of fibers.reverse()) fiber.cancel();
      await Promise.allSettled(fibers.map((fiber) => fiber.join()));
      console.log(stats().waiters, (await resolve("wait-1.test")).join());
      process.exit();
    `);
    expect(lines).toEqual(["127.0.0.1", "10000", "0 127.0.0.1"]);
  });

  test("that was given up does not delay others", async () => {
    const lines = await linesOf(`
      // One for each thread, and more than could ever be done in time.
      const late = Array.from({ length: 20 }, () =>
        resolve("wait-60000.test", { deadline: deadline(5) }).catch((error) => error.name),
      );
      console.log([...new Set(await Promise.all(late))].join());
      console.log((await resolve("wait-1.test", { deadline: deadline(3000) })).join());
      process.exit();
    `);
    expect(lines).toEqual(["TimeoutError", "127.0.0.1"]);
  });

  test("that was given up does not keep the process alive", async () => {
    const lines = await linesOf(`
      const waiting = connect({ host: "wait-60000.test", port: 1, deadline: deadline(20) });
      console.log((await waiting.catch((error) => error)).name);
    `);
    expect(lines).toEqual(["TimeoutError"]);
  });

  test("in a Worker that is terminated leaves no descriptor and no thread behind", async () => {
    const lines = await linesOf(
      `
        import { readdirSync, writeFileSync } from "node:fs";
        const path = import.meta.dir + "/worker.ts";
        const api = JSON.stringify(${JSON.stringify(join(import.meta.dir, "..", "..", "index.ts"))});
        writeFileSync(path, \`
          import { connect, deadline, spawn } from \${api};
          for (let index = 0; index < 8; index++) {
            spawn(() => connect({ host: "wait-40.test", port: 1 }).catch(() => {}));
          }
          spawn(() => connect({ host: "wait-20.test", port: 1, deadline: deadline(5) }).catch(() => {}));
          postMessage("begun");
        \`);
        const held = () => ({
          descriptors: readdirSync("/proc/self/fd").length,
          threads: readdirSync("/proc/self/task").length,
        });
        async function one(index) {
          const worker = new Worker(path);
          const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
          await new Promise((resolve) => { worker.onmessage = resolve; });
          await Bun.sleep((index * 7) % 50);
          worker.terminate();
          await closed;
        }
        for (let index = 0; index < 4; index++) await one(index);
        await Bun.sleep(200);
        const before = held();
        for (let round = 0; round < 10; round++) {
          await Promise.all([0, 1, 2].map((index) => one(3 * round + index)));
        }
        const end = now() + 4000;
        let after = held();
        const isClean = () =>
          after.descriptors <= before.descriptors && after.threads <= before.threads + 3;
        while (now() < end && !isClean()) {
          await Bun.sleep(5);
          after = held();
        }
        console.log(isClean() ? "clean" : JSON.stringify({ before, after }));
        process.exit(0);
      `,
      15_000,
    );
    expect(lines).toEqual(["clean"]);
  }, 20_000);
});
