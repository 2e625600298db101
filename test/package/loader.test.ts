/** What an installed plait says when its library cannot be used: one sentence each, with what to do. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { zigExecutable } from "../../scripts/build.ts";
import { libraryFile, thisMachine } from "../../scripts/targets.ts";
import { abiNumber, symbols } from "../../src/core/abi.ts";
import { mapsMusl } from "../../src/core/library.ts";
import { canMount, mountedOn } from "../support/mounted.ts";
import { nativeName, Packed } from "../support/packed.ts";
import { echoProgram } from "../support/programs.ts";
import { bound, outcomeAsUser, runAsUser } from "../support/run_as_user.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const bun = process.execPath;
const { version } = manifest;
const program = `import { connect, listen } from "plait";\n${echoProgram}`;

let packed: Packed;
let project: string;

beforeAll(async () => {
  packed = await Packed.make();
  project = await packed.project(program);
}, bound);

afterAll(() => packed[Symbol.dispose]());

/** The sentence that a program ends with. */
async function sentenceOf(
  command: readonly string[],
  cwd: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout, stderr, exitCode } = await outcomeAsUser(command, cwd, variables);
  expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  return /^error: (.*)$/m.exec(stderr)?.[1] ?? stderr;
}

/** Compiles a library in C. */
function libraryOf(folder: TemporaryFolder, source: string): string {
  const file = folder.file("library.c");
  const path = folder.file("library.so");
  writeFileSync(file, source);
  const command = [zigExecutable(), "cc", "-shared", "-o", path, file];
  const { exitCode, stderr } = Bun.spawnSync(command, { stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`zig cc: ${stderr.toString()}`);
  return path;
}

/** A copy of the project whose native package has another library. */
function projectWith(change: (library: string, index: string) => void): string {
  const copy = packed.copy(project);
  const native = join(copy, "node_modules", nativeName);
  change(join(native, libraryFile(thisMachine())), join(native, "index.js"));
  return copy;
}

const title = `its package ${nativeName} (version ${version})`;
const remedy = `take ${nativeName} out of the overrides in package.json if it is there, and run \`bun install --force\``;

describe("a library with another ABI", () => {
  const other = abiNumber + 1;
  const number = `int plait_abi(void) { return ${other}; }`;
  // A call of any other function ends the process.
  const trap = (name: string) => `void ${name}(void) { __builtin_trap(); }`;
  const functions = Object.keys(symbols).filter((name) => name !== "plait_abi");

  test.each([
    ["the same functions", [number, ...functions.map(trap)], other],
    ["fewer functions", [number, trap("plait_open")], other],
    ["no number", ["int something;"], "none"],
  ])(
    "and %s is refused before a function is called",
    async (_name, source, found) => {
      using folder = new TemporaryFolder();
      const library = libraryOf(folder, source.join("\n"));
      const copy = projectWith((path, index) => {
        copyFileSync(library, path);
        const about = `export const version = "0.0.9", bytes = ${statSync(library).size};`;
        writeFileSync(index, `${about}\nexport default ${JSON.stringify(path)};`);
      });
      expect(await sentenceOf([bun, "program.ts"], copy)).toBe(
        `plait ${version} has ABI number ${abiNumber}, and its package ${nativeName} (version 0.0.9) has ${found}: ${remedy}`,
      );
      const variables = { PLAIT_LIBRARY: library };
      expect(await sentenceOf([bun, "program.ts"], project, variables)).toBe(
        `plait ${version} has ABI number ${abiNumber}, and the library ${library}, which PLAIT_LIBRARY names, has ${found}: build it again (\`bun run setup --symbols\` in a checkout), or unset PLAIT_LIBRARY`,
      );
    },
    bound,
  );
});

describe("a file that is no library of this machine", () => {
  test.each([
    [
      "was cut off",
      (path: string) => truncateSync(path, 100_000),
      /has 100000 bytes in place of \d+/,
    ],
    ["is empty", (path: string) => truncateSync(path, 0), /has 0 bytes in place of \d+/],
    [
      "has other bytes",
      (path: string) => writeFileSync(path, new Uint8Array(statSync(path).size)),
      /invalid ELF header|Exec format error/,
    ],
  ])(
    "because it %s is named",
    async (_name, change, reason) => {
      const copy = projectWith((path) => {
        // Not the file that others are linked to.
        writeFileSync(`${path}.new`, readFileSync(path));
        renameSync(`${path}.new`, path);
        change(path);
      });
      const sentence = await sentenceOf([bun, "program.ts"], copy);
      expect(sentence).toStartWith(`plait: ${title} cannot be loaded (`);
      expect(sentence).toMatch(reason);
      expect(sentence).toEndWith(`): ${remedy}`);
    },
    bound,
  );

  test(
    "because it is missing is named, and the command in the sentence mends it",
    async () => {
      const copy = projectWith(unlinkSync);
      expect(await sentenceOf([bun, "program.ts"], copy)).toBe(
        `plait: its package ${nativeName} is not installed, or not whole: run \`bun install --force\`, without \`--omit=optional\``,
      );
      await packed.install(copy, "--force");
      expect((await runAsUser([bun, "program.ts"], copy)).stdout).toBe("echo");
    },
    bound,
  );
});

test(
  "a platform without a library is named",
  async () => {
    const copy = packed.copy(project);
    const text = `Object.defineProperty(process, "platform", { value: "sunos" });\nawait import("plait");`;
    writeFileSync(join(copy, "program.ts"), text);
    expect(await sentenceOf([bun, "program.ts"], copy)).toBe(
      `plait runs on Linux, macOS (x64 and arm64) and FreeBSD (x64), not on sunos ${process.arch}`,
    );
  },
  bound,
);

describe("the C library of the process", () => {
  const glibc = "7f00-7f01 r--p 00000000 00:14 1   ";
  test.each([
    ["/lib/ld-musl-x86_64.so.1", true],
    ["/lib/ld-musl-aarch64.so.1 (deleted)", true],
    ["/usr/lib/x86_64-linux-musl/libc.so", true],
    ["/usr/lib/libc.so (deleted)", true],
    ["/usr/lib/x86_64-linux-gnu/libc.so.6", false],
    ["/lib64/libc-2.17.so", false],
    ["/home/user/libc.so.d/libother.so", false],
  ])("is seen by its file %s", (path, expected) => {
    expect(mapsMusl(`${glibc}/usr/bin/bun\n${glibc}${path}\n${glibc}[stack]\n`)).toBe(expected);
  });

  const libc = thisMachine().libc ?? "glibc";
  const other = libc === "glibc" ? "musl" : "glibc";
  test.skipIf(process.platform !== "linux")(
    "is not another one because PLAIT_LIBC says so",
    async () => {
      const begin = `plait: PLAIT_LIBC is ${other}, and this process runs with ${libc}: `;
      const command = [bun, "program.ts"];
      expect(await sentenceOf(command, project, { PLAIT_LIBC: other })).toBe(`${begin}unset it`);
      const { stdout } = await runAsUser(command, project, { PLAIT_LIBC: libc });
      expect(stdout).toBe("echo");

      const copy = packed.copy(project);
      const define = `process.env.PLAIT_LIBC="${other}"`;
      const build = ["build", "--target=bun", "--define", define, "--outdir=out", "program.ts"];
      await runAsUser([bun, ...build], copy);
      expect(await sentenceOf([bun, "out/program.js"], copy)).toBe(
        `${begin}build the program again with --define process.env.PLAIT_LIBC='"${libc}"'`,
      );
    },
    bound,
  );
});

describe.skipIf(!canMount)("a folder from which nothing can be executed", () => {
  test(
    "is named, where plait is installed in it",
    async () => {
      const place = packed.emptyFolder();
      const script = `cp -r ${project}/. . && exec ${bun} program.ts`;
      const command = mountedOn(place, "noexec", ["sh", "-c", `cd ${place} && ${script}`]);
      expect(await sentenceOf(command, place)).toBe(
        `plait: ${title} cannot be loaded, as nothing in ${place}/node_modules/${nativeName} can be executed: install it on a file system that is not mounted noexec`,
      );
    },
    bound,
  );

  test(
    "and one that is read-only: a compiled program names BUN_TMPDIR",
    async () => {
      const copy = packed.copy(project);
      await runAsUser([bun, "build", "--compile", "program.ts", "--outfile", "made"], copy);
      const place = packed.emptyFolder();
      const good = packed.emptyFolder();
      const outcome = (options: string, variables: Record<string, string>) =>
        sentenceOf(mountedOn(place, options, ["./made"]), copy, variables);
      const begin = "plait: Bun cannot unpack the library of this program, as ";
      const end = ": set BUN_TMPDIR to a folder that is writable and not mounted noexec";
      const forbidden = `${begin}nothing in ${place} can be executed${end}`;
      const readOnly = `${begin}the temporary folder cannot be written to${end}`;
      for (const name of ["TMPDIR", "BUN_TMPDIR"]) {
        expect(await outcome("noexec", { [name]: place })).toBe(forbidden);
        expect(await outcome("ro", { [name]: place })).toBe(readOnly);
      }
      // It has no room.
      expect(await outcome("size=64k", { BUN_TMPDIR: place })).toBe(readOnly);
      expect(await outcome("ro", { BUN_TMPDIR: join(place, "missing") })).toBe(readOnly);
      for (const options of ["noexec", "ro"]) {
        const variables = { TMPDIR: place, BUN_TMPDIR: good };
        const command = mountedOn(place, options, ["./made"]);
        expect((await runAsUser(command, copy, variables)).stdout).toBe("echo");
      }
      // Bun keeps the file for the next run.
      expect(readdirSync(good)).toHaveLength(1);

      // It is CommonJS, in which Bun replaces `import.meta.path` by the path of the source.
      writeFileSync(join(copy, "late.ts"), `import "plait";`);
      const late = ["build", "--compile", "--bytecode", "late.ts", "--outfile", "made"];
      await runAsUser([bun, ...late], copy);
      expect(await outcome("noexec", { BUN_TMPDIR: place })).toBe(forbidden);
    },
    bound,
  );
});
