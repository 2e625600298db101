/** The package as a user installs it: from its tarballs, into an empty project. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../../scripts/build.ts";
import { filesOf } from "../../scripts/release/main_package.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { nativeName, Packed } from "../support/packed.ts";
import { echoProgram } from "../support/programs.ts";
import { bound, outcomeAsUser, runAsUser } from "../support/run_as_user.ts";

const bun = process.execPath;

const program = `
  import { connect, type Fiber, listen, spawn } from "plait";
  const fiber: Fiber<number> = spawn(() => 1);
  const any: Fiber = fiber;
  console.log((await fiber.join()).toFixed(), any.state);
  ${echoProgram}
`;
const expected = "1 done\necho";

describe("the package", () => {
  let packed: Packed;
  /** With the hoisted linker. Tests add files to it, and change none. */
  let shared: string;

  beforeAll(async () => {
    packed = await Packed.make();
    shared = await packed.project(program, "--linker=hoisted");
  }, bound);

  afterAll(() => packed[Symbol.dispose]());

  /** Adds a file to the shared project. */
  function write(name: string, text: string): string {
    const path = join(shared, name);
    writeFileSync(path, text);
    return path;
  }

  test("has JavaScript, source maps, declarations and documents, and nothing else", () => {
    const others = filesOf(packed.main).filter(
      (path) =>
        !/^(index|src\/.*)\.(not_bun\.js|start\.js|js|js\.map|d\.ts)$/.test(path) &&
        !/^src\/report\/(page\/page\.css|uplot\/(LICENSE|uPlot\.min\.css))$/.test(path),
    );
    expect(
      others.filter((path) => !/^(docs\/.*\.(md|schema\.json)|examples\/\w+\.ts)$/.test(path)),
    ).toEqual([...["CHANGELOG.md", "LICENSE", "LICENSE.openssl", "README.md", "package.json"]]);
    expect(others).toContain("docs/start.md");
    expect(others).toContain("examples/echo.ts");
  });

  test("has documents whose links lead to files of the package, and no directives for tests", () => {
    const pages = filesOf(packed.main).filter((path) => path.endsWith(".md"));
    const links = pages.flatMap((page) => {
      const text = readFileSync(join(packed.main, page), "utf8");
      expect(text).not.toMatch(/^<!-- (given|then|file|output)/m);
      return [...text.matchAll(/\]\(([^)\s#]+)/g)].map(([, target]) => [page, target!] as const);
    });
    const local = links.filter(([, target]) => !target.startsWith("http"));
    const dead = local.filter(
      ([page, target]) => !existsSync(join(packed.main, dirname(page), target)),
    );
    expect(dead).toEqual([]);
    expect(local).toContainEqual(["README.md", "docs/start.md"]);
  });

  test(
    "is installed by the hoisted linker and the isolated one, and runs",
    async () => {
      const isolated = await packed.project(program, "--linker=isolated");
      for (const path of [shared, isolated]) {
        expect((await runAsUser([bun, "program.ts"], path)).stdout).toBe(expected);
      }
    },
    bound,
  );

  test.each([
    "--compile",
    "--compile --bytecode",
    "--compile --minify --sourcemap",
    "--compile --bytecode --format=cjs",
  ])(
    "is in a program made by bun build %s",
    async (line) => {
      const options = line.split(" ");
      const empty = packed.emptyFolder();
      // A program of CommonJS cannot wait at its top level.
      const isCommonJs = options.includes("--bytecode");
      const wrapped = isCommonJs
        ? program.replace(/(import .*;)/, "$1\n(async () => {").concat("})();")
        : program;
      write("compiled.ts", wrapped);
      await runAsUser([bun, "build", ...options, "compiled.ts", "--outfile", "made"], shared);
      renameSync(join(shared, "made"), join(empty, "made"));
      expect((await runAsUser([join(empty, "made")], empty)).stdout).toBe(expected);
      expect(readdirSync(empty)).toEqual(["made"]);
      unlinkSync(join(empty, "made"));
    },
    bound,
  );

  test(
    "says what to do when its native package is missing",
    async () => {
      const path = await packed.project(program, "--omit=optional");
      const { stderr, exitCode } = await outcomeAsUser([bun, "program.ts"], path);
      expect(exitCode).not.toBe(0);
      expect(stderr).toContain(
        `plait: its package ${nativeName} is not installed, or not whole: run \`bun install --force\`, without \`--omit=optional\``,
      );
      const build = [bun, "build", "--compile", "program.ts", "--outfile", "made"];
      await runAsUser(build, path);
      expect((await outcomeAsUser(["./made"], path)).stderr).toContain(
        `plait: its package ${nativeName} is not installed, or not whole: build the program again after \`bun install --os='*' --cpu='*' --libc='*'\``,
      );
    },
    bound,
  );

  test.skipIf(!isInstalled("node"))(
    "says to Node that it runs on Bun",
    async () => {
      const path = write("program.mjs", `import { listen } from "plait";\nlisten();`);
      const node = [installedProgram("node"), path];
      expect((await outcomeAsUser(node, shared)).stderr).toContain("plait runs on Bun");
    },
    bound,
  );

  test(
    "is type-checked with the settings of bun init, and with stricter ones",
    async () => {
      const path = packed.copy(shared);
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
        symlinkSync(join(root, "node_modules", name), join(path, "node_modules", name));
      }
      const compiler = join(root, "node_modules", ".bin", "tsc");
      const check = async (compilerOptions: object, file: string): Promise<void> => {
        const config = JSON.stringify({ compilerOptions, files: [file] });
        writeFileSync(join(path, "tsconfig.json"), config);
        await runAsUser([compiler, "--project", path], path);
      };
      const others = ["net", "drivers", "load", "load/report"];
      const entries = others.map((name) => `import "plait/${name}";\n`).join("") + program;
      writeFileSync(join(path, "program.ts"), entries);
      await check(usual, "program.ts");
      // Stricter settings of a user apply to the user's own code.
      await check(strict, "program.ts");
      // Declarations of a user's library can name the types that it gets from plait.
      const library = `
        import { listen, spawn } from "plait";
        import { load, Histogram, jsonFeeder, type Context } from "plait/load";
        import { LiveView, mergeReports, reportText } from "plait/load/report";
        import net, { connect, createServer, Server, Socket } from "plait/net";
        export const values = [await listen({ port: 0 }), spawn(() => 1), connect(1), createServer()] as const;
        export const made = [new Socket(), new Server(), net] as const;
        export const run = load({ target: "http://localhost" }, (c) => c.http.get("/"));
        export const scenario = async (c: Context) => [await c.websocket(), c.data("users"), c.reader] as const;
        export const loads = [new Histogram(), jsonFeeder("rows.json"), new LiveView(process.stderr)] as const;
        export const texts = [mergeReports, reportText, scenario] as const;
      `;
      writeFileSync(join(path, "library.ts"), library);
      const emitted = {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        outDir: "out",
      };
      await check({ ...strict, ...emitted }, "library.ts");
      // The drivers take what plait makes for them, also when optional properties are exact.
      for (const name of ["@nats-io", "ioredis", "mysql2", "pg"]) {
        symlinkSync(join(root, "node_modules", name), join(path, "node_modules", name));
      }
      const drivers = `
        import { setTransportFactory } from "@nats-io/nats-core/internal";
        import { Redis } from "ioredis";
        import { createPool } from "mysql2/promise";
        import { Pool } from "pg";
        import { ioredis, mysql, nats, postgres } from "plait/drivers";
        setTransportFactory(nats({ tls: { ca: "ca.pem" } }));
        console.log(new Redis(ioredis()), createPool(mysql()), new Pool(postgres()));
      `;
      writeFileSync(join(path, "drivers.ts"), drivers);
      await check({ ...strict, skipLibCheck: true }, "drivers.ts");
      // Internal members are hidden from a user's editor.
      const misuse = `import { spawn } from "plait"; spawn(() => 1).finish(2);`;
      writeFileSync(join(path, "misuse.ts"), misuse);
      const failure = await failureOf(check(usual, "misuse.ts"));
      expect(failure.message).toMatch(/'finish' does not exist/);
    },
    bound,
  );
});
