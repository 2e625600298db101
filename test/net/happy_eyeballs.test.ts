/** Connecting to one of several addresses (RFC 8305): order, head start, winners and losers. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { hasIpv6 } from "../support/ipv6.ts";
import { runProgram } from "../support/programs.ts";
import { SlowNames } from "../support/slow_names.ts";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: a name service of the test's own is made for Linux only");

/** IPv6 addresses of this machine, although it has only one loopback address of that family. */
const mapped = (address: string): string => `::ffff:${address}`;

const hosts = {
  "two.test": ["127.0.0.2", "127.0.0.3"],
  "backwards.test": ["127.0.0.3", "127.0.0.2"],
  "three.test": ["127.0.0.2", "127.0.0.3", "127.0.0.4"],
  "mixed.test": [
    "127.0.0.2",
    "127.0.0.3",
    mapped("127.0.0.4"),
    mapped("127.0.0.5"),
    mapped("127.0.0.6"),
  ],
  "twice.test": ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.2"],
  "many.test": Array.from({ length: 250 }, (_, index) => `127.0.1.${index + 1}`),
};

let names: SlowNames | undefined;

beforeAll(() => {
  if (isLinux) names = new SlowNames(hosts);
}, 30_000);

afterAll(() => names?.[Symbol.dispose]());

const waits = JSON.stringify(join(import.meta.dir, "..", "support", "waits.ts"));
const poll = JSON.stringify(join(import.meta.dir, "..", "support", "poll.ts"));

/** The code that the programs share. */
const prelude = `
  import { readdirSync } from "node:fs";
  import { FullListener } from ${waits};
  import { pollUntil } from ${poll};
  const held = () => {
    const { sockets, waiters } = stats();
    return [readdirSync("/proc/self/fd").length, sockets, waiters].join(" ");
  };
  /** The addresses that a connect waits for, as dump shows them. */
  const tried = () => /connect \\S+ \\((.*)\\), /.exec(dump())?.[1];
  /** A free port of 127.0.0.2 whose listener never answers. */
  const silent = await FullListener.open("127.0.0.2");
  const { port } = silent;
`;

async function linesOf(source: string, bound = 8000): Promise<string[]> {
  const result = await runProgram(prelude + source, { env: names!.env, bound });
  expect(result.stderr).toBe("");
  expect(result.exitCode).toBe(0);
  return result.stdout.split("\n");
}

