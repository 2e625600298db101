/** One scheduler in each of several Workers, behind one port. */

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, existsSync, rmSync, writeFileSync } from "node:fs";
import {
  type Cluster,
  type ClusterOptions,
  cluster,
  connect,
  deadline,
  listen,
  type Socket,
  SocketError,
  sleep,
  spawn,
  stats,
  tlsContext,
  WorkerError,
} from "../index.ts";
import { certificates } from "./support/certificates.ts";
import type { ModuleData } from "./support/cluster_module.ts";
import { failureOf } from "./support/failure.ts";
import { isInstalled } from "./support/installed_program.ts";
import { linesOf } from "./support/lines.ts";
import { expectMistake, mistakeIn } from "./support/mistakes.ts";
import { pollUntil } from "./support/poll.ts";
import { Program, runProgram } from "./support/programs.ts";
import { drain, readText } from "./support/receiving.ts";
import { TemporaryFolder } from "./support/temporary_folder.ts";
import { dialTls, presenting } from "./support/tls_pair.ts";

/** Each worker is a VM, which takes a busy machine a second to start. */
const bound = 30_000;
setDefaultTimeout(bound);

const modulePath = `${import.meta.dir}/support/cluster_module.ts`;

/** What a cluster has told, and the cluster. */
class Subject implements AsyncDisposable {
  readonly errors: { error: Error; worker: number }[] = [];
  readonly restarts: [worker: number, restarts: number][] = [];
  cluster!: Cluster;

  static async start(options: Partial<ClusterOptions> = {}): Promise<Subject> {
    const subject = new Subject();
    subject.cluster = await cluster({
      module: modulePath,
      workers: 2,
      host: "127.0.0.1",
      port: 0,
      onError: (error, worker) => subject.errors.push({ error: error as Error, worker }),
      onRestart: (worker, restarts) => subject.restarts.push([worker, restarts]),
      ...options,
    });
    return subject;
  }

  client(): Promise<Client> {
    return Client.connect(this.cluster.port);
  }

  /** A client of each worker, by the worker's number. */
  async clients(): Promise<Map<number, Client>> {
    const clients = new Map<number, Client>();
    // The kernel chooses by a hash of the ports: with two workers it would take bad luck of 2^-200.
    for (let attempt = 0; clients.size < this.cluster.workers && attempt < 200; attempt++) {
      const client = await this.client();
      const worker = Number.parseInt(await client.ask("who"), 10);
      if (clients.has(worker)) client.socket.close();
      else clients.set(worker, client);
    }
    expect([...clients.keys()].sort()).toEqual(
      Array.from({ length: this.cluster.workers }, (_, index) => index + 1),
    );
    return clients;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

class Client {
  readonly socket: Socket;
  readonly #lines: AsyncGenerator<string>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#lines = linesOf(socket);
  }

  static async connect(port: number): Promise<Client> {
    return new Client(await connect({ host: "127.0.0.1", port, deadline: deadline(4000) }));
  }

  async ask(command: string): Promise<string> {
    await this.socket.write(`${command}\n`);
    return (await this.#lines.next()).value;
  }

  /** Sends what ends the connection, and waits until it has. */
  async askForTheEnd(command: string): Promise<void> {
    await this.socket.write(`${command}\n`);
    await this.#lines.next().catch(() => {});
  }
}

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

  test("has as many workers as there are processors, at all addresses, if nothing else is said", async () => {
    await using subject = await Subject.start({ workers: undefined, host: undefined });
    expect(subject.cluster.workers).toBe(navigator.hardwareConcurrency);
    expect(["::", "0.0.0.0"]).toContain(subject.cluster.address);
    expect(await (await subject.client()).ask("hello")).toBe("hello");
  });

  test("takes the module as a URL, as its text, and by its name before a bundler has changed it", async () => {
    const url = new URL("./support/cluster_module.ts", import.meta.url);
    const unchanged = new URL("./support/cluster_module.js", import.meta.url);
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
      /^worker 1\n {2}#\d+ serve waiting: read .*\nworker 2\n {2}#\d+ serve waiting: /,
    );
    for (const place of local) expect(text).toContain(place);
  });

