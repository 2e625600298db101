/** Workers: each has a scheduler, and may end at any moment. */

import { describe, expect, test } from "bun:test";
import { connect, deadline, listen, stats } from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { runProgram, withImports } from "../support/programs.ts";
import { drain, readExactly } from "../support/receiving.ts";
import { isSoak } from "../support/soak.ts";
import { WorkerProgram } from "../support/worker_program.ts";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: only Linux's /proc tells what a process holds");

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("a Worker", () => {
  test("has a scheduler of its own", async () => {
    const before = stats();
    await using worker = new WorkerProgram(`
      const fiber = spawn(() => sleep(60_000));
      const listener = await listen({ host: "127.0.0.1", port: 0 });
      post([fiber.id, stats().fibers, stats().sockets, dump().includes("sleep")]);
    `);
    expect(await worker.message()).toEqual([1, 1, 1, true]);
    const after = stats();
    expect(after.fibersStarted).toBe(before.fibersStarted);
    expect(after.sockets).toBe(before.sockets);
  });

  test("connects to a listener of the main thread", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    await using worker = new WorkerProgram(`
      const socket = await connect({ host: "127.0.0.1", port: ${listener.port} });
      await socket.write("from the Worker");
      post(new TextDecoder().decode(await socket.next()));
      socket.close();
    `);
    expect(await worker.message()).toBe("from the Worker");
    await worker.ended();
  });

  test.each([
    ["attached", (main: string) => `await (${main})();`],
    ["blocking", (main: string) => `block(${main});`],
  ])("serves the main thread, %s", async (_name, run) => {
    await using worker = new WorkerProgram(
      run(`async () => {
        const listener = await listen({ host: "127.0.0.1", port: 0 });
        post(listener.port);
        for (let count = 0; count < 3; count++) {
          await using socket = await listener.accept();
          for await (const chunk of socket) await socket.write(chunk);
        }
        await listener.close();
        post("done");
      }`),
    );
    const port = (await worker.message()) as number;
    for (let round = 0; round < 3; round++) {
      await using socket = await connect({ host: "127.0.0.1", port, deadline: deadline(4000) });
      for (const word of ["to ", "the ", "Worker"]) {
        await socket.write(word);
        expect(text(await readExactly(socket, word.length))).toBe(word);
      }
    }
    expect(await worker.message()).toBe("done");
    await worker.ended();
  });

  test.each([
    ["attached", (main: string) => `await (${main})();`],
    ["blocking", (main: string) => `block(${main});`],
  ])("has scopes of its own, %s", async (_name, run) => {
    const before = stats();
    await using worker = new WorkerProgram(
      run(`async function main() {
        let ended = 0;
        await scope((s) => {
          for (let index = 0; index < 1000; index++) {
            s.spawn(async () => {
              await (index % 2 === 0 ? sleep(1) : yieldNow());
              ended++;
            });
          }
        });
        const nameOf = (error: Error): string => error.name;
        const abort = new AbortController();
        const outcomes = [
          await scope((s) => {
            s.spawn(() => park());
            s.spawn(() => yieldNow().then(() => { throw new RangeError("broken"); }));
          }).catch(nameOf),
          await scope(() => sleep(60_000), { deadline: deadline(2) }).catch(nameOf),
          await scope((s) => {
            s.spawn(() => yieldNow().then(() => abort.abort()));
            return park();
          }, { signal: abort.signal }).catch(nameOf),
          await race([() => sleep(1).then(() => "first"), () => park()]),
        ];
        post([ended, outcomes.join(), stats().fibers - (current() === undefined ? 0 : 1)]);
      }`),
    );
    const outcomes = "RangeError,TimeoutError,CancelledError,first";
    expect(await worker.message()).toEqual([1000, outcomes, 0]);
    expect(stats().fibersStarted).toBe(before.fibersStarted);
    await worker.ended();
  });

  test("fails with a deadline that had passed long before its start", async () => {
    // The Worker begins later, and must not take this deadline for a duration because of its own
    // beginning.
    const { stdout, stderr } = await runProgram(`
      const late = (passed: number): Promise<void> =>
        waitFor(new Promise<void>(() => {}), passed).catch(({ name }) => console.log(name));
      if (Bun.isMainThread) {
        const passed = now() - 59_999;
        await late(passed);
        new Worker(import.meta.path).postMessage(passed);
      } else self.onmessage = ({ data }) => late(data).then(() => process.exit());
    `);
    expect({ stdout, stderr }).toEqual({ stdout: "TimeoutError\nTimeoutError", stderr: "" });
  });

  test("that ends delivers what it has closed, and resets what it left open with unread input", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    await using worker = new WorkerProgram(`
      const target = { host: "127.0.0.1", port: ${listener.port} };
      const closed = await connect(target);
      const open = await connect(target);
      // As much as the buffers hold while the peer does not read.
      const bytes = new Uint8Array(64_000_000);
      const error = await closed.write(bytes, deadline(100)).catch((error) => error);
      closed.close();
      post(error.bytesWritten);
      globalThis.onmessage = () => process.exit(0);
    `);
    await using first = await listener.accept();
    await using second = await listener.accept();
    const written = (await worker.message()) as number;
    expect(written).toBeGreaterThan(100_000);
    await second.write("unread");
    worker.post("end");
    await worker.ended();
    expect(await failureOf(second.next(deadline(5000)))).toMatchObject({ code: "ECONNRESET" });
    await first.write("late");
    expect((await drain(first)).bytes).toBe(written);
  });

  test("ends by itself when nothing is pending, and stays while something is", async () => {
    await using brief = new WorkerProgram(`
      await sleep(1);
      spawn(() => park());
      post("begun");
    `);
    expect(await brief.message()).toBe("begun");
    await brief.ended();

    await using lasting = new WorkerProgram(`
      const listener = await listen({ host: "127.0.0.1", port: 0 });
      globalThis.onmessage = () => {
        globalThis.onmessage = null;
        listener.close();
      };
      setTimeout(() => post("alive"), 50).unref();
    `);
    expect(await lasting.message()).toBe("alive");
    lasting.post("close");
    await lasting.ended();
  });
});

