/** Tries a library on this machine, by loading it and calling the one function that needs nothing before it. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { abiNumber } from "../../src/core/abi.ts";
import { zigExecutable } from "../build.ts";
import { runQuietly } from "../quiet_command.ts";
import { type Target, thisMachine } from "../targets.ts";

/** What a platform's programs start with here, where that is installed: an emulator and the C library's loader. */
const runners: Readonly<Record<string, { needs: readonly string[]; command: readonly string[] }>> =
  {
    "linux-x64-musl": {
      needs: ["/lib/ld-musl-x86_64.so.1"],
      command: [],
    },
    "linux-arm64": {
      needs: ["/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1"],
      command: ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
    },
    "linux-arm64-musl": {
      needs: ["/lib/ld-musl-aarch64.so.1"],
      command: ["qemu-aarch64-static"],
    },
  };

const program = `
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **words) {
  void *library = count > 1 ? dlopen(words[1], RTLD_NOW) : NULL;
  int (*number)(void) = library == NULL ? NULL : (int (*)(void))dlsym(library, "plait_abi");
  if (number == NULL) return puts(dlerror()), 1;
  return printf("%d", number()), 0;
}
`;

/** Returns how the library was tried. Throws if it cannot be loaded, or has another ABI number. */
export function tryLibrary(target: Target, library: string): string {
  if (target === thisMachine()) {
    const script = `
      const { dlopen } = require("bun:ffi");
      const { plait_abi } = dlopen(process.argv.at(-1), { plait_abi: { args: [], returns: "i32" } }).symbols;
      process.stdout.write(String(plait_abi()));
    `;
    expectNumber(target, [process.execPath, "-e", script, library]);
    return "loaded and called by this machine's Bun";
  }
  const runner = runners[target.name];
  if (runner === undefined) return "not run: there is no such machine here";
  const [emulator] = runner.command;
  const missing = runner.needs.filter((path) => !existsSync(path));
  if (emulator !== undefined && Bun.which(emulator) === null) missing.push(emulator);
  if (missing.length > 0) return `not run: this machine lacks ${missing.join(" and ")}`;
  const folder = mkdtempSync(join(tmpdir(), "plait-trial-"));
  try {
    const source = join(folder, "trial.c");
    const executable = join(folder, "trial");
    writeFileSync(source, program);
    // Without optimization Zig adds its sanitizer, which takes newer functions of the C library than there may be.
    const options = ["-target", target.triple, "-O1", "-dynamic", "-o", executable, source];
    const compiled = runQuietly([zigExecutable(), "cc", ...options]);
    if (!compiled.succeeded) throw new Error(`zig cc: ${compiled.complaint}`);
    expectNumber(target, [...runner.command, executable, library]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const by = emulator === undefined ? "" : ` under ${emulator}`;
  return `loaded and called by a C program${by}`;
}

function expectNumber(target: Target, command: string[]): void {
  const { succeeded, output, complaint } = runQuietly(command, { timeoutSeconds: 60 });
  if (succeeded && output === String(abiNumber)) return;
  throw new Error(`${target.name}: its library cannot be used here: ${output} ${complaint}`);
}
