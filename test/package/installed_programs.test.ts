/** Programs of users, with plait installed from its tarballs. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { libraryPath } from "../../scripts/build.ts";
import { certificates } from "../support/certificates.ts";
import { nativeName, Packed, pack } from "../support/packed.ts";
import { echoProgram } from "../support/programs.ts";
import { bound, outcomeAsUser, runAsUser } from "../support/run_as_user.ts";
import { RunningProgram } from "../support/running_program.ts";

const bun = process.execPath;

let packed: Packed;
let project: string;

beforeAll(async () => {
  packed = await Packed.make();
  project = await packed.project("");
}, bound);

afterAll(() => packed[Symbol.dispose]());

/** Writes a file into the project. */
function write(name: string, text: string): void {
  mkdirSync(dirname(join(project, name)), { recursive: true });
  writeFileSync(join(project, name), text);
}

async function outputOf(name: string, text: string): Promise<string> {
  write(name, text);
  return (await runAsUser([bun, name], project)).stdout;
}

describe("a program", () => {
  test(
    "with TLS",
    async () => {
      const { p256, root } = certificates();
      const server = JSON.stringify({ cert: p256.chain, key: p256.key });
      const client = JSON.stringify({ ca: root });
      const text = `
      import { connect, listen } from "plait";
      await using listener = await listen({ port: 0, tls: ${server} }, (socket) => socket.write("hello"));
      const socket = await connect({ host: "localhost", port: listener.port!, tls: ${client} });
      console.log(new TextDecoder().decode((await socket.next())!), socket.tls!.protocol);
      socket.close();
    `;
      expect(await outputOf("tls.ts", text)).toBe("hello TLSv1.3");
    },
    bound,
  );

  test("in a Worker", async () => {
    write(
      "worker.ts",
      `
        import { connect } from "plait";
        declare const self: Worker;
        self.onmessage = async ({ data }) => {
          const socket = await connect({ host: "127.0.0.1", port: data });
          postMessage(new TextDecoder().decode((await socket.next())!));
        };
      `,
    );
    const text = `
      import { listen } from "plait";
      await using listener = await listen({ host: "127.0.0.1", port: 0 }, (socket) => socket.write("hello"));
      const worker = new Worker(new URL("./worker.ts", import.meta.url));
      worker.postMessage(listener.port);
      const { data } = await new Promise<MessageEvent>((resolve) => { worker.onmessage = resolve; });
      console.log(data);
      worker.terminate();
    `;
    expect(await outputOf("thread.ts", text)).toBe("hello");
  });

  test(
    "with a cluster, also compiled and bundled",
    async () => {
      write(
        "handler.ts",
        `
          import "plait";
          import type { Socket, WorkerContext } from "plait";
          let about = "";
          export function setup({ data, workers }: WorkerContext) { about = data + " of " + workers; }
          export default (socket: Socket) => socket.write(about);
        `,
      );
      const text = `
        import { cluster, connect } from "plait";
        const module = new URL("./handler.js", import.meta.url);
        await using served = await cluster({ module, workers: 2, host: "127.0.0.1", port: 0, data: "one" });
        const socket = await connect({ host: "127.0.0.1", port: served.port });
        console.log(new TextDecoder().decode((await socket.next())!));
      `;
      expect(await outputOf("cluster.ts", text)).toBe("one of 2");
      const empty = packed.emptyFolder();
      const entries = ["cluster.ts", "handler.ts"];
      const made = join(empty, "made");
      await runAsUser([bun, "build", "--compile", ...entries, "--outfile", made], project);
      expect((await runAsUser([made], empty)).stdout).toBe("one of 2");
      unlinkSync(made);
      await runAsUser([bun, "build", "--target=bun", ...entries, "--outdir", empty], project);
      expect((await runAsUser([bun, "cluster.js"], empty)).stdout).toBe("one of 2");
    },
    bound,
  );

  test("in a bundle of bun build --target=bun, which runs in any folder", async () => {
    write("program.ts", `import { connect, listen } from "plait";\n${echoProgram}`);
    const build = [bun, "build", "--target=bun", "program.ts"];
    await runAsUser([...build, "--outdir", "out"], project);
    const empty = packed.emptyFolder();
    cpSync(join(project, "out"), empty, { recursive: true });
    expect(readdirSync(empty).sort()).toEqual([
      expect.stringMatching(/^libplait-.*\.(so|dylib)$/),
      "program.js",
    ]);
    expect((await runAsUser([bun, join(empty, "program.js")], "/")).stdout).toBe("echo");
    const library = join(empty, readdirSync(empty).find((name) => name.startsWith("libplait"))!);
    unlinkSync(library);
    expect((await outcomeAsUser([bun, join(empty, "program.js")], "/")).stderr).toContain(
      `plait: ${library} is missing, which this bundle needs: copy the whole folder that \`bun build\` has written`,
    );
    // A bundle is two files: Bun says so.
    const { stderr, exitCode } = await outcomeAsUser([...build, "--outfile", "one.js"], project);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("cannot write multiple output files without an output directory");
  });

  test("in a bundle of CommonJS, in which Bun replaces import.meta by the paths of the sources", async () => {
    write(
      "programs/late.ts",
      `import { sleep } from "plait";\nsleep(1).then(() => console.log("slept"));`,
    );
    const empty = packed.emptyFolder();
    const build = [bun, "build", "--target=bun", "--bytecode", "--root=.", `--outdir=${empty}`];
    await runAsUser([...build, "programs/late.ts"], project);
    expect((await runAsUser([bun, join(empty, "programs", "late.js")], "/")).stdout).toBe("slept");
  });

  test("with plait/net and plait/drivers", async () => {
    const text = `
      import { createServer } from "plait/net";
      import { ioredis, mysql, nats, postgres } from "plait/drivers";
      import net from "plait/net";
      const server = createServer((socket) => socket.end("hello"));
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as { port: number };
        net.connect(port, "127.0.0.1").on("data", (data) => {
          console.log(String(data), typeof ioredis, typeof mysql, typeof nats, typeof postgres);
          server.close();
        });
      });
    `;
    const functions = "function function function function";
    expect(await outputOf("entries.ts", text)).toBe(`hello ${functions}`);
  });

  test("in one file without a package.json of its own, after bun add", async () => {
    const path = packed.emptyFolder();
    const { dependencies, overrides } = packed.manifest;
    // The overrides keep the registry out of it.
    writeFileSync(join(path, "package.json"), JSON.stringify({ overrides }));
    mkdirSync(join(path, "programs"));
    const text = `import { connect, listen } from "plait";\n${echoProgram}`;
    writeFileSync(join(path, "programs", "echo.ts"), text);
    await runAsUser([bun, "add", dependencies.plait], path);
    expect((await runAsUser([bun, "programs/echo.ts"], path)).stdout).toBe("echo");
  });

  test("loads no clusters, nor the other entries, by importing plait", async () => {
    const text = `
      import "plait";
      for (const path of Object.keys(require.cache)) console.log(path.split("/plait/")[1]);
    `;
    const loaded = (await outputOf("import.ts", text)).split("\n");
    expect(loaded).toContain("index.js");
    expect(loaded.length).toBeGreaterThan(50);
    const entry = ["assignment", "entry", "errors"].map((name) => `src/cluster/${name}.js`);
    const foreign = loaded.filter((path) =>
      /^src\/(cluster|node|drivers|http|websocket|load|report|command)\//.test(path),
    );
    expect(foreign.sort()).toEqual(entry);
  });

  test(
    "that bun --hot loads anew goes on at the same port",
    async () => {
      const version = (text: string) => `
        import { writeFileSync } from "node:fs";
        import { listen } from "plait";
        const port = (globalThis as { port?: number }).port ?? 0;
        const listener = await listen({ host: "127.0.0.1", port }, (socket) => socket.write(${JSON.stringify(text)}));
        (globalThis as { port?: number }).port = listener.port;
        console.log("serves", ${JSON.stringify(text)}, listener.port);
      `;
      write("hot.ts", version("first"));
      const command = [bun, "--hot", "--no-clear-screen", join(project, "hot.ts")];
      await using running = await RunningProgram.start(command, /^serves first \d+$/m);
      const [, first] = /^serves first (\d+)$/m.exec(running.output)!;
      const answer = async () => {
        const { promise, resolve } = Promise.withResolvers<string>();
        await Bun.connect({
          hostname: "127.0.0.1",
          port: Number(first),
          socket: { data: (_, data) => resolve(String(data)) },
        });
        return await promise;
      };
      expect(await answer()).toBe("first");
      // Bun may overlook a change that comes while it reads the file.
      const timer = setInterval(write, 500, "hot.ts", version("second"));
      write("hot.ts", version("second"));
      const [, second] = await running
        .printed(/^serves second (\d+)$/m)
        .finally(() => clearInterval(timer));
      expect(second).toBe(first);
      expect(await answer()).toBe("second");
    },
    bound,
  );
});

