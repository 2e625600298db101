/** The signal at which a live process prints its state. */

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { installDumpSignal } from "../../index.ts";
import { thrownBy } from "../support/failure.ts";
import { expectMistake } from "../support/mistakes.ts";
import { runProgram, withImports } from "../support/programs.ts";
import { RunningProgram } from "../support/running_program.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

/** A program that prints "ready", and its process. */
class Subject extends TemporaryFolder implements AsyncDisposable {
  program!: RunningProgram;

  static async start(source: string, env: Record<string, string> = {}): Promise<Subject> {
    const subject = new Subject();
    const path = subject.file("program.ts");
    writeFileSync(path, withImports(source));
    const command = [process.execPath, path];
    subject.program = await RunningProgram.start(command, /^ready$/m, { env });
    return subject;
  }

  signal(name: NodeJS.Signals = "SIGUSR1"): void {
    this.program.child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    this[Symbol.dispose]();
  }
}

const header = /^plait: the main thread of process (\d+), \d{4}-\d\d-\d\dT.*Z$/m;

describe("a dump at a signal", () => {
  test.each([
    ["attached", (main: string) => `spawn(${main});`],
    ["under block", (main: string) => `block(${main});`],
  ])("is printed each time that it comes, %s", async (_name, run) => {
    await using subject = await Subject.start(`
      installDumpSignal();
      ${run(`async function waiting() {
        const listener = await listen({ host: "127.0.0.1", port: 0 });
        spawn(async function second() { await park(); });
        console.log("ready");
        await listener.accept();
      }`)}
    `);
    for (const round of [1, 2, 3]) {
      subject.signal();
      const times = new RegExp(
        `(?:#1 waiting waiting: accept.*\\n +#2 second waiting: park[\\s\\S]*?){${round}}`,
      );
      await subject.program.printed(times);
    }
    const { output, child } = subject.program;
    expect(header.exec(output)?.[1]).toBe(String(child.pid));
    expect(output).toContain("  fibers 2, fibersStarted 2, waiters 1, sockets 1, lingering 0,");
    expect(child.exitCode).toBeNull();
  });

  test("comes as soon as a busy thread waits", async () => {
    await using subject = await Subject.start(`
      installDumpSignal();
      spawn(async function busy() {
        console.log("ready");
        // When this returns, the signal was handled, and the thread has not waited since.
        Bun.spawnSync(["kill", "-USR1", String(process.pid)]);
        console.log("printed nothing yet");
        await sleep(60_000);
      });
    `);
    await subject.program.printed(/printed nothing yet/);
    await subject.program.printed(/#1 busy waiting: sleep/);
  });

  test("comes at each of several signals, once, however often they are installed", async () => {
    await using subject = await Subject.start(`
      installDumpSignal();
      installDumpSignal("SIGUSR2");
      installDumpSignal();
      installDumpSignal("SIGUSR2");
      spawn(async function sleeper() { console.log("ready"); await sleep(60_000); });
    `);
    const { program } = subject;
    for (const [round, signal] of (["SIGUSR1", "SIGUSR2", "SIGUSR1"] as const).entries()) {
      subject.signal(signal);
      await program.printed(new RegExp(`(sleeper waiting: sleep[^]*){${round + 1}}`));
    }
    expect(program.output.match(/sleeper waiting/g)).toHaveLength(3);
    expect(program.child.exitCode).toBeNull();
  });

  test("that cannot be installed leaves the signal as it was", async () => {
    const { stdout, exitCode } = await runProgram(
      `
      import { closeSync, openSync } from "node:fs";
      const taken = [];
      try {
        for (;;) taken.push(openSync("/dev/null"));
      } catch {}
      try {
        installDumpSignal("SIGUSR2");
      } catch (error) {
        console.log(error.name, error.code, error.syscall, process.listenerCount("SIGUSR2"));
      }
      for (const descriptor of taken) closeSync(descriptor);
      // Its default action ends the process.
      process.kill(process.pid, "SIGUSR2");
      setTimeout(() => console.log("alive"), 1000);
    `,
      { within: ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"] },
    );
    expect(stdout).toBe("SocketError EMFILE signal 0");
    expect(exitCode).toBeNull();
  });

  test("is switched on by the environment", async () => {
    await using subject = await Subject.start(
      `spawn(async function sleeper() { console.log("ready"); await sleep(60_000); });`,
      { PLAIT_DUMP_SIGNAL: "SIGUSR2" },
    );
    subject.signal("SIGUSR2");
    await subject.program.printed(/#1 sleeper waiting: sleep/);
  });

  test("is printed whole, whatever its length", async () => {
    await using subject = await Subject.start(`
      installDumpSignal("SIGQUIT");
      for (let index = 0; index < 10_000; index++) spawn(() => sleep(60_000), { name: "sleeper" });
      console.log("ready");
    `);
    subject.signal("SIGQUIT");
    await subject.program.printed(/#10000 sleeper waiting: sleep, .* s\n/);
    expect(subject.program.output.match(/sleeper waiting/g)).toHaveLength(10_000);
  });

  test("has every thread that has installed it, under either driver, and none that has ended", async () => {
    const source = `
      import { installDumpSignal, sleep, spawn, block } from ${JSON.stringify(`${import.meta.dir}/../../index.ts`)};
      installDumpSignal();
      const main = async function inWorker() { postMessage("begun"); await sleep(60_000); };
      if (process.argv.includes("block")) block(main); else spawn(main);
    `;
    await using subject = await Subject.start(`
      import { writeFileSync } from "node:fs";
      const path = import.meta.dir + "/worker.ts";
      writeFileSync(path, ${JSON.stringify(source)});
      installDumpSignal();
      const start = async (...argv) => {
        const worker = new Worker(path, { argv });
        await new Promise((resolve) => { worker.onmessage = resolve; });
        return worker;
      };
      const ended = async (worker) => {
        const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
        worker.terminate();
        await closed;
      };
      for (let index = 0; index < 3; index++) await ended(await start());
      await start();
      await start("block");
      spawn(async function inMain() { console.log("ready"); await sleep(60_000); });
    `);
    subject.signal();
    await subject.program.printed(/(?:inWorker waiting: sleep[\s\S]*){2}/);
    await subject.program.printed(/inMain waiting: sleep/);
    const threads = subject.program.output.match(/^plait: .* of process/gm)?.sort();
    expect(threads).toEqual([
      "plait: the main thread of process",
      "plait: thread 4 of process",
      "plait: thread 5 of process",
    ]);
  });

  test("comes from a cluster's workers too, also from those that start later", async () => {
    const module = join(import.meta.dir, "..", "support", "cluster_module.ts");
    await using subject = await Subject.start(`
      const served = await cluster({
        module: ${JSON.stringify(module)}, workers: 2, host: "127.0.0.1", port: 0, onError() {},
        onRestart: () => console.log("restarted"),
      });
      installDumpSignal("SIGUSR2");
      const socket = await connect({ host: "127.0.0.1", port: served.port });
      await socket.write("who\\n");
      console.log("served by", new TextDecoder().decode(await socket.next()).trim());
      process.stdin.once("data", () => socket.write("exit\\n"));
      console.log("ready");
    `);
    const { program } = subject;
    const [, served, other] =
      /served by (\d).*/.exec(program.output)?.[1] === "1" ? [0, 1, 2] : [0, 2, 1];
    subject.signal("SIGUSR2");
    await program.printed(/^plait: the main thread of/m);
    await program.printed(new RegExp(`^plait: worker ${other} \\(thread \\d+\\) of process`, "m"));
    await program.printed(
      new RegExp(
        `^plait: worker ${served} .*\\n.*accepted 1, .*\\n {2}#1 serve \\S+ waiting: read`,
        "m",
      ),
    );
    await program.type("exit\n");
    await program.printed(/restarted/);
    subject.signal("SIGUSR2");
    await program.printed(new RegExp(`(?:plait: worker ${served} [\\s\\S]*){2}`));
  }, 20_000);

  test("that cannot be installed in a cluster's worker does not stop it", async () => {
    const module = join(import.meta.dir, "..", "support", "cluster_module.ts");
    const { stdout, stderr } = await runProgram(
      `
      import { closeSync, openSync } from "node:fs";
      const served = await cluster({
        module: ${JSON.stringify(module)}, workers: 1, host: "127.0.0.1", port: 0,
        onError: (error) => console.log(error.name, error.code, error.syscall),
      });
      const socket = await connect({ host: "127.0.0.1", port: served.port });
      await socket.write("hello\\n");
      await socket.next();
      const taken = [];
      try {
        for (;;) taken.push(openSync("/dev/null"));
      } catch {}
      // Two descriptors are left, which the main thread takes.
      for (const descriptor of taken.splice(0, 2)) closeSync(descriptor);
      installDumpSignal();
      await socket.write("still there\\n");
      console.log(new TextDecoder().decode(await socket.next()).trim());
      await served.stats();
      process.exit();
    `,
      { within: ["sh", "-c", 'ulimit -n 128; exec "$@"', "sh"], bound: 10_000 },
    );
    expect(stderr).toBe("");
    expect(stdout.split("\n").toSorted()).toEqual(["SocketError EMFILE signal", "still there"]);
  }, 20_000);

  test("does not disturb listeners of process.on, nor they it", async () => {
    await using subject = await Subject.start(`
      const early = () => console.log("early listener");
      const late = () => console.log("late listener");
      process.on("SIGUSR1", early);
      installDumpSignal();
      process.on("SIGUSR1", late);
      process.stdin.once("data", () => {
        process.off("SIGUSR1", early);
        process.off("SIGUSR1", late);
        console.log("listeners are gone");
      });
      spawn(async function sleeper() { console.log("ready"); await sleep(60_000); });
    `);
    const { program } = subject;
    subject.signal();
    for (const pattern of [/early listener/, /late listener/, /sleeper waiting: sleep/]) {
      await program.printed(pattern);
    }
    await program.type("go\n");
    await program.printed(/listeners are gone/);
    subject.signal();
    await program.printed(/(?:sleeper waiting[\s\S]*){2}/);
    expect(program.output.match(/ listener$/gm)).toHaveLength(2);
  });

  test("does not keep the process alive, and block still finds a deadlock", async () => {
    const { stdout, stderr, exitCode } = await runProgram(`
      installDumpSignal();
      console.log(stats().waiters, stats().sockets, dump() === "");
      try {
        block(() => spawn(() => park()).join());
      } catch (error) {
        console.log(error.message);
      }
    `);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^0 0 true\nblock\(\): nothing is left that could wake a fiber/);
    expect(exitCode).toBe(0);
  });

  test("is refused for values that are not signals, and for signals with another use", async () => {
    expectMistake(
      thrownBy(() => installDumpSignal(10 as never)),
      TypeError,
      /signal's name/,
    );
    for (const name of ["SIGKILL", "SIGSEGV", "SIGPWR", "USR1", ""]) {
      expectMistake(
        thrownBy(() => installDumpSignal(name as never)),
        RangeError,
        /one of SIGUSR1,/,
      );
    }
    const { stderr, exitCode } = await runProgram("stats();", {
      env: { PLAIT_DUMP_SIGNAL: "usr1" },
    });
    expect(stderr).toContain("PLAIT_DUMP_SIGNAL is one of SIGUSR1,");
    expect(exitCode).toBe(1);
  });
});
