/** Waiting for the process's signals. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { deadline, dump, type Signals, scope, signals, sleep, spawn, stats } from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake } from "../support/mistakes.ts";
import { Program, runProgram } from "../support/programs.ts";
import { quietStats } from "../support/quiet_stats.ts";
import { WorkerProgram } from "../support/worker_program.ts";

const send = (name: NodeJS.Signals): void => void process.kill(process.pid, name);

describe("signals", () => {
  test("come to the fibers that wait, in their order", async () => {
    using caught = signals("SIGUSR2", "SIGWINCH");
    const heard: string[] = [];
    await scope(async (s) => {
      for (const name of ["first", "second"]) {
        s.spawn(async () => heard.push(`${name} ${await caught.next(deadline(5000))}`));
      }
      expect(dump()).toContain("waiting: signal SIGUSR2 SIGWINCH, ");
      send("SIGWINCH");
      while (heard.length === 0) await sleep(1);
      expect(heard).toEqual(["first SIGWINCH"]);
      send("SIGUSR2");
    });
    expect(heard).toEqual(["first SIGWINCH", "second SIGUSR2"]);
  });

  test("that come while no fiber waits are kept", async () => {
    using caught = signals("SIGUSR2", "SIGWINCH");
    using all = signals("SIGUSR2", "SIGWINCH");
    for (const name of ["SIGUSR2", "SIGWINCH"] as const) {
      send(name);
      expect(await all.next(deadline(5000))).toBe(name);
    }
    expect([await caught.next(), await caught.next()]).toEqual(["SIGUSR2", "SIGWINCH"]);
    expect(await failureOf(caught.next(deadline(10)))).toMatchObject({
      code: "ETIMEDOUT",
      syscall: "signal",
    });
  });

  test("a wait that is cancelled or late takes no signal", async () => {
    using caught = signals("SIGUSR2");
    const cancelled = spawn(() => caught.next());
    const late = spawn(() => caught.next(deadline(1)));
    const patient = spawn(() => caught.next(deadline(5000)));
    cancelled.cancel("enough");
    expect(await failureOf(cancelled.join())).toMatchObject({ code: "ECANCELED", cause: "enough" });
    expect(await failureOf(late.join())).toMatchObject({ code: "ETIMEDOUT" });
    send("SIGUSR2");
    expect(await patient.join()).toBe("SIGUSR2");
  });

  test("closing ends the waits and the iteration, and leaves nothing behind", async () => {
    const before = await quietStats();
    const caught: Signals = signals("SIGUSR2");
    const heard: string[] = [];
    const iteration = spawn(async () => {
      for await (const name of caught) heard.push(name);
    });
    const waiting = spawn(() => caught.next());
    send("SIGUSR2");
    while (heard.length === 0) await sleep(1);
    caught.close();
    caught.close();
    expect(caught.closed).toBe(true);
    expect(await waiting.join()).toBeNull();
    await iteration.join();
    expect(await caught.next()).toBeNull();
    expect(heard).toEqual(["SIGUSR2"]);
    const { fibers, waiters, sockets } = await quietStats();
    expect({ fibers, waiters, sockets }).toMatchObject({
      fibers: before.fibers,
      waiters: before.waiters,
      sockets: before.sockets,
    });
  });

  test("leave the handlers of process.on as they were", async () => {
    const heard: string[] = [];
    const early = (): unknown => heard.push("early");
    const late = (): unknown => heard.push("late");
    process.on("SIGUSR2", early);
    try {
      const listeners = process.listenerCount("SIGUSR2");
      {
        using caught = signals("SIGUSR2");
        process.on("SIGUSR2", late);
        send("SIGUSR2");
        expect(await caught.next(deadline(5000))).toBe("SIGUSR2");
        while (heard.length < 2) await sleep(1);
        process.off("SIGUSR2", late);
      }
      expect(process.listenerCount("SIGUSR2")).toBe(listeners);
      send("SIGUSR2");
      while (heard.length < 3) await sleep(1);
      expect(heard).toEqual(["early", "late", "early"]);
    } finally {
      process.off("SIGUSR2", early);
    }
  });

  test.each([
    ["attached", "await main();"],
    ["under block", "block(main);"],
  ])("end a program's work %s, and the next one the program", async (_name, run) => {
    await using program = new Program(`
      const main = async () => {
        let heard;
        {
          using interrupts = signals("SIGINT", "SIGTERM");
          heard = await race([
            () => interrupts.next(),
            async function work() {
              try {
                console.log("working");
                await sleep(60_000);
              } finally {
                console.log("work has ended");
              }
            },
          ]);
        }
        console.log("heard", heard);
        await sleep(60_000);
      };
      ${run}
    `);
    expect(await program.line()).toBe("working");
    program.process.kill("SIGTERM");
    expect(await program.line()).toBe("work has ended");
    expect(await program.line()).toBe("heard SIGTERM");
    program.process.kill("SIGTERM");
    await program.process.exited;
    expect(program.process.signalCode).toBe("SIGTERM");
  });

  test("a process stays alive for a wait, under both drivers, and for nothing else", async () => {
    const ended = await runProgram(`
      signals("SIGTERM");
      console.log(stats().waiters, stats().sockets);
      try { block(() => spawn(() => park()).join()); } catch (error) { console.log(error.message); }
    `);
    expect(ended).toMatchObject({ stderr: "", exitCode: 0 });
    expect(ended.stdout).toMatch(/^0 0\nblock\(\): nothing is left/);
    for (const run of ["void waiting();", "block(waiting);"]) {
      await using program = new Program(`
        const caught = signals("SIGTERM");
        async function waiting() {
          const heard = caught.next();
          console.log("waiting");
          console.log(await heard);
        }
        ${run}
      `);
      expect(await program.line()).toBe("waiting");
      program.process.kill("SIGTERM");
      expect(await program.line()).toBe("SIGTERM");
      expect(await program.process.exited).toBe(0);
    }
  });

  test("come to Workers too, each with its own", async () => {
    using own = signals("SIGUSR2");
    const source = `
      const caught = signals("SIGUSR2");
      post("ready");
      post(await caught.next());
      caught.close();
      post("closed");
    `;
    await using first = new WorkerProgram(source);
    await using second = new WorkerProgram(source);
    for (const worker of [first, second]) expect(await worker.message()).toBe("ready");
    send("SIGUSR2");
    for (const worker of [first, second]) {
      expect(await worker.message()).toBe("SIGUSR2");
      expect(await worker.message()).toBe("closed");
    }
    expect(await own.next(deadline(5000))).toBe("SIGUSR2");
    send("SIGUSR2");
    expect(await own.next(deadline(5000))).toBe("SIGUSR2");
  });

  test("get their default action back when the last Worker stops catching them", async () => {
    await using program = new Program(
      `
      const source = \`
        import { signals } from "\${process.env.PLAIT_INDEX}";
        const caught = signals("SIGUSR2");
        onmessage = () => {
          caught.close();
          postMessage("closed");
        };
        postMessage("catches");
      \`;
      const own = signals("SIGUSR2");
      const worker = new Worker(URL.createObjectURL(new Blob([source])));
      worker.onmessage = ({ data }) => {
        console.log(data);
        if (data === "closed") return;
        own.close();
        worker.postMessage("close");
      };
    `,
      { env: { PLAIT_INDEX: join(import.meta.dir, "..", "..", "index.ts") } },
    );
    expect(await program.line()).toBe("catches");
    expect(await program.line()).toBe("closed");
    program.process.kill("SIGUSR2");
    await program.process.exited;
    expect(program.process.signalCode).toBe("SIGUSR2");
  });

  test("that do not exist, or cannot be caught, are refused", () => {
    expectMistake(
      thrownBy(() => signals()),
      TypeError,
      /at least one/,
    );
    expectMistake(
      thrownBy(() => signals(2 as never)),
      TypeError,
      /a signal's name/,
    );
    for (const name of ["SIGKILL", "SIGSEGV", "INT", ""]) {
      expectMistake(
        thrownBy(() => signals(name as never)),
        RangeError,
        /one of SIGHUP, SIGINT/,
      );
    }
    expect(stats().waiters).toBe(0);
  });
});