/** The work of the Workers in the programs below until they are ended. */
const traffic = `
  async function echoes(port, host) {
    for (;;) {
      const socket = await connect({ host, port });
      for (let round = 0; round < 20; round++) {
        await socket.write(new Uint8Array(10_000));
        for (let left = 10_000; left > 0; ) left -= (await socket.next()).length;
      }
      socket.close();
    }
  }
  async function everything(port) {
    const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    for (let index = 0; index < 4; index++) {
      spawn(() => echoes(port, "127.0.0.1").catch(() => {}));
      spawn(() => echoes(listener.port, "LOCALHOST").catch(() => {}));
      spawn(async () => { for (;;) await sleep(index); });
      spawn(async () => { for (;;) await park(deadline(1)).catch(() => {}); });
      spawn(async () => { for (;;) await race([() => sleep(index), () => park()]); });
    }
    // Their last bytes are not delivered for as long as the peer does not read.
    const idle = await listen({ host: "127.0.0.1", port: 0 });
    const full = await connect({ host: "127.0.0.1", port: idle.port });
    full.write(new Uint8Array(10_000_000), deadline(2)).catch(() => {}).finally(() => full.close());
    const waiting = await connect({ host: "127.0.0.1", port: idle.port });
    spawn(() => waiting.next());
    postMessage("begun");
    await sleep(60_000);
  }
`;

/** Starts Workers and ends them, and reports what the process holds before and after. */
function endingProgram(worker: string, end: string, count: number): string {
  return `
    import { readdirSync, writeFileSync } from "node:fs";
    const path = import.meta.dir + "/worker.ts";
    writeFileSync(path, ${JSON.stringify(worker)});
    const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      for await (const chunk of socket) await socket.write(chunk);
    });
    async function one(index) {
      const worker = new Worker(path);
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.postMessage(listener.port);
      const begun = new Promise((resolve) => { worker.onmessage = resolve; });
      ${end}
      await closed;
    }
    async function some(count) {
      const running = new Set();
      for (let index = 0; index < count; index++) {
        const ending = one(index).then(() => running.delete(ending));
        running.add(ending);
        if (running.size === 5) await Promise.race(running);
      }
      await Promise.all(running);
    }
    const held = () => ({
      descriptors: readdirSync("/proc/self/fd").length,
      threads: readdirSync("/proc/self/task").length,
    });
    // After the first Workers Bun keeps some things for later ones.
    await some(6);
    await Bun.sleep(200);
    const before = held();
    await some(${count});
    const end = performance.now() + 5000;
    let after = held();
    while (performance.now() < end) {
      after = held();
      const isClean = after.descriptors <= before.descriptors && after.threads <= before.threads + 3;
      if (isClean && listener.connections === 0) break;
      await Bun.sleep(10);
    }
    console.log(JSON.stringify({ before, after, connections: listener.connections }));
    process.exit(0);
  `;
}

interface Held {
  descriptors: number;
  threads: number;
}

describe("many Workers", () => {
  const attached = `${traffic}\nself.onmessage = ({ data }) => everything(data);`;
  const blocking = `${traffic}\nself.onmessage = ({ data }) => block(() => everything(data));`;
  const begun = "await begun;";
  const terminate = `${begun} await Bun.sleep(index % 13); worker.terminate();`;
  const early = "await Bun.sleep(8 + ((index * 0.61) % 24)); worker.terminate();";

  const exiting = attached.replace("await sleep(60_000)", "process.exit(0)");
  const failing = attached.replace("await sleep(60_000)", "throw new Error('x')");

  const many = isSoak ? 50 : 20;

  test.skipIf(!isLinux).each([
    ["terminated while traffic flows", attached, terminate, many],
    ["terminated while they block", blocking, terminate, many],
    ["terminated while they start", attached, early, 3 * many],
    ["that exit by themselves while traffic flows", exiting, begun, many],
    ["that fail while traffic flows", failing, `worker.onerror = () => {}; ${begun}`, many],
  ])(
    "%s leave no crash, no descriptor and no thread behind",
    async (_name, worker, end, count) => {
      const { stdout, stderr, exitCode } = await runProgram(
        endingProgram(withImports(worker), end, count),
        { bound: 20_000 },
      );
      expect(stderr).toBe("");
      expect(exitCode).toBe(0);
      const result = JSON.parse(stdout) as { before: Held; after: Held; connections: number };
      expect(result.connections).toBe(0);
      expect(result.after.descriptors).toBeLessThanOrEqual(result.before.descriptors);
      // Bun sometimes starts a thread of its own.
      expect(result.after.threads).toBeLessThanOrEqual(result.before.threads + 3);
    },
    25_000,
  );
});
