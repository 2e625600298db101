/** TLS in Workers, in modules that are evaluated anew, and in executables. */

import { describe, expect, test } from "bun:test";
import { appendFileSync, copyFileSync, writeFileSync } from "node:fs";
import { listen } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { isInstalled } from "../support/installed_program.ts";
import { Program, runProgram, withImports } from "../support/programs.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

describe.skipIf(!isInstalled("openssl"))("TLS", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  /** A listener that echoes, and a client whose text is echoed. */
  const echo = (): string => `
    const tls = ${JSON.stringify({ cert: made.p256.chain, key: made.p256.key })};
    const ca = ${JSON.stringify(made.root)};
    const serve = (options) =>
      listen({ host: "127.0.0.1", ...options, tls, onError: () => {} }, async (socket) => {
        for await (const chunk of socket) await socket.write(chunk);
      });
    const dial = (port, options = {}) => connect({ host: "127.0.0.1", port, tls: { ca, ...options } });
    const ask = async (socket, text) => {
      await socket.write(text);
      return new TextDecoder().decode(await socket.next());
    };
  `;

  test("has sent the last words of the handshake before its thread blocks for a greeting", async () => {
    const tls = { cert: made.p256.chain, key: made.p256.key };
    await using listener = await listen({ host: "127.0.0.1", port: 0, tls }, async (socket) => {
      await socket.write("220 ready");
    });
    const { stdout, stderr, exitCode } = await runProgram(
      `
      ${echo()}
      const socket = await dial(${listener.port});
      const buffer = new Uint8Array(64);
      const count = socket.readSync(buffer, deadline(3000));
      console.log(new TextDecoder().decode(buffer.subarray(0, count)));
      socket.close();
      `,
    );
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: "220 ready", stderr: "", exitCode: 0 });
  });

  test("goes on in one thread while a Worker is terminated during its own", async () => {
    using folder = new TemporaryFolder();
    const worker = folder.file("worker.ts");
    writeFileSync(
      worker,
      withImports(`
        ${echo()}
        const listener = await serve({ port: 0 });
        self.onmessage = ({ data }) => {
          for (let index = 0; index < 8; index++) {
            spawn(async () => {
              for (;;) {
                const socket = await dial(data, { onSession: () => {}, onKeyLog: () => {} });
                await ask(socket, "x".repeat(20_000));
                socket.close();
              }
            });
          }
        };
        postMessage(listener.port);
      `),
    );
    const { stdout, stderr, exitCode } = await runProgram(
      `
      ${echo()}
      const listener = await serve({ port: 0 });
      const steady = await dial(listener.port);
      for (let round = 0; round < 6; round++) {
        const worker = new Worker(${JSON.stringify(worker)});
        const port = await new Promise((resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
        });
        const { accepted } = stats();
        worker.postMessage(listener.port);
        const clients = Array.from({ length: 4 }, async () => {
          for (;;) {
            await using socket = await dial(port);
            await ask(socket, "x".repeat(20_000));
          }
        });
        while (stats().accepted < accepted + 20) await sleep(1);
        worker.terminate();
        const ends = await Promise.allSettled(clients);
        if (ends.some(({ reason }) => !(reason?.code))) throw new Error("no error of plait's");
        console.log(await ask(steady, \`round \${round}\`));
      }
      steady.close();
      while (listener.connections > 0) await sleep(1);
      console.log("all is over");
      process.exit();
    `,
      { bound: 8000 },
    );
    expect(stderr).toBe("");
    const rounds = Array.from({ length: 6 }, (_, round) => `round ${round}`);
    expect(stdout.split("\n")).toEqual([...rounds, "all is over"]);
    expect(exitCode).toBe(0);
  }, 10_000);

  test("works each time that bun --hot evaluates it anew", async () => {
    const evaluations = 6;
    await using program = new Program(
      `
        globalThis.evaluations = (globalThis.evaluations ?? 0) + 1;
        console.log("begun");
        ${echo()}
        const listener = await serve({ port: 0 });
        const sessions = [];
        const onSession = (session) => sessions.push(session);
        const first = await dial(listener.port, { onSession });
        await ask(first, "x");
        const second = await dial(listener.port, { session: sessions[0] });
        // The contexts of the evaluation before are collected while those of this one are in use.
        Bun.gc(true);
        await Bun.sleep(1);
        console.log(globalThis.evaluations, await ask(second, "echo"), second.tls.resumed);
        spawn(() => first.next()).join().catch(() => {});
      `,
      { arguments: ["--hot", "--no-clear-screen"] },
    );
    for (let evaluation = 1; evaluation <= evaluations; evaluation++) {
      const change = (): void => appendFileSync(program.path, `// ${evaluation}\n`);
      if (evaluation > 1) change();
      // Bun may overlook a change that comes while it reads the file.
      const timer = setInterval(change, 500);
      expect(await program.line()).toBe("begun");
      clearInterval(timer);
      expect(await program.line()).toBe(`${evaluation} echo true`);
    }
  });

  test("reads certificates that are embedded in an executable", async () => {
    using folder = new TemporaryFolder();
    for (const [name, path] of Object.entries({ ...made.p256, root: made.root })) {
      copyFileSync(path, folder.file(`${name}.pem`));
    }
    writeFileSync(
      folder.file("program.ts"),
      withImports(`
        import cert from "./chain.pem" with { type: "file" };
        import key from "./key.pem" with { type: "file" };
        import ca from "./root.pem" with { type: "file" };
        const tls = { cert, key: Bun.file(key) };
        const listener = await listen({ host: "127.0.0.1", port: 0, tls }, (socket) =>
          socket.write(socket.tls!.protocol),
        );
        const socket = await connect({ host: "127.0.0.1", port: listener.port, tls: { ca } });
        console.log(new TextDecoder().decode((await socket.next())!));
        process.exit();
      `),
    );
    using empty = new TemporaryFolder();
    const executable = empty.file("program");
    const program = folder.file("program.ts");
    const build = [process.execPath, "build", "--compile", program, "--outfile", executable];
    expect((await runCommand(build, undefined, 30_000)).exitCode).toBe(0);
    // The files that it was made of are gone.
    folder[Symbol.dispose]();
    const { text, stderr } = await runCommand([executable]);
    expect(stderr).toBe("");
    expect(text).toBe("TLSv1.3\n");
  }, 40_000);
});