  test("waits no longer for a worker that computes than it is told to", async () => {
    await using subject = await Subject.start({ workers: 1 });
    const client = await subject.client();
    expect(await client.ask("compute")).toBe("computing");
    const error = await failureOf(subject.cluster.stats(deadline(20)));
    expect([error.name, error.syscall]).toEqual(["TimeoutError", "cluster stats"]);
    const fiber = spawn(() => subject.cluster.dump());
    fiber.cancel("enough");
    expect((await failureOf(fiber.join())).name).toBe("CancelledError");
    // It is ended at last, although it never hears that it is to close.
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

describe("a worker that dies", () => {
  test.each([
    ["exit", 5, undefined],
    ["uncaught", expect.any(Number), "thrown by a timer"],
    ["unhandled", expect.any(Number), "nobody's rejection"],
  ])("by %s is restarted and reported, and the others go on", async (command, exitCode, thrown) => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    await clients.get(1)!.askForTheEnd(command);
    await pollUntil("it is restarted", () => subject.restarts.length > 0);

    expect(subject.restarts).toEqual([[1, 1]]);
    expect(subject.errors).toHaveLength(1);
    const [{ error, worker }] = subject.errors as [{ error: WorkerError; worker: number }];
    expect(error).toBeInstanceOf(WorkerError);
    expect([worker, error.worker, error.exitCode]).toEqual([1, 1, exitCode]);
    const cause = error.cause as Error | undefined;
    expect(cause?.message).toBe(thrown);
    if (thrown !== undefined) {
      expect(cause).toBeInstanceOf(RangeError);
      expect(cause?.stack).toContain("cluster_module.ts");
    }
    expect(await clients.get(2)!.ask("still there")).toBe("still there");
    await subject.clients();
    expect([subject.cluster.listening, subject.cluster.restarts]).toEqual([2, 1]);
  });

  test("without onError is reported on stderr, and the process lives", async () => {
    const { stdout, stderr, exitCode } = await runProgram(
      `
      const served = await cluster({
        module: ${JSON.stringify(modulePath)}, workers: 1, host: "127.0.0.1", port: 0,
        onRestart: async (worker, restarts) => {
          console.log("restarted", worker, restarts);
          await served.close();
        },
      });
      const socket = await connect({ host: "127.0.0.1", port: served.port });
      await socket.write("throw\\n");
    `,
      { bound },
    );
    expect(stderr).toContain("plait: worker 1:");
    expect(stderr).toContain("worker 1 has died: RangeError: thrown by a handler");
    expect(stdout).toBe("restarted 1 1");
    expect(exitCode).toBe(0);
  });

  test("is restarted again and again until it can be", async () => {
    using folder = new TemporaryFolder();
    const data: ModuleData = { obstacle: folder.file("obstacle") };
    await using subject = await Subject.start({ data });
    const clients = await subject.clients();
    writeFileSync(data.obstacle!, "");
    await clients.get(2)!.askForTheEnd("exit");
    await pollUntil("it has failed to start", () => subject.errors.length >= 3);
    expect(subject.restarts).toEqual([]);
    expect(await clients.get(1)!.ask("still there")).toBe("still there");
    const failed = subject.errors.slice(1).map(({ error }) => error.cause as Error);
    for (const cause of failed) {
      expect(cause).toBeInstanceOf(RangeError);
      expect(cause.message).toBe("there is an obstacle");
    }
    rmSync(data.obstacle!);
    await pollUntil("it is restarted", () => subject.restarts.length === 1);
    await subject.clients();
  });
});

test("what handlers throw is told in the main thread, with its class and all that it says", async () => {
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
    await pollUntil("nobody listens", async () => {
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

  test("cancels what runs at the deadline", async () => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    for (const client of clients.values()) expect(await client.ask("sleep")).toBe("asleep");
    await subject.cluster.close({ deadline: deadline(20) });
    for (const { socket } of clients.values()) expect(await readText(socket)).toBe("");
  });

  test("ends the workers at once when whoever waits for it is cancelled", async () => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    const fiber = spawn(() => subject.cluster.close());
    expect(await clients.get(1)!.ask("hello")).toBe("hello");
    fiber.cancel("no time");
    expect((await failureOf(fiber.join())).name).toBe("CancelledError");
    for (const { socket } of clients.values()) expect(await readText(socket)).toBe("");
    expect(subject.cluster.listening).toBe(0);
  });

  test("delivers what was written before", async () => {
    await using subject = await Subject.start({ workers: 1 });
    const client = await subject.client();
    await client.socket.write("much\n");
    await client.socket.read(new Uint8Array(1));
    const closing = subject.cluster.close();
    expect((await drain(client.socket)).bytes).toBe(4_000_000 - 1);
    client.socket.close();
    await closing;
  });

  test("ends workers that are dead or starting as well", async () => {
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

describe("a cluster that cannot start", () => {
  const failing: [name: string, source: string, expected: RegExp, kind: new () => Error][] = [
    [
      "whose module throws",
      `throw new RangeError("top level");`,
      /^top level$/,
      RangeError as never,
    ],
    [
      "whose setup rejects",
      `export default () => {}; export const setup = async () => { throw new RangeError("set-up"); };`,
      /^set-up$/,
      RangeError as never,
    ],
    [
      "without a handler",
      `export const handler = () => {};`,
      /default export of .*module.ts/,
      TypeError as never,
    ],
    [
      "with a setup that is none",
      `export default () => {}; export const setup = 1;`,
      /setup is a function/,
      TypeError as never,
    ],
    [
      "whose module exits",
      `process.exit(3);`,
      /^worker \d has ended with exit code 3 before it listened: .*module.ts/,
      WorkerError as never,
    ],
    [
      "that starts itself",
      `
      import { cluster } from ${JSON.stringify(`${import.meta.dir}/../index.ts`)};
      export default () => {};
      await cluster({ module: import.meta.path, port: 0 });
    `,
      /inside a worker of a cluster/,
      Error,
    ],
  ];

  test.each(failing)(
    "%s, rejects with its error and leaves nothing",
    async (_name, source, expected, kind) => {
      using folder = new TemporaryFolder();
      const module = folder.file("module.ts");
      writeFileSync(module, source);
      const before = stats().sockets;
      const error = await failureOf(Subject.start({ module }));
      expect(error.message).toMatch(expected);
      expect(error).toBeInstanceOf(kind);
      if (!(error instanceof WorkerError))
        expect(error.stack).toMatch(/module\.ts|worker\.ts|cluster/);
      expect(stats().sockets).toBe(before);
    },
  );

  test("whose module is not there, says so", async () => {
    const error = await failureOf(Subject.start({ module: "/nonexistent/module.ts" }));
    expect(error.message).toContain("/nonexistent/module.ts");
  });

  test("whose port is taken, says so", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    const error = await failureOf(Subject.start({ port: listener.port }));
    expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen", port: listener.port });
  });

  test("whose fiber is cancelled, ends its workers", async () => {
    const before = stats().sockets;
    const fiber = spawn(() => Subject.start());
    await sleep(5);
    fiber.cancel("never mind");
    expect((await failureOf(fiber.join())).name).toBe("CancelledError");
    expect(stats().sockets).toBe(before);
  });

  const valid = { module: modulePath, port: 0 };
  const tls = (options: object) => ({ ...valid, tls: options });
  test.each([
    [TypeError, /no option "path"/, { module: modulePath, path: "/tmp/x" }],
    [TypeError, /no option "fd"/, { ...valid, fd: 3 }],
    [TypeError, /a port is a whole number/, { module: modulePath }],
    [RangeError, /port is between/, { ...valid, port: 70_000 }],
    [TypeError, /module is a file: URL/, { ...valid, module: "./handler.ts" }],
    [TypeError, /module is a file: URL/, { ...valid, module: new URL("http://localhost/x") }],
    [RangeError, /workers is between 1 and/, { ...valid, workers: 0 }],
    [TypeError, /workers is a whole number/, { ...valid, workers: "2" }],
    [RangeError, /maxConnections/, { ...valid, maxConnections: 0 }],
    [TypeError, /onError is a function/, { ...valid, onError: 1 }],
    [TypeError, /onRestart is a function/, { ...valid, onRestart: 1 }],
    [TypeError, /data cannot be cloned/, { ...valid, data: { call() {} } }],
    [TypeError, /tls.onKeyLog is a function/, tls({ onKeyLog: () => {} })],
    [TypeError, /tls.sni is a function/, tls({ sni: () => undefined })],
    [TypeError, /tls is an object/, tls(1 as never)],
    [TypeError, /no option "certificate"/, tls({ certificate: "x" })],
  ])("for a mistake is a %p that says %p", async (kind, about, options) => {
    expectMistake(
      await mistakeIn(() => cluster(options as never)),
      kind as typeof TypeError,
      about,
    );
  });

  test("for the context of another thread, says what to give instead", async () => {
    const context = tlsContext({});
    for (const options of [context, { context }, { sni: { "a.example": context } }]) {
      const error = await mistakeIn(() => cluster(tls(options) as never));
      expectMistake(error, TypeError, /belongs to its thread/);
    }
  });
});

describe.skipIf(!isInstalled("openssl"))("a cluster with TLS", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  async function subjectFor(port: number): Promise<string | undefined> {
    await using socket = await dialTls(port);
    return socket.tls?.certificate?.subject.replace("CN=plait test ", "");
  }

  test("serves it from every worker, and renews it in all, those that come later included", async () => {
    await using subject = await Subject.start({ tls: presenting(made.p256) });
    const { port } = subject.cluster;
    const first = await subjectFor(port);
    for (let count = 0; count < 20; count++) expect(await subjectFor(port)).toBe(first!);
    await subject.cluster.setTls(presenting(made.rsa));
    const second = await subjectFor(port);
    expect(second).not.toBe(first);
    for (let count = 0; count < 20; count++) expect(await subjectFor(port)).toBe(second!);

    await new Client(await dialTls(port)).askForTheEnd("exit");
    await pollUntil("it is restarted", () => subject.restarts.length === 1);
    for (let count = 0; count < 20; count++) expect(await subjectFor(port)).toBe(second!);

    expectMistake(
      await mistakeIn(() => subject.cluster.setTls({ onKeyLog: () => {} })),
      TypeError,
      /setTls.onKeyLog is a function/,
    );
    expect((await failureOf(subject.cluster.setTls({ cert: "/nowhere" }))).name).toBe("TlsError");
    expect(await subjectFor(port)).toBe(second!);
  });

  test("is renewed only if it is one", async () => {
    await using plain = await Subject.start({ workers: 1 });
    const error = await failureOf(plain.cluster.setTls(presenting(made.rsa)));
    expect(error.message).toContain("without tls");
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

  test("has none of its workers when it is loaded anew by bun --hot", async () => {
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

  test("ends while the cluster is unref'd, or failed to start", async () => {
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
