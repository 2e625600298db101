/** One scheduler in each of several Workers, behind one port. */

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { connect, deadline, dump, listen, SocketError, sleep, spawn } from "../../index.ts";
import type { ModuleData } from "../support/cluster_module.ts";
import { bound, modulePath, Subject } from "../support/cluster_subject.ts";
import { failureOf } from "../support/failure.ts";
import { hasIpv6 } from "../support/ipv6.ts";
import { pollUntil } from "../support/poll.ts";
import { Program, runProgram } from "../support/programs.ts";
import { drain, readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

setDefaultTimeout(bound);

describe("a cluster", () => {
  test("serves one port from every worker", async () => {
    await using subject = await Subject.start({ workers: 3 });
    const { cluster } = subject;
    expect(cluster.address).toBe("127.0.0.1");
    expect(cluster.port).toBeGreaterThan(0);
    expect([cluster.workers, cluster.listening, cluster.restarts]).toEqual([3, 3, 0]);
    const clients = await subject.clients();
    const answers = await Promise.all([...clients.values()].map((client) => client.ask("who")));
    expect(new Set(answers.map((answer) => answer.replace(/.*thread /, ""))).size).toBe(3);
    for (const client of clients.values()) expect(await client.ask("hello")).toBe("hello");
  });

  test("has as many workers as there are processors, at all addresses, by default", async () => {
    await using subject = await Subject.start({ workers: undefined, host: undefined });
    expect(subject.cluster.workers).toBe(navigator.hardwareConcurrency);
    expect(["::", "0.0.0.0"]).toContain(subject.cluster.address);
    expect(await (await subject.client()).ask("hello")).toBe("hello");
  });

  test.each(hasIpv6 ? ["::1", "localhost"] : ["localhost"])(
    "listens with all workers at one address, such as that of %s",
    async (host) => {
      await using subject = await Subject.start({ host });
      expect(subject.cluster.address).toBe(host === "::1" ? host : "127.0.0.1");
      await subject.clients();
    },
  );

  test("takes the module as a URL, as its text, and by its name before a bundler has changed it", async () => {
    const url = new URL("../support/cluster_module.ts", import.meta.url);
    const unchanged = new URL("../support/cluster_module.js", import.meta.url);
    for (const module of [url, url.href, unchanged]) {
      await using subject = await Subject.start({ module, workers: 1 });
      expect(await (await subject.client()).ask("hello")).toBe("hello");
    }
  });

  test("adds its workers' counters up, and shows what they wait for", async () => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    const open = [...clients.values()];
    for (const client of open) await client.ask("12345");
    const before = await subject.cluster.stats();
    for (const client of open) await client.ask("12345");
    const after = await subject.cluster.stats();
    expect(after.fibers).toBe(2);
    expect(after.sockets).toBe(4);
    expect(after.accepted).toBeGreaterThanOrEqual(2);
    expect(after.bytesReceived - before.bytesReceived).toBe(12);
    expect(after.bytesSent - before.bytesSent).toBe(12);

    const local = open.map(({ socket }) => `read 127.0.0.1:${socket.localPort}`);
    const text = await subject.cluster.dump();
    expect(text).toMatch(
      /^worker 1\n {2}#\d+ serve \S+ waiting: read .*\nworker 2\n {2}#\d+ serve \S+ waiting: /,
    );
    for (const place of local) expect(text).toContain(place);
  });

  test("does not wait for a worker that computes beyond the deadline", async () => {
    await using subject = await Subject.start({ workers: 1 });
    const client = await subject.client();
    expect(await client.ask("compute")).toBe("computing");
    const error = await failureOf(subject.cluster.stats(deadline(20)));
    expect([error.name, error.syscall]).toEqual(["TimeoutError", "cluster stats"]);
    const fiber = spawn(() => subject.cluster.dump());
    fiber.cancel("enough");
    expect((await failureOf(fiber.join())).name).toBe("CancelledError");
    // It is terminated in the end, although it never hears that it is to close.
    await subject.cluster.close({ deadline: deadline(1) });
  });

  test("keeps its port while no worker listens", async () => {
    using folder = new TemporaryFolder();
    const data: ModuleData = { obstacle: folder.file("obstacle") };
    await using subject = await Subject.start({ workers: 1, data });
    const { port } = subject.cluster;
    writeFileSync(data.obstacle!, "");
    await (await subject.client()).askForTheEnd("exit");
    await pollUntil("it is dead", () => subject.cluster.listening === 0);
    const refused = await failureOf(connect({ host: "127.0.0.1", port }));
    expect(refused.code).toBe("ECONNREFUSED");
    const inUse = await failureOf(listen({ host: "127.0.0.1", port }));
    expect(inUse.code).toBe("EADDRINUSE");
  });
});

