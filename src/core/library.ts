/**
 * Finds the library of the core. Each platform has a package of its own with it, and package managers install
 * the one that fits.
 *
 * Every import is a literal, behind a condition that `bun build --compile` evaluates for its target: so a
 * compiled program holds one library. On Linux `--define process.env.PLAIT_LIBC='"glibc"'` (or `musl`)
 * decides there too; otherwise a program gets the libraries that are installed.
 */

import { readFileSync } from "node:fs";
import { environmentVariable } from "./environment.ts";

/** A native package exports the path of its library. */
interface NativePackage {
  readonly default: string;
}

/**
 * The path of the library. `PLAIT_LIBRARY` names another build of the same core, such as the one with symbols.
 *
 * @throws {Error} with what to do, when the platform is unknown or its package is not installed
 */
export function findLibrary(): string {
  const chosen = environmentVariable("PLAIT_LIBRARY");
  if (chosen !== undefined) return chosen;
  const found = nativePackage();
  if (found !== undefined) return found.default;
  const name = nativePackageName();
  if (name === undefined) {
    const known = "Linux, macOS (x64 and arm64) and FreeBSD (x64)";
    throw new Error(`plait runs on ${known}, not on ${process.platform} ${process.arch}`);
  }
  const command = isCompiled()
    ? "build the program again after `bun install --os='*' --cpu='*'`"
    : "run `bun install`, without `--omit=optional`";
  throw new Error(`plait: its package ${name} is not installed: ${command}`);
}

/** The native package of the process. Undefined if it is not installed. */
function nativePackage(): NativePackage | undefined {
  try {
    if (process.platform === "linux" && process.arch === "x64") {
      return process.env.PLAIT_LIBC === "musl" || (process.env.PLAIT_LIBC !== "glibc" && isMusl())
        ? require("plait-linux-x64-musl")
        : require("plait-linux-x64");
    }
    if (process.platform === "linux" && process.arch === "arm64") {
      return process.env.PLAIT_LIBC === "musl" || (process.env.PLAIT_LIBC !== "glibc" && isMusl())
        ? require("plait-linux-arm64-musl")
        : require("plait-linux-arm64");
    }
    if (process.platform === "darwin" && process.arch === "x64") {
      return require("plait-darwin-x64");
    }
    if (process.platform === "darwin" && process.arch === "arm64") {
      return require("plait-darwin-arm64");
    }
    if (process.platform === "freebsd" && process.arch === "x64") {
      return require("plait-freebsd-x64");
    }
  } catch (error) {
    // Bun says it in one way at run time, and in another in a compiled program.
    if (!/^Cannot (find|require) module/.test(String((error as Error).message))) throw error;
  }
  return undefined;
}

/** The name of the native package of the process. Undefined for a platform without one. */
export function nativePackageName(): string | undefined {
  const platform = `${process.platform}-${process.arch}`;
  if (!platforms.has(platform)) return undefined;
  const suffix = process.platform === "linux" && isMusl() ? "-musl" : "";
  return `plait-${platform}${suffix}`;
}

const platforms: ReadonlySet<string> = new Set([
  ...["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"],
  "freebsd-x64",
]);

/**
 * Whether the C library of the process is musl. A glibc system may have musl's loader installed too: only what is
 * mapped tells.
 */
function isMusl(): boolean {
  const chosen = environmentVariable("PLAIT_LIBC");
  if (chosen !== undefined) return chosen === "musl";
  try {
    return readFileSync("/proc/self/maps", "latin1").includes("/ld-musl-");
  } catch {
    // Without /proc most systems have glibc.
    return false;
  }
}

/** Whether the program was made by `bun build --compile`. */
function isCompiled(): boolean {
  return import.meta.path.startsWith("/$bunfs/");
}
