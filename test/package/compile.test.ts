/** Programs as they are shipped: compiled to one file, bundled, and installed from a package. */

import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { libraryPath, root } from "../../scripts/build.ts";
import { failureOf } from "../support/failure.ts";
import { withImports } from "../support/programs.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

/** Most of the time is spent on copying Bun's executable. */
const bound = 30_000;

const echo = `
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const socket = await connect({ host: "127.0.0.1", port: listener.port! });
  await socket.write("echo");
  console.log(new TextDecoder().decode((await socket.next())!));
  socket.close();
  await listener.close();
`;

/** Prints the files that it has mapped, which show the library that it runs with. */
const echoAndMaps = `
  ${echo}
  console.error(await Bun.file("/proc/self/maps").text().catch(() => ""));
`;

/** The environment of a user, without the variables that point the tests to the checked core. */
const { PLAIT_LIBRARY: _, ...environment } = process.env;

async function run(command: string[], cwd: string): Promise<{ stdout: string; stderr: string }> {
  const child = Bun.spawn(command, {
    cwd,
    env: environment,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: bound,
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${exitCode}\n${stdout}${stderr}`);
  return { stdout: stdout.trimEnd(), stderr };
}

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
      await run([process.execPath, ...build], workshop.path);
      expect(readdirSync(workshop.empty)).toEqual(["program"]);
      const { stdout, stderr } = await run([executable], workshop.empty);
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
      await run([process.execPath, ...build], workshop.path);
      const { stdout } = await run([executable], workshop.empty);
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
      await run([process.execPath, "build", ...options, ...entries], workshop.path);
      const { stdout } = await run(command, workshop.empty);
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
      await run([process.execPath, ...build], workshop.path);
      const bundle = join(workshop.empty, "moved");
      cpSync(workshop.file("bundle"), bundle, { recursive: true });
      for (const folder of [bundle, workshop.empty]) {
        const command = [process.execPath, join(bundle, "program.js")];
        const { stdout, stderr } = await run(command, folder);
        expect(stdout).toBe("echo");
        expect(stderr).not.toContain(libraryPath);
      }
    },
    bound,
  );
});

describe("the package", () => {
  test(
    "has only what a program needs, and can be installed and type-checked",
    async () => {
      using workshop = new Workshop(`
        import { connect, type Fiber, listen, spawn } from "plait";
        const fiber: Fiber<number> = spawn(() => 1);
        const any: Fiber = fiber;
        console.log((await fiber.join()).toFixed(), any.state);
        ${echo}
      `);
      const pack = ["pm", "pack", "--destination", workshop.path, "--quiet"];
      await run([process.execPath, ...pack], root);
      const [tarball] = readdirSync(workshop.path).filter((name) => name.endsWith(".tgz"));

      const project = workshop.file("project");
      mkdirSync(project);
      cpSync(workshop.file("program.ts"), join(project, "program.ts"));
      writeFileSync(join(project, "package.json"), '{ "name": "project", "type": "module" }');
      await run([process.execPath, "add", workshop.file(tarball!)], project);

      const installed = join(project, "node_modules", "plait");
      const files = readdirSync(installed, { recursive: true, encoding: "utf8" });
      const unneeded = files.filter((path) =>
        /^(test|bench|zig|scripts|node_modules)\b/.test(path),
      );
      expect(unneeded).toEqual([]);
      for (const needed of ["build/libplait.so", "LICENSE", "LICENSE.openssl"]) {
        expect(files).toContain(needed);
      }
      expect(files).not.toContain("build/libplait-symbols.so");
      const { stdout } = await run([process.execPath, "program.ts"], project);
      expect(stdout.split("\n")).toEqual(["1 done", "echo"]);

      // As `bun init` writes it.
      const usual = {
        lib: ["ESNext"],
        target: "ESNext",
        module: "Preserve",
        moduleDetection: "force",
        types: ["bun"],
        moduleResolution: "bundler",
        allowImportingTsExtensions: true,
        verbatimModuleSyntax: true,
        noEmit: true,
        strict: true,
        skipLibCheck: true,
        noFallthroughCasesInSwitch: true,
        noUncheckedIndexedAccess: true,
        noImplicitOverride: true,
      };
      const strict = {
        ...usual,
        allowImportingTsExtensions: false,
        skipLibCheck: false,
        exactOptionalPropertyTypes: true,
        noPropertyAccessFromIndexSignature: true,
        noUnusedLocals: true,
        noUnusedParameters: true,
      };
      for (const name of ["@types", "bun-types"]) {
        symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name));
      }
      const compiler = join(root, "node_modules", ".bin", "tsc");
      const check = async (compilerOptions: object, program: string): Promise<void> => {
        const config = JSON.stringify({ compilerOptions, files: [program] });
        writeFileSync(join(project, "tsconfig.json"), config);
        await run([compiler, "--project", project], project);
      };
      await check(usual, "program.ts");
      // Stricter settings of a user apply to the user's own code.
      await check(strict, "program.ts");
      // Internal members are hidden from a user's editor.
      const misuse = `import { spawn } from "plait"; spawn(() => 1).finish(2);`;
      writeFileSync(join(project, "misuse.ts"), misuse);
      expect((await failureOf(check(usual, "misuse.ts"))).message).toMatch(
        /'finish' does not exist/,
      );
    },
    bound,
  );
});
