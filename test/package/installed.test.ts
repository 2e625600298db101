/** The package as a user installs it: from its tarballs, into an empty project. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { libraryPath, root } from "../../scripts/build.ts";
import { filesOf, writeMainPackage } from "../../scripts/release/main_package.ts";
import { packageOf, thisMachine } from "../../scripts/targets.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { echoProgram } from "../support/programs.ts";
import { bound, outcomeAsUser, runAsUser } from "../support/run_as_user.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const bun = process.execPath;
const native = packageOf(thisMachine());

const program = `
  import { connect, type Fiber, listen, spawn } from "plait";
  const fiber: Fiber<number> = spawn(() => 1);
  const any: Fiber = fiber;
  console.log((await fiber.join()).toFixed(), any.state);
  ${echoProgram}
`;
const expected = "1 done\necho";

describe("the package", () => {
  const folder = new TemporaryFolder();
  const main = folder.file("plait");
  let tarballs: { readonly main: string; readonly native: string };
  let projects = 0;
  afterAll(() => folder[Symbol.dispose]());

  async function packed(from: string, to: string): Promise<string> {
    mkdirSync(to);
    await runAsUser([bun, "pm", "pack", "--destination", to, "--quiet"], from);
    return join(to, readdirSync(to)[0]!);
  }

  beforeAll(async () => {
    await writeMainPackage(main, [thisMachine()]);
    tarballs = {
      main: await packed(main, folder.file("main-tarball")),
      native: await packed(dirname(libraryPath), folder.file("native-tarball")),
    };
  }, bound);

  /** A project with `program.ts` and plait. */
  async function project(...options: string[]): Promise<string> {
    const path = folder.file(`project-${projects++}`);
    mkdirSync(path);
    const manifest = {
      name: "project",
      type: "module",
      dependencies: { plait: `file:${tarballs.main}` },
      // Otherwise a registry would be asked for it.
      overrides: { [native]: `file:${tarballs.native}` },
    };
    writeFileSync(join(path, "package.json"), JSON.stringify(manifest));
    writeFileSync(join(path, "program.ts"), program);
    await runAsUser([bun, "install", ...options], path);
    return path;
  }

  test("has JavaScript, source maps, declarations and licences, and nothing else", () => {
    const others = filesOf(main).filter(
      (path) => !/^(index|src\/.*)\.(not_bun\.js|js|js\.map|d\.ts)$/.test(path),
    );
    expect(others).toEqual([
      ...["CHANGELOG.md", "LICENSE", "LICENSE.openssl", "README.md", "package.json"],
    ]);
  });

  test.each(["hoisted", "isolated"])(
    "is installed by the %s linker, and runs",
    async (linker) => {
      const path = await project(`--linker=${linker}`);
      expect((await runAsUser([bun, "program.ts"], path)).stdout).toBe(expected);
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
      const path = await project();
      const empty = folder.file(`empty-${projects}`);
      mkdirSync(empty);
      // A program of CommonJS cannot wait at its top level.
      const isCommonJs = options.includes("--bytecode");
      const wrapped = isCommonJs
        ? program.replace(/(import .*;)/, "$1\n(async () => {").concat("})();")
        : program;
      writeFileSync(join(path, "program.ts"), wrapped);
      await runAsUser([bun, "build", ...options, "program.ts", "--outfile", "made"], path);
      renameSync(join(path, "made"), join(empty, "made"));
      expect((await runAsUser([join(empty, "made")], empty)).stdout).toBe(expected);
      expect(readdirSync(empty)).toEqual(["made"]);
    },
    bound,
  );

  test(
    "says what to do when its native package is missing",
    async () => {
      const path = await project("--omit=optional");
      const { stderr, exitCode } = await outcomeAsUser([bun, "program.ts"], path);
      expect(exitCode).not.toBe(0);
      expect(stderr).toContain(
        `plait: its package ${native} is not installed, or not whole: run \`bun install --force\`, without \`--omit=optional\``,
      );
      const build = [bun, "build", "--compile", "program.ts", "--outfile", "made"];
      await runAsUser(build, path);
      expect((await outcomeAsUser(["./made"], path)).stderr).toContain(
        `plait: its package ${native} is not installed, or not whole: build the program again after \`bun install --os='*' --cpu='*' --libc='*'\``,
      );
    },
    bound,
  );

  test.skipIf(!isInstalled("node"))(
    "says to Node that it runs on Bun",
    async () => {
      const path = await project();
      writeFileSync(join(path, "program.mjs"), `import { listen } from "plait";\nlisten();`);
      const node = [installedProgram("node"), "program.mjs"];
      expect((await outcomeAsUser(node, path)).stderr).toContain("plait runs on Bun");
    },
    bound,
  );

  test(
    "is type-checked with the settings of bun init, and with stricter ones",
    async () => {
      const path = await project();
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
      const entries = `import "plait/net";\nimport "plait/drivers";\n${program}`;
      writeFileSync(join(path, "program.ts"), entries);
      await check(usual, "program.ts");
      // Stricter settings of a user apply to the user's own code.
      await check(strict, "program.ts");
      // Internal members are hidden from a user's editor.
      const misuse = `import { spawn } from "plait"; spawn(() => 1).finish(2);`;
      writeFileSync(join(path, "misuse.ts"), misuse);
      const failure = await failureOf(check(usual, "misuse.ts"));
      expect(failure.message).toMatch(/'finish' does not exist/);
    },
    bound,
  );
});