describe("two versions of plait", () => {
  const path = () => packed.emptyFolder();

  /** Packs both packages with another version, which refer to each other. */
  async function otherVersion(version: string): Promise<string> {
    const native = path();
    cpSync(dirname(libraryPath), native, { recursive: true });
    const main = path();
    cpSync(packed.main, main, { recursive: true });
    const change = (folder: string, changes: object): void => {
      const file = join(folder, "package.json");
      const text = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(file, JSON.stringify({ ...text, ...changes }));
    };
    const tarball = join(path(), "native.tgz");
    change(native, { version });
    await pack(native, tarball);
    change(main, { version, optionalDependencies: { [nativeName]: `file:${tarball}` } });
    const mainTarball = join(path(), "main.tgz");
    await pack(main, mainTarball);
    return `file:${mainTarball}`;
  }

  let folder: string;

  beforeAll(async () => {
    folder = path();
    const dependencies = {
      plait: await otherVersion("8.0.1"),
      "plait-old": await otherVersion("8.0.0"),
    };
    const text = { name: "project", type: "module", dependencies };
    writeFileSync(join(folder, "package.json"), JSON.stringify(text));
    await packed.install(folder);
  }, bound);

  test(
    "stand side by side in one process",
    async () => {
      writeFileSync(
        join(folder, "program.ts"),
        `
          import * as young from "plait";
          import * as old from "plait-old";
          console.log(young.versions().plait, old.versions().plait);
          const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes!);
          for (const [server, client] of [[young, old], [old, young]] as const) {
            const listener = await server.listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
              for await (const chunk of socket) await socket.write(chunk);
            });
            const sockets = await client.all(
              Array.from({ length: 20 }, () => () => client.connect({ host: "127.0.0.1", port: listener.port! })),
            );
            let count = 0;
            for (let round = 0; round < 5; round++) {
              for (const socket of sockets) {
                await socket.write("ping");
                if (text(await socket.next(client.deadline(5000))) === "ping") count++;
              }
              await server.sleep(1);
            }
            for (const socket of sockets) socket.close();
            await listener.close();
            console.log(count);
          }
          for (const [first, last] of [[young, old], [old, young]] as const) {
            const caught = [first.signals("SIGUSR2"), last.signals("SIGUSR2")];
            process.kill(process.pid, "SIGUSR2");
            console.log(await caught[0]!.next(), await caught[1]!.next());
            for (const each of caught) each.close();
          }
          const fiber = old.spawn(() => young.sleep(5));
          await fiber.join();
          console.log(young.block(() => young.sleep(1)), old.block(() => old.sleep(1)));
          process.on("exit", (code) => console.log("exit", code));
        `,
      );
      const { stdout } = await runAsUser([bun, "program.ts"], folder);
      expect(stdout.split("\n")).toEqual([
        "8.0.1 8.0.0",
        "100",
        "100",
        "SIGUSR2 SIGUSR2",
        "SIGUSR2 SIGUSR2",
        "undefined undefined",
        "exit 0",
      ]);
    },
    bound,
  );

  test.each([
    ["plait", "plait-old"],
    ["plait-old", "plait"],
  ])(
    "leave a signal as it was, whichever lets go of it first: %s, then %s",
    async (first, last) => {
      writeFileSync(
        join(folder, "signal.ts"),
        `
          import * as first from ${JSON.stringify(first)};
          import * as last from ${JSON.stringify(last)};
          for (const [one, other] of [[first, last], [last, first]] as const) {
            const caught = [one.signals("SIGUSR2"), other.signals("SIGUSR2")];
            for (const each of caught) each.close();
          }
          setInterval(() => {}, 1000);
          process.kill(process.pid, "SIGUSR2");
        `,
      );
      const { exitCode } = await outcomeAsUser([bun, "signal.ts"], folder);
      expect(exitCode).toBe(128 + 12);
    },
    bound,
  );
});