test("exceptions of handlers reach the main thread, with their class and details", async () => {
  await using subject = await Subject.start({ workers: 1 });
  await (await subject.client()).askForTheEnd("throw");
  await (await subject.client()).askForTheEnd("refused");
  await pollUntil("both are reported", () => subject.errors.length === 2);
  const [thrown, refused] = subject.errors.map(({ error }) => error);
  expect(thrown).toBeInstanceOf(RangeError);
  expect(thrown!.stack).toContain("cluster_module.ts");
  expect(refused).toBeInstanceOf(SocketError);
  expect(refused).toMatchObject({ code: "ECONNREFUSED", address: "127.0.0.1", port: 1 });
  expect(subject.cluster.restarts).toBe(0);
});

test("errors named like a property of every object arrive as errors", async () => {
  await using subject = await Subject.start({ workers: 1 });
  await (await subject.client()).askForTheEnd("throw strange names");
  await pollUntil("they are reported", () => subject.errors.length === 1);
  const { errors } = subject.errors[0]!.error as AggregateError;
  expect(errors.map(({ name }) => name)).toEqual(["constructor", "__proto__", "toString"]);
  for (const error of errors) expect(error).toBeInstanceOf(Error);
});

test("errors that have other errors arrive with them", async () => {
  await using subject = await Subject.start({ workers: 1 });
  await (await subject.client()).askForTheEnd("refused twice");
  await (await subject.client()).askForTheEnd("suppressed");
  await pollUntil("both are reported", () => subject.errors.length === 2);
  const [refused, first] = subject.errors.map(({ error }) => error);
  expect(refused).toMatchObject({
    name: "SocketError",
    code: "ECONNREFUSED",
    address: "localhost",
  });
  const { cause } = refused as { cause: AggregateError };
  expect(cause).toBeInstanceOf(AggregateError);
  for (const error of cause.errors) expect(error).toBeInstanceOf(SocketError);
  expect(cause.errors.map(({ address }) => address)).toEqual(["::1", "127.0.0.1"]);
  const { suppressed } = first as { suppressed?: Error[] };
  expect(suppressed?.map(String)).toEqual(["TypeError: second"]);
  expect(suppressed?.[0]).toBeInstanceOf(TypeError);
});

