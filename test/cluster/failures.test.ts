/** Workers of a cluster that die, and clusters that cannot start. */

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { cluster, listen, sleep, spawn, stats, tlsContext, WorkerError } from "../../index.ts";
import type { ModuleData } from "../support/cluster_module.ts";
import { bound, modulePath, Subject } from "../support/cluster_subject.ts";
import { failureOf } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

setDefaultTimeout(bound);

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

  test("by terminate() is restarted and reported too", async () => {
    const threads: Worker[] = [];
    const remember = (thread: unknown): void => void threads.push(thread as Worker);
    process.on("worker", remember);
    await using subject = await Subject.start();
    process.off("worker", remember);
    expect(threads).toHaveLength(2);
    const clients = await subject.clients();
    threads[1]!.terminate();
    expect(await readText(clients.get(2)!.socket)).toBe("");
    await pollUntil("it is restarted", () => subject.restarts.length > 0);
    expect(subject.restarts).toEqual([[2, 1]]);
    expect(subject.errors.map(({ error, worker }) => [error.name, worker])).toEqual([
      ["WorkerError", 2],
    ]);
    expect(await clients.get(1)!.ask("still there")).toBe("still there");
    await subject.clients();
  });

  test.each([
    ["uncaught", "worker 1 has died: RangeError: thrown by a timer"],
    ["exit", "worker 1 has ended with exit code 5"],
  ])("by %s while it drains is reported, and the cluster closes", async (command, message) => {
    await using subject = await Subject.start();
    const clients = await subject.clients();
    const closing = subject.cluster.close();
    await clients.get(1)!.askForTheEnd(command);
    clients.get(2)!.socket.close();
    await closing;
    expect(subject.errors.map(({ error, worker }) => [error.message, worker])).toEqual([
      [message, 1],
    ]);
    expect(subject.restarts).toEqual([]);
  });

  test("is restarted until it can be", async () => {
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
      "with a setup that is not a function",
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
      import { cluster } from ${JSON.stringify(`${import.meta.dir}/../../index.ts`)};
      export default () => {};
      await cluster({ module: import.meta.path, port: 0 });
    `,
      /inside a worker of a cluster/,
      Error,
    ],
  ];

  test.each(failing)(
    "%s, rejects with that error and leaves nothing behind",
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

  test("whose module is missing, says so", async () => {
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

  test("since its thread is in block(), says so and leaves nothing behind", async () => {
    const { stdout, stderr, exitCode } = await runProgram(
      `
      const options = {
        module: ${JSON.stringify(modulePath)}, workers: 2, host: "127.0.0.1", port: 0,
        onError: (error) => console.log("told", error),
        onRestart: () => console.log("restarted"),
      };
      try {
        block(() => cluster(options));
      } catch (error) {
        console.log(error.message);
      }
      // Nothing keeps the process alive when the workers have ended.
      process.on("exit", () => console.log(stats().sockets, stats().fibers));
    `,
      { bound },
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^block\(\): nothing is left that could wake a fiber.*\n0 0$/);
    expect(exitCode).toBe(0);
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
    [RangeError, /maxHandshakes/, { ...valid, maxHandshakes: 0 }],
    [TypeError, /onError is a function/, { ...valid, onError: 1 }],
    [TypeError, /onRestart is a function/, { ...valid, onRestart: 1 }],
    [TypeError, /data cannot be cloned/, { ...valid, data: { call() {} } }],
    [TypeError, /tls.onKeyLog is a function/, tls({ onKeyLog: () => {} })],
    [TypeError, /tls.sni is a function/, tls({ sni: () => undefined })],
    [TypeError, /tls takes an object/, tls(1 as never)],
    [TypeError, /no option "certificate"/, tls({ certificate: "x" })],
  ])("for a mistake is a %p that says %p", async (kind, about, options) => {
    expectMistake(
      await mistakeIn(() => cluster(options as never)),
      kind as typeof TypeError,
      about,
    );
  });

  test("because it was given a context of this thread, says what to give instead", async () => {
    const context = tlsContext({});
    for (const options of [context, { context }, { sni: { "a.example": context } }]) {
      const error = await mistakeIn(() => cluster(tls(options) as never));
      expectMistake(error, TypeError, /belongs to its thread/);
    }
  });
});
