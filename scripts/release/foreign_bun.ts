/** Bun for another platform, and how a program of that platform is run on this machine. */

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../openssl.ts";
import { runQuietly } from "../quiet_command.ts";
import { packageOf, type Target } from "../targets.ts";
import { ensureMusl } from "./musl_library.ts";

export interface ForeignBun {
  /** The command before the arguments of Bun. */
  readonly command: readonly string[];
  /** The command before the arguments of a compiled program. */
  readonly runner: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Whether each instruction is emulated, which is slow. */
  readonly isEmulated: boolean;
}

/** Bun's packages, by the platforms that can be run on Linux x64. */
const packages: Readonly<Record<string, string>> = {
  "linux-arm64": "@oven/bun-linux-aarch64",
  "linux-x64-musl": "@oven/bun-linux-x64-musl",
  "linux-arm64-musl": "@oven/bun-linux-aarch64-musl",
};

/** Debian's package libc6-arm64-cross puts glibc for arm64 there. */
const arm64Root = "/usr/aarch64-linux-gnu";

/**
 * Bun of this version for a platform.
 *
 * @throws {Error} with the reason when programs of the platform cannot be run here
 */
export function foreignBun(target: Target): ForeignBun {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error("programs of other platforms are run on Linux x64");
  }
  if (target.name === "linux-x64") {
    const command = [process.execPath];
    return { command, runner: [], environment: {}, isEmulated: false };
  }
  const name = packages[target.name];
  if (name === undefined) throw new Error("nothing here runs its programs");
  const isEmulated = target.cpu !== "x64";
  const emulator = Bun.which("qemu-aarch64-static") ?? Bun.which("qemu-aarch64");
  if (isEmulated && emulator === null) {
    throw new Error("qemu-aarch64-static is missing (Debian: qemu-user-static)");
  }
  const bun = fetchBun(name);
  let root = arm64Root;
  let environment = {};
  if (target.libc === "musl") {
    const musl = ensureMusl(
      target.cpu,
      bun,
      join(cacheFolder(), `musl-${target.cpu}-bun-${Bun.version}`),
    );
    root = musl.root;
    environment = { LD_LIBRARY_PATH: musl.libraries };
  } else if (!existsSync(root)) {
    throw new Error(`${root} is missing (Debian: libc6-arm64-cross)`);
  }
  const runner = isEmulated ? [emulator!, "-L", root] : [];
  return { command: [...runner, bun], runner, environment, isEmulated };
}

/** Installs one of Bun's packages, and returns the path of the executable. */
function fetchBun(name: string): string {
  const folder = join(cacheFolder(), `${name.replace("@oven/", "")}-${Bun.version}`);
  const path = join(folder, "node_modules", name, "bin", "bun");
  if (existsSync(path)) return path;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const manifest = { dependencies: { [name]: Bun.version } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const all = ["--os=*", "--cpu=*", "--libc=*"];
  const { complaint } = runQuietly([process.execPath, "install", ...all], { cwd: folder });
  if (!existsSync(path)) throw new Error(`${name} ${Bun.version} cannot be fetched: ${complaint}`);
  return path;
}

/** The name of a platform for `bun build --compile --target`. */
export function compileTarget(target: Target): string {
  return packageOf(target).replace("plait-", "bun-");
}
