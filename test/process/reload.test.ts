/** The modules are evaluated again in the same thread, as Bun's development tools do it. */

import { describe, expect, test } from "bun:test";
import { appendFileSync, writeFileSync } from "node:fs";
import { Program, withImports } from "../support/programs.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

/** Enough to find the remains of the evaluation before in each of their states. */
const evaluations = 20;

const echo = `
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const socket = await connect({ host: "127.0.0.1", port: listener.port });
  await socket.write("echo");
  const text = new TextDecoder().decode(await socket.next());
`;

const change = ({ path }: Program): void => appendFileSync(path, "//\n");

/**
 * Waits until the program is evaluated. Bun may overlook a change that comes while it reads the
 * file.
 */
async function begun(program: Program): Promise<void> {
  const timer = setInterval(change, 500, program);
  expect(await program.line()).toBe("begun");
  clearInterval(timer);
}

describe("evaluated again in the same thread", () => {
  test("by bun --hot, plait works each time and keeps no more than before", async () => {
    await using program = new Program(
      `
        import { readdirSync } from "node:fs";
        globalThis.evaluations = (globalThis.evaluations ?? 0) + 1;
        console.log("begun");
        ${echo}
        await sleep(1);
        spawn(() => sleep(60_000));
        // Bun's own timers outlive the evaluation, so this goes on to call the replaced instance.
        const stale = spawn(async () => { for (;;) { await Bun.sleep(0); await yieldNow(); } });
        stale.join().catch(() => {});
        block(() => sleep(1));
        const held = () => readdirSync("/dev/fd").length;
        // The things of the last evaluation go when the waker has noticed.
        const end = now() + 2000;
        globalThis.most ??= held() + 1;
        while (held() > globalThis.most && now() < end) await sleep(5);
        console.log(globalThis.evaluations, text, held() <= globalThis.most);
      `,
      { arguments: ["--hot", "--no-clear-screen"], bound: 4500 },
    );
    for (let evaluation = 1; evaluation <= evaluations; evaluation++) {
      if (evaluation > 1) change(program);
      await begun(program);
      expect(await program.line()).toBe(`${evaluation} echo true`);
    }
  });

  test("by bun --hot, earlier scopes that end or go on disturb nothing", async () => {
    await using program = new Program(
      `
        globalThis.evaluations = (globalThis.evaluations ?? 0) + 1;
        console.log("begun");
        const sleepers = scope(async (s) => {
          for (let count = 0; count < 20; count++) s.spawn(() => sleep(20));
          return "slept";
        });
        // The rest of the evaluation before has waiters with the same numbers.
        globalThis.endStale?.();
        const lost = Bun.sleep(2000).then(() => "lost");
        const outcome = await Promise.race([sleepers, lost]).catch(String);
        await yieldNow();

        const abort = new AbortController();
        const parked: Fiber<void>[] = [];
        void scope((s) => {
          for (let count = 0; count < 300; count++) {
            s.spawn(() => sleep(60_000));
            parked.push(s.spawn(() => park(deadline(60_000))));
          }
        }, { signal: abort.signal, deadline: deadline(60_000) }).catch(() => {});
        globalThis.endStale = () => {
          for (const fiber of parked.splice(0, 200)) unpark(fiber);
          abort.abort("stale");
        };
        console.log(globalThis.evaluations, outcome);
      `,
      { arguments: ["--hot", "--no-clear-screen"], bound: 4500 },
    );
    for (let evaluation = 1; evaluation <= 3; evaluation++) {
      if (evaluation > 1) change(program);
      await begun(program);
      expect(await program.line()).toBe(`${evaluation} slept`);
    }
  });

  test("by bun --hot, the end of an earlier pipe takes nothing from a later one", async () => {
    await using program = new Program(
      `
        globalThis.evaluations = (globalThis.evaluations ?? 0) + 1;
        console.log("begun");
        const listener = await listen({ host: "127.0.0.1", port: 0 });
        const connected = () =>
          Promise.all([connect({ host: "127.0.0.1", port: listener.port }), listener.accept()]);
        const [client, first] = await connected();
        const [second, server] = await connected();
        const abort = new AbortController();
        const data = new Uint8Array(32 << 20).fill(globalThis.evaluations);
        const outcome = pipe(first, second, { signal: abort.signal })
          .then(({ forth }) => forth === data.length, String)
          .finally(() => second.close());
        client.write(data).then(() => client.shutdown()).catch(() => {});
        // What a relay has received and not sent is in a pipe of the kernel.
        for (let moved = -1; moved !== second.bytesWritten || first.bytesRead === moved; await sleep(50)) {
          moved = second.bytesWritten;
        }
        globalThis.endStale?.();
        globalThis.endStale = () => abort.abort("stale");
        await yieldNow();
        if (globalThis.evaluations === 1) console.log(1, "blocked");
        else {
          const drained = (async () => {
            for await (const chunk of server) {
              if (!chunk.every((byte) => byte === globalThis.evaluations)) return "other bytes";
            }
            await server.shutdown();
          })();
          console.log(globalThis.evaluations, await outcome, await drained ?? "drained");
        }
      `,
      { arguments: ["--hot", "--no-clear-screen"], bound: 20_000 },
    );
    await begun(program);
    expect(await program.line()).toBe("1 blocked");
    for (let evaluation = 2; evaluation <= 3; evaluation++) {
      change(program);
      await begun(program);
      expect(await program.line()).toBe(`${evaluation} true drained`);
    }
  }, 30_000);

  test("by bun --hot, a signal that is no longer caught does what it did before", async () => {
    await using program = new Program(
      `
        globalThis.evaluations = (globalThis.evaluations ?? 0) + 1;
        console.log("begun");
        if (globalThis.evaluations === 1) signals("SIGUSR2");
        console.log(globalThis.evaluations, process.listenerCount("SIGUSR2"));
      `,
      { arguments: ["--hot", "--no-clear-screen"] },
    );
    await begun(program);
    expect(await program.line()).toBe("1 1");
    change(program);
    await begun(program);
    expect(await program.line()).toBe("2 0");
    program.process.kill("SIGUSR2");
    await program.process.exited;
    expect(program.process.signalCode).toBe("SIGUSR2");
  });

  test("by bun test --isolate, plait works in each file", async () => {
    using folder = new TemporaryFolder();
    for (const name of ["first", "second", "third"]) {
      writeFileSync(
        folder.file(`${name}.test.ts`),
        withImports(`
          import { expect, test } from "bun:test";
          test("echo", async () => {
            ${echo}
            expect(text).toBe("echo");
            await sleep(1);
            expect(block(async () => { await sleep(1); return 1; })).toBe(1);
            spawn(() => sleep(60_000));
          });
        `),
      );
    }
    await using child = Bun.spawn([process.execPath, "test", "--isolate"], {
      cwd: folder.path,
      stdout: "ignore",
      stderr: "pipe",
      timeout: 4000,
    });
    const report = await new Response(child.stderr).text();
    expect(report).toContain(" 3 pass");
    expect(report).toContain(" 0 fail");
    expect(await child.exited).toBe(0);
  });
});