describe.skipIf(!isLinux)("the addresses of a host", () => {
  test.skipIf(!hasIpv6)("are tried by families in turns, in the order of resolve", async () => {
    const order = [2, 4, 3, 5, 6];
    const lines = await linesOf(`
      await silent[Symbol.asyncDispose]();
      console.log((await resolve("mixed.test")).join(" "));
      console.log((await resolve("mixed.test", { family: 4 })).join(" "));
      console.log((await resolve("mixed.test", { family: 6 })).join(" "));
      // Each round has one more address that refuses, and all behind it answer: the next one is
      // taken.
      for (const last of ${JSON.stringify(order)}) {
        const live = ${JSON.stringify(order)};
        live.splice(0, live.indexOf(last));
        const listeners = [];
        for (const number of live) listeners.push(await listen({ host: "127.0.0." + number, port }));
        const socket = await connect({ host: "mixed.test", port });
        console.log(socket.remoteAddress);
        socket.close();
        for (const listener of listeners) await listener.close({ deadline: now() + 1000 });
      }
    `);
    const four = ["127.0.0.2", "127.0.0.3"];
    const six = ["127.0.0.4", "127.0.0.5", "127.0.0.6"].map(mapped);
    const ordered = [four[0]!, six[0]!, four[1]!, six[1]!, six[2]!];
    expect(lines).toEqual([ordered.join(" "), four.join(" "), six.join(" "), ...ordered]);
  });

  test("have a head start of 250 ms each, and the losers are closed", async () => {
    const lines = await linesOf(`
      const second = await FullListener.open("127.0.0.3", port);
      const third = await listen({ host: "127.0.0.4", port });
      const before = held();
      const { connected } = stats();
      const begin = now();
      const connecting = connect({ host: "three.test", port });
      const stages = new Set();
      await pollUntil("one is connected to", () => {
        if (tried() !== undefined) stages.add(tried());
        return stats().connected > connected;
      });
      const socket = await connecting;
      const time = now() - begin;
      const [fds, opened, waiting] = held().split(" ").map(Number);
      const [fdsBefore, openedBefore, waitingBefore] = before.split(" ").map(Number);
      console.log(socket.remoteAddress, time >= 500);
      const all = "127.0.0.2, 127.0.0.3, 127.0.0.4";
      console.log(stages.size > 0, [...stages].every((stage) => all.startsWith(stage)));
      console.log(fds - fdsBefore, opened - openedBefore, waiting - waitingBefore);
      socket.close();
      process.exit();
    `);
    expect(lines).toEqual(["127.0.0.4 true", "true true", "1 1 0"]);
  });

  test("stay in the race: an earlier one may still win", async () => {
    const lines = await linesOf(`
      const second = await FullListener.open("127.0.0.3", port);
      const connecting = connect({ host: "two.test", port });
      await pollUntil("both are tried", () => tried() === "127.0.0.2, 127.0.0.3");
      // The kernel sends the SYN again a second after the first.
      await silent.makeRoom();
      const socket = await connecting;
      console.log(socket.remoteAddress);
      socket.close();
      await pollUntil("nothing is left", () => stats().waiters === 0);
      process.exit();
    `);
    expect(lines).toEqual(["127.0.0.2"]);
  });

  test("are tried once each, and when one fails the next one at once", async () => {
    const lines = await linesOf(`
      await silent[Symbol.asyncDispose]();
      console.log(...(await resolve("twice.test")));
      const begin = now();
      const error = await connect({ host: "many.test", port, deadline: deadline(5000) }).catch((e) => e);
      const { errors } = error.cause;
      // With a head start for each, it would take 62 s.
      console.log(error.name, error.code, error.syscall, error.address, error.port === port);
      console.log(errors.length, errors.every(({ code, port: at }) => code === "ECONNREFUSED" && at === port));
      console.log(errors.every(({ address }, index) => address === "127.0.1." + (index + 1)));
      console.log(error.cause.message.startsWith("127.0.1.1:" + port + ": ECONNREFUSED, 127.0.1.2:"));
      console.log(stats().sockets, stats().waiters);
    `);
    expect(lines).toEqual([
      "127.0.0.2 127.0.0.3",
      "SocketError ECONNREFUSED connect many.test true",
      "250 true",
      "true",
      "true",
      "0 0",
    ]);
  });

  test("of localAddress's family alone are tried", async () => {
    const lines = await linesOf(`
      const host = "mixed.test";
      const inner = await listen({ host: "127.0.0.3", port });
      // 127.0.0.2 is silent, and 127.0.0.4 of the other family would answer first.
      const outer = await listen({ host: "127.0.0.4", port });
      const socket = await connect({ host, port, localAddress: "127.0.0.9" });
      console.log(socket.remoteAddress, socket.localAddress);
      socket.close();
      const wrong = [
        { host: "127.0.0.1", localAddress: "::1" },
        { host: "::1", localAddress: "127.0.0.1" },
        { host, localAddress: "127.0.0.1", family: 6 },
      ];
      for (const options of wrong) {
        console.log((await connect({ port, ...options }).catch((error) => error)).name);
      }
      process.exit();
    `);
    expect(lines).toEqual(["127.0.0.3 127.0.0.9", "TypeError", "TypeError", "TypeError"]);
  });
});

