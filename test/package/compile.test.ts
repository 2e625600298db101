/** Programs as they are shipped: compiled to one file, or bundled. */

import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { libraryPath, root } from "../../scripts/build.ts";
import { echoProgram, withImports } from "../support/programs.ts";
import { bound, runAsUser } from "../support/run_as_user.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

/** Prints the files that it has mapped, which show the library that it runs with. */
const echoAndMaps = `
  ${echoProgram}
  console.error(await Bun.file("/proc/self/maps").text().catch(() => ""));
`;

/** A folder with `program.ts`, and an empty one to run in. */
class Workshop extends TemporaryFolder {
  readonly empty = this.file("empty");

  constructor(source: string) {
    super();
    mkdirSync(this.empty);
    writeFileSync(this.file("program.ts"), source);
  }
}

describe("a program", () => {
  test(
    "compiled by bun build --compile runs alone in an empty folder",
    async () => {
      using workshop = new Workshop(withImports(echoAndMaps));
      const executable = join(workshop.empty, "program");
      const build = ["build", "--compile", "program.ts", "--outfile", executable];
      await runAsUser([process.execPath, ...build], workshop.path);
      expect(readdirSync(workshop.empty)).toEqual(["program"]);
      const { stdout, stderr } = await runAsUser([executable], workshop.empty);
      expect(stdout).toBe("echo");
      expect(stderr).not.toContain(libraryPath);
      expect(readdirSync(workshop.empty)).toEqual(["program"]);
    },
    bound,
  );

  test(
    "compiled with a Worker runs plait in both",
    async () => {
      using workshop = new Workshop(`
        import { listen } from ${JSON.stringify(join(root, "index.ts"))};
        await using listener = await listen({ host: "127.0.0.1", port: 0 });
        const worker = new Worker("./worker.ts");
        worker.postMessage(listener.port);
        const socket = await listener.accept();
        console.log(new TextDecoder().decode((await socket.next())!));
        socket.close();
        worker.terminate();
      `);
      writeFileSync(
        workshop.file("worker.ts"),
        `
          import { connect } from ${JSON.stringify(join(root, "index.ts"))};
          declare const self: Worker;
          self.onmessage = async ({ data }) => {
            const socket = await connect({ host: "127.0.0.1", port: data });
            await socket.write("from the Worker");
            await socket.next();
          };
        `,
      );
      const executable = join(workshop.empty, "program");
      const entries = ["program.ts", "worker.ts"];
      const build = ["build", "--compile", ...entries, "--outfile", executable];
      await runAsUser([process.execPath, ...build], workshop.path);
      const { stdout } = await runAsUser([executable], workshop.empty);
      expect(stdout).toBe("from the Worker");
    },
    bound,
  );

  test.each([
    ["compiled", true],
    ["bundled", false],
  ])(
    "%s with a cluster serves from its workers",
    async (_name, isCompiled) => {
      using workshop = new Workshop(
        withImports(`
          await using served = await cluster({
            module: new URL("./handler.js", import.meta.url),
            workers: 2,
            host: "127.0.0.1",
            port: 0,
            data: "from the cluster",
          });
          const socket = await connect({ host: "127.0.0.1", port: served.port });
          console.log(new TextDecoder().decode(await socket.next()));
          const silent = new URL("./silent.js", import.meta.url);
          const missing = new URL("./missing.js", import.meta.url);
          for (const module of [silent, missing]) {
            await cluster({ module, port: 0 }).catch((error) => console.log(error.message));
          }
        `),
      );
      const index = JSON.stringify(join(root, "index.ts"));
      writeFileSync(
        workshop.file("handler.ts"),
        `
          import { type Socket, type WorkerContext } from ${index};
          import ${index};
          let data: unknown;
          export function setup(context: WorkerContext) { data = context.data; }
          export default (socket: Socket) => socket.write(String(data));
        `,
      );
      writeFileSync(workshop.file("silent.ts"), "export default () => {};");
      const entries = ["program.ts", "handler.ts", "silent.ts"];
      const executable = join(workshop.empty, "program");
      const [options, command] = isCompiled
        ? [["--compile", "--outfile", executable], [executable]]
        : [
            ["--target", "bun", "--outdir", workshop.empty],
            [process.execPath, join(workshop.empty, "program.js")],
          ];
      await runAsUser([process.execPath, "build", ...options, ...entries], workshop.path);
      const { stdout } = await runAsUser(command, workshop.empty);
      const [served, ...unserved] = stdout.split("\n");
      expect(served).toBe("from the cluster");
      for (const [index, name] of ["silent", "missing"].entries()) {
        expect(unserved[index]).toMatch(
          new RegExp(
            `^worker \\d has ended .* before it listened: .*${name}.js; .*must import plait$`,
          ),
        );
      }
    },
    bound,
  );

  test(
    "bundled by bun build runs in any folder",
    async () => {
      using workshop = new Workshop(withImports(echoAndMaps));
      const build = ["build", "--target", "bun", "--outdir", "bundle", "program.ts"];
      await runAsUser([process.execPath, ...build], workshop.path);
      const bundle = join(workshop.empty, "moved");
      cpSync(workshop.file("bundle"), bundle, { recursive: true });
      for (const folder of [bundle, workshop.empty]) {
        const command = [process.execPath, join(bundle, "program.js")];
        const { stdout, stderr } = await runAsUser(command, folder);
        expect(stdout).toBe("echo");
        expect(stderr).not.toContain(libraryPath);
      }
    },
    bound,
  );
});
