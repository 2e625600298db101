/** Makes small libraries with the exports of the core, which have one fault each or none. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { zigExecutable } from "../../scripts/build.ts";
import { type Abi, abiSymbol } from "../../scripts/release/abi.ts";
import { runCommand } from "./run_command.ts";

/** Functions that do nothing; one needs the C library, and one constant an address that the loader fills in. */
export function sourceOf(abi: Abi): string {
  const [first, ...others] = abi.exports.filter((name) => name !== abiSymbol);
  const visible = '__attribute__((visibility("default")))';
  return [
    "#include <string.h>",
    ...others.map((name) => `${visible} int ${name}(void) { return 0; }`),
    `static int (*const table[])(void) = { ${others.slice(0, 2).join(", ")} };`,
    "static volatile int chosen;",
    "__attribute__((noinline)) void *hidden_function(void *to) {",
    "  return memset(to, table[chosen & 1](), chosen);",
    "}",
    `${visible} int ${first}(void) { char to[64]; return hidden_function(to) == to; }`,
    `${visible} extern const unsigned ${abiSymbol};`,
    `const unsigned ${abiSymbol} = ${abi.number}u;`,
    "",
  ].join("\n");
}

/** Compiles and links C into `folder` with Zig. Returns the library's path. */
export async function linkLibrary(
  folder: string,
  name: string,
  source: string,
  ...options: string[]
): Promise<string> {
  return await compile(folder, name, source, ["-shared", "-g0", ...options]);
}

/** Compiles C into an object in `folder`. Returns its path. */
export async function compileObject(
  folder: string,
  name: string,
  source: string,
  ...options: string[]
): Promise<string> {
  return await compile(folder, `${name}.o`, source, ["-c", "-g0", ...options]);
}

async function compile(
  folder: string,
  name: string,
  source: string,
  options: readonly string[],
): Promise<string> {
  const [file, made] = [join(folder, `${name}.c`), join(folder, name)];
  writeFileSync(file, source);
  const usual = ["-fPIC", "-O1", "-fvisibility=hidden"];
  const command = [zigExecutable(), "cc", ...usual, ...options, "-o", made, file];
  const { exitCode, stderr } = await runCommand(command, undefined, 120_000);
  if (exitCode !== 0) throw new Error(`zig cc ${name}: ${stderr}`);
  return made;
}