describe.skipIf(!isLinux).each([
  ["attached", "await main()"],
  ["blocking", "block(main)"],
])("an attempt that is broken off, %s", (_name, run) => {
  test("leaves nothing behind at any stage", async () => {
    const lines = await linesOf(`
      async function main() {
        const second = await FullListener.open("127.0.0.3", port);
        const stages = ["127.0.0.2", "127.0.0.2, 127.0.0.3"];
        const at = async (stage) => {
          while (!tried()?.startsWith(stage)) await sleep(2);
        };
        await sleep(50);
        const before = held();
        for (const stage of stages) {
          const fiber = spawn(() => connect({ host: "two.test", port }));
          await at(stage);
          fiber.cancel("by the fiber");
          const error = await fiber.join().catch((error) => error);
          console.log(error.name, error.cause, fiber.state, held() === before);

          const controller = new AbortController();
          const { signal } = controller;
          const connecting = connect({ host: "two.test", port, signal }).catch((error) => error);
          await at(stage);
          controller.abort("by the signal");
          const { name, cause } = await connecting;
          console.log(name, cause, held() === before);

          const until = deadline(stage === stages[0] ? 30 : 280);
          const timing = connect({ host: "two.test", port, deadline: until }).catch((error) => error);
          const late = await timing;
          console.log(late.name, late.syscall, late.address, late.cause, now() >= until, held() === before);
        }
      }
      ${run};
      process.exit();
    `);
    const expected = [
      "CancelledError by the fiber cancelled true",
      "CancelledError by the signal true",
      "TimeoutError connect two.test undefined true true",
    ];
    expect(lines).toEqual([...expected, ...expected]);
  });
});

describe.skipIf(!isLinux)("a connect", () => {
  test("whose deadline passes has the errors of the addresses that failed before", async () => {
    const lines = await linesOf(`
      // 127.0.0.3 refuses; 127.0.0.2 is silent.
      const late = { host: "backwards.test", port, deadline: deadline(100) };
      const error = await connect(late).catch((error) => error);
      console.log(error.name, error.address);
      console.log(error.cause.errors.map(({ address, code }) => address + " " + code).join());
      process.exit();
    `);
    expect(lines).toEqual(["TimeoutError backwards.test", "127.0.0.3 ECONNREFUSED"]);
  });

  test.each([
    ["attached", "main()"],
    ["blocking", "block(main)"],
  ])("in a Worker has the address that answers, %s", async (_name, run) => {
    const lines = await linesOf(`
      import { writeFileSync } from "node:fs";
      const listener = await listen({ host: "127.0.0.3", port }, (socket) => socket.write("here"));
      const path = import.meta.dir + "/worker.ts";
      const api = ${JSON.stringify(join(import.meta.dir, "..", "..", "index.ts"))};
      writeFileSync(path, \`
        import { block, connect, now, stats } from \${JSON.stringify(api)};
        const main = async () => {
          const before = now();
          // 127.0.0.2 is silent.
          const socket = await connect({ host: "two.test", port: \${port} });
          const text = new TextDecoder().decode(await socket.next());
          const { sockets, waiters } = stats();
          const line = [text, socket.remoteAddress, sockets, waiters, now() - before >= 250];
          socket.close();
          return line;
        };
        postMessage(await ${run});
      \`);
      const worker = new Worker(path);
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      console.log(...(await new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); })));
      // Nothing keeps the Worker alive.
      await closed;
      process.exit();
    `);
    expect(lines).toEqual(["here 127.0.0.3 1 0 true"]);
  });

  test("in a Worker that is terminated leaves no descriptor behind", async () => {
    const lines = await linesOf(
      `
        import { writeFileSync } from "node:fs";
        const second = await FullListener.open("127.0.0.3", port);
        const path = import.meta.dir + "/worker.ts";
        const api = ${JSON.stringify(join(import.meta.dir, "..", "..", "index.ts"))};
        writeFileSync(path, \`
          import { connect, spawn, stats } from \${JSON.stringify(api)};
          for (let count = 0; count < 20; count++) {
            spawn(() => connect({ host: "two.test", port: \${port} }).catch(() => {}));
          }
          const timer = setInterval(() => {
            if (stats().sockets < 40) return;
            clearInterval(timer);
            postMessage("both are tried");
          }, 2);
        \`);
        const descriptors = () => readdirSync("/proc/self/fd").length;
        async function one() {
          const worker = new Worker(path);
          const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
          await new Promise((resolve) => { worker.onmessage = resolve; });
          worker.terminate();
          await closed;
        }
        // Some descriptors of the first Worker stay: they are the runtime's.
        await one();
        await pollUntil("they are gone", () => descriptors() < 80);
        const before = descriptors();
        await one();
        await pollUntil("they are gone", () => descriptors() <= before);
        console.log("clean");
        process.exit();
      `,
      15_000,
    );
    expect(lines).toEqual(["clean"]);
  }, 20_000);
});
