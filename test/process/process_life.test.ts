/** When a process that uses plait exits by itself. */

import { describe, expect, test } from "bun:test";
import { Program, runProgram } from "../support/programs.ts";

/**
 * Longer than a start of Bun takes on a busy machine, and shorter than what the programs would wait
 * for.
 */
const bound = 4000;

const listening = `
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const target = { host: "127.0.0.1", port: listener.port };
`;

const exiting: Record<string, string> = {
  "the API was imported and never used": `stats();`,
  "a client and a server have closed": `
    ${listening}
    const socket = await connect(target);
    await socket.write("x");
    await socket.next();
    socket.close();
    await listener.close();
  `,
  "a listener was closed at once": `
    ${listening}
    void listener.close();
  `,
  "a listener is unref'd": `
    ${listening}
    listener.unref();
  `,
  "a listener was unref'd before it served": `
    ${listening}
    listener.unref();
    const socket = await connect(target);
    await socket.write("x");
    await socket.next();
    socket.close();
  `,
  "a listener was ref'd, unref'd twice and closed": `
    ${listening}
    listener.ref().unref().unref();
    await listener.close();
    listener.ref();
  `,
  "accept waits on an unref'd listener": `
    const listener = await listen({ host: "127.0.0.1", port: 0 });
    void listener.unref().accept();
  `,
  "a connected socket is open without a wait": `
    ${listening}
    await connect(target);
    listener.unref();
    await listener.close({ deadline: now() });
  `,
  "a fiber is parked without a deadline": `
    spawn(() => park());
    spawn(() => spawn(() => park()).join());
  `,
  "only a fiber's deadline is left": `
    spawn(() => park(), { deadline: deadline(60_000) });
    spawn(() => new Promise(() => {}), { deadline: deadline(60_000) });
  `,
  "the last wait was cancelled": `
    const fiber = spawn(() => sleep(60_000));
    fiber.cancel();
    await fiber.join().catch(() => {});
    const parked = spawn(() => park(deadline(60_000)));
    unpark(parked);
  `,
  "a socket that others waited on was closed": `
    ${listening}
    const socket = await connect(target);
    const waiting = socket.next().catch(() => {});
    await yieldNow();
    socket.close();
    await waiting;
    await listener.close();
  `,
  "a closed socket lingers": `
    ${listening}
    listener.unref();
    const socket = await connect(target);
    void socket.write(new Uint8Array(64 * 1024 * 1024)).catch(() => {});
    await sleep(5);
    socket.close();
  `,
  "block has left nothing behind": `
    block(async () => {
      ${listening}
      const socket = await connect(target);
      await socket.write("x");
      await socket.next();
      socket.close();
      await listener.close();
    });
  `,
  "an attempt to connect has failed": `
    await connect({ path: "/nonexistent/socket" }).catch(() => {});
    await connect({ host: "127.0.0.1", port: 1 }).catch(() => {});
  `,
};

describe("a process exits when", () => {
  test.each(Object.entries(exiting))("%s", async (_name, source) => {
    const { exitCode, stderr } = await runProgram(source, { bound });
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
  });
});

describe("a process exits, with what it did before,", () => {
  test("when the last sleep has ended", async () => {
    const { stdout, exitCode, milliseconds } = await runProgram(
      `
        spawn(async () => { await sleep(300); console.log("slept"); });
        spawn(() => park());
      `,
      { bound },
    );
    expect(stdout).toBe("slept");
    expect(exitCode).toBe(0);
    expect(milliseconds).toBeGreaterThanOrEqual(300);
  });

  test("when a park with a deadline has failed", async () => {
    const { stdout, exitCode } = await runProgram(
      `spawn(() => park(deadline(100)).catch((error) => console.log(error.name)));`,
      { bound },
    );
    expect(stdout).toBe("TimeoutError");
    expect(exitCode).toBe(0);
  });

  test("when the peer of the last reader has closed", async () => {
    const { stdout, exitCode } = await runProgram(
      `
        ${listening}
        const socket = await connect(target);
        spawn(async () => {
          for await (const chunk of socket) console.log(chunk.length);
          console.log("end");
        });
        await socket.write("hello");
        await sleep(20);
        await listener.close({ deadline: now() });
      `,
      { bound },
    );
    expect(stdout.split("\n")).toEqual(["5", "end"]);
    expect(exitCode).toBe(0);
  });

  test("when the last connection of a closed listener has ended", async () => {
    const { stdout, exitCode } = await runProgram(
      `
        const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
          await sleep(100);
          await socket.write("late");
        });
        const socket = await connect({ host: "127.0.0.1", port: listener.port });
        await sleep(10);
        listener.close().then(() => console.log("closed"));
        console.log(new TextDecoder().decode(await socket.next()));
      `,
      { bound },
    );
    expect(stdout.split("\n").sort()).toEqual(["closed", "late"]);
    expect(exitCode).toBe(0);
  });

  test("by process.exit in the middle of everything", async () => {
    const { exitCode, stderr } = await runProgram(
      `
        ${listening}
        for (let index = 0; index < 10; index++) {
          spawn(async () => {
            const socket = await connect(target);
            for (;;) { await socket.write("x"); await socket.next(); }
          });
        }
        await sleep(20);
        process.exit(7);
      `,
      { bound },
    );
    expect(stderr).toBe("");
    expect(exitCode).toBe(7);
  });
});

describe("a process stays alive", () => {
  const staying: Record<string, string> = {
    "while a listener is open": `${listening}`,
    "while a listener is ref'd again": `${listening} listener.unref().ref();`,
    "while a listener that block has left is open": `
      block(async () => { ${listening} });
    `,
    "while a reader waits": `
      ${listening}
      listener.unref();
      spawn(async () => (await connect(target)).next());
    `,
    "while a descriptor is waited for": `waitReadable(0);`,
  };

  test.concurrent.each(Object.entries(staying))("%s", async (_name, source) => {
    // Bun exits once nothing keeps the process alive: a timer with unref runs only while something
    // does.
    await using program = new Program(`
      ${source}
      setTimeout(() => console.log("alive"), 200).unref();
    `);
    expect(await program.line()).toBe("alive");
    expect(program.process.exitCode).toBeNull();
  });
});