describe("closing a cluster", () => {
  test("refuses new connections at once, lets handlers end, and cleans up after them", async () => {
    using folder = new TemporaryFolder();
    const drained = folder.file("drained");
    await using subject = await Subject.start({ data: { drained } satisfies ModuleData });
    const clients = await subject.clients();
    const { port } = subject.cluster;
    let isClosed = false;
    const closing = subject.cluster.close().then(() => {
      isClosed = true;
    });
    expect(subject.cluster.closed).toBe(true);
    await pollUntil("no worker listens", async () => {
      const attempt = await connect({ host: "127.0.0.1", port }).catch((error: Error) => error);
      if (!(attempt instanceof Error)) attempt.close();
      return attempt instanceof SocketError && attempt.code === "ECONNREFUSED";
    });
    for (const client of clients.values()) expect(await client.ask("hello")).toBe("hello");
    expect(isClosed).toBe(false);
    expect(existsSync(`${drained}.1`)).toBe(false);
    for (const client of clients.values()) client.socket.close();
    await closing;
    for (const worker of [1, 2]) expect(existsSync(`${drained}.${worker}`)).toBe(true);
    expect(subject.errors).toEqual([]);
    expect([subject.cluster.listening, subject.cluster.restarts]).toEqual([0, 0]);
    await subject.cluster.close();
    const error = await failureOf(subject.cluster.stats());
    expect(error.code).toBe("ERR_SOCKET_CLOSED");
    // The port is free again.
    await using _next = await listen({ host: "127.0.0.1", port });
  });

  test("cleans up once, and to the end, however often close is called", async () => {
    using folder = new TemporaryFolder();
    const drained = folder.file("drained");
    const data: ModuleData = { drained, drainedAfter: 50 };
    await using subject = await Subject.start({ workers: 1, data });
    const { cluster } = subject;
    await Promise.all([cluster.close(), cluster.close(), cluster[Symbol.asyncDispose]()]);
    expect(existsSync(`${drained}.1`)).toBe(true);
  });

  test("cancels handlers at the deadline", async () => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    for (const client of clients.values()) expect(await client.ask("sleep")).toBe("asleep");
    await subject.cluster.close({ deadline: deadline(20) });
    for (const { socket } of clients.values()) expect(await readText(socket)).toBe("");
  });

  test("with a reason cancels the handlers of all workers, which can still say goodbye", async () => {
    await using subject = await Subject.start();
    const clients = [...(await subject.clients()).values()];
    for (const client of clients) expect(await client.ask("goodbye")).toBe("waiting");
    const cancel = new RangeError("closed for repairs");
    await subject.cluster.close({ cancel, deadline: deadline(8000) });
    for (const client of clients) {
      expect(await readText(client.socket)).toBe("goodbye: RangeError closed for repairs\n");
    }
    expect(subject.errors).toEqual([]);
  });

  test("ends the workers at once when its caller is cancelled", async () => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    const fiber = spawn(() => subject.cluster.close());
    expect(await clients.get(1)!.ask("hello")).toBe("hello");
    fiber.cancel("no time");
    expect((await failureOf(fiber.join())).name).toBe("CancelledError");
    for (const { socket } of clients.values()) expect(await readText(socket)).toBe("");
    expect(subject.cluster.listening).toBe(0);
  });

  test("ends them at once when its caller was cancelled before", async () => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    const fiber = spawn(async () => {
      await sleep(60_000).catch(() => undefined);
      return await failureOf(subject.cluster.close());
    });
    fiber.cancel("no time");
    expect(await fiber.join()).toMatchObject({ name: "CancelledError", cause: "no time" });
    for (const { socket } of clients.values()) expect(await readText(socket)).toBe("");
    expect(subject.cluster.listening).toBe(0);
  });

  test("at the end of a block throws nothing, although the fiber is cancelled", async () => {
    const fiber = spawn(async () => {
      await using subject = await Subject.start({ workers: 1 });
      const client = await subject.client();
      await client.ask("hello");
      await sleep(60_000).catch(() => undefined);
      return client;
    });
    await pollUntil("it sleeps", () => dump().includes("waiting: sleep"));
    fiber.cancel();
    const client = await fiber.join();
    expect(await readText(client.socket)).toBe("");
  });

  test("delivers data that was written before", async () => {
    await using subject = await Subject.start({ workers: 1 });
    const client = await subject.client();
    await client.socket.write("much\n");
    await client.socket.read(new Uint8Array(1));
    const closing = subject.cluster.close();
    expect((await drain(client.socket)).bytes).toBe(4_000_000 - 1);
    client.socket.close();
    await closing;
  });

  test("waits until sockets that are closed already have delivered their data", async () => {
    await using subject = await Subject.start({ workers: 1 });
    const { socket } = await subject.client();
    await socket.write("leave\n");
    await socket.read(new Uint8Array(1));
    let hasEnded = false;
    const closing = subject.cluster.close().then(() => {
      hasEnded = true;
    });
    // A worker that did not wait would have ended by now.
    await Promise.race([closing, sleep(500)]);
    expect(hasEnded).toBe(false);
    // The kernel answers with a reset when no process has the socket any more.
    await socket.write("unread");
    expect((await drain(socket)).bytes).toBe(500_000 - 1);
    socket.close();
    await closing;
  });

  test("ends workers that are dead or starting", async () => {
    using folder = new TemporaryFolder();
    const data: ModuleData = { obstacle: folder.file("obstacle") };
    await using subject = await Subject.start({ data });
    const clients = await subject.clients();
    writeFileSync(data.obstacle!, "");
    await clients.get(1)!.askForTheEnd("exit");
    await pollUntil("it is dead", () => subject.errors.length > 0);
    clients.get(2)!.socket.close();
    await subject.cluster.close();
    const told = subject.errors.length;
    await sleep(150);
    expect(subject.errors.length).toBe(told);
  });
});

describe("a process with a cluster", () => {
  const start = `
    const served = await cluster({
      module: ${JSON.stringify(modulePath)}, workers: 2, host: "127.0.0.1", port: 0,
    });
  `;

  test("stays alive, and ends when the cluster is closed", async () => {
    await using program = new Program(
      `
      ${start}
      setTimeout(() => console.log("alive"), 100).unref();
      process.stdin.once("data", async () => {
        process.stdin.pause();
        await served.close();
        console.log("closed");
      });
      process.stdin.unref?.();
    `,
      { bound },
    );
    expect(await program.line()).toBe("alive");
    program.process.stdin.write("close\n");
    await program.process.stdin.flush();
    expect(await program.line()).toBe("closed");
    expect(await program.process.exited).toBe(0);
  });

  test("ends its workers when it is loaded anew by bun --hot", async () => {
    await using program = new Program(
      `
        ${start}
        const workers = new Set();
        for (let attempt = 0; workers.size < 2 && attempt < 200; attempt++) {
          const socket = await connect({ host: "127.0.0.1", port: served.port });
          await socket.write("who\\n");
          workers.add(/thread \\d+/.exec(new TextDecoder().decode(await socket.next()))[0]);
          socket.close();
        }
        const left = globalThis.before === undefined ? [] : await globalThis.before();
        globalThis.before = async () => {
          while (served.listening > 0) await Bun.sleep(5);
          return [served.closed, served.listening];
        };
        console.log(workers.size, ...left);
      `,
      { arguments: ["--hot", "--no-clear-screen"], bound },
    );
    expect(await program.line()).toBe("2");
    for (let round = 0; round < 2; round++) {
      // Bun may overlook a change that comes while it reads the file.
      const timer = setInterval(() => appendFileSync(program.path, `// ${round}\n`), 1000);
      appendFileSync(program.path, `// ${round}\n`);
      expect(await program.line()).toBe("2 true 0");
      clearInterval(timer);
    }
  });

  test("ends when the cluster is unref'd, or could not start", async () => {
    const { stdout, stderr, exitCode } = await runProgram(
      `
      ${start}
      served.unref().ref().unref();
      const failed = await cluster({ module: "/nonexistent", workers: 2, port: 0 }).catch(String);
      console.log(failed.includes("/nonexistent"));
    `,
      { bound },
    );
    expect(stderr).toBe("");
    expect(stdout).toBe("true");
    expect(exitCode).toBe(0);
  });

  test("holds no more descriptors after a cluster than before", async () => {
    const { stdout, stderr } = await runProgram(
      `
      import { readdirSync } from "node:fs";
      const held = () => readdirSync("/dev/fd").length;
      async function once() {
        ${start}
        const socket = await connect({ host: "127.0.0.1", port: served.port });
        await socket.write("hello\\n");
        await socket.next();
        socket.close();
        await served.close();
      }
      for (let count = 0; count < 2; count++) await once();
      await sleep(100);
      const before = held();
      for (let count = 0; count < 4; count++) await once();
      const end = now() + 2000;
      while (held() > before && now() < end) await sleep(5);
      console.log(held() <= before ? "no more" : before + " before, " + held() + " after");
      process.exit(0);
    `,
      { bound },
    );
    expect(stderr).toBe("");
    expect(stdout).toBe("no more");
  });
});
