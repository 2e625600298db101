/**
 * Finds the library of the core, and says in one sentence what to do when it cannot be used. Each platform has a
 * package of its own with it, and package managers install the one that fits.
 *
 * Every import is a literal, behind a condition that `bun build --compile` evaluates for its target: so a
 * compiled program holds one library. On Linux `--define process.env.PLAIT_LIBC='"glibc"'` (or `musl`)
 * decides there too; otherwise a program gets the libraries that are installed.
 */

import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { abiNumber } from "./abi.ts";
import { environmentVariable } from "./environment.ts";

/** What a native package exports: the path of its library, and what that file should be. */
interface NativePackage {
  readonly default: string;
  readonly version: string;
  readonly bytes: number;
}

export interface Library {
  readonly path: string;
  /** What it is called in errors. */
  readonly title: string;
  /** What brings another file in its place. */
  readonly remedy: string;
}

/**
 * The library for this process. `PLAIT_LIBRARY` names another build of the same core, such as the one with symbols.
 *
 * @throws {Error} with what to do, when the platform is unknown, its package is not installed or incomplete, or
 * `PLAIT_LIBC` is not the C library of the process
 */
export function findLibrary(): Library {
  const chosen = environmentVariable("PLAIT_LIBRARY");
  if (chosen !== undefined) {
    const remedy =
      "build it again (`bun run setup --symbols` in a checkout), or unset PLAIT_LIBRARY";
    return { path: chosen, title: `the library ${chosen}, which PLAIT_LIBRARY names,`, remedy };
  }
  const name = nativePackageName();
  if (name === undefined) {
    const known = "Linux, macOS (x64 and arm64) and FreeBSD (x64)";
    throw new Error(`plait runs on ${known}, not on ${process.platform} ${process.arch}`);
  }
  if (process.platform === "linux") checkLibc();
  const found = nativePackage();
  if (found === undefined) {
    const command = isEmbedded(Bun.main)
      ? "build the program again after `bun install --os='*' --cpu='*' --libc='*'`"
      : "run `bun install --force`, without `--omit=optional`";
    throw new Error(`plait: its package ${name} is not installed, or not whole: ${command}`);
  }
  const library = {
    path: found.default,
    title: `its package ${name} (version ${found.version})`,
    remedy: isCheckout
      ? "run `bun run abi`"
      : `take ${name} out of the overrides in package.json if it is there, and ${isEmbedded(found.default) ? "build the program again after" : "run"} \`bun install --force\``,
  };
  if (isEmbedded(found.default)) return library;
  const size = statSync(found.default, { throwIfNoEntry: false })?.size;
  if (size === undefined) {
    // In an installed package the import of the file fails before.
    const command = "copy the whole folder that `bun build` has written";
    throw new Error(`plait: ${found.default} is missing, which this bundle needs: ${command}`);
  }
  // A process that loads a file that was cut off is killed by SIGBUS.
  if (size !== found.bytes) {
    throw loadFailure(library, `the library has ${size} bytes in place of ${found.bytes}`);
  }
  return library;
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
  return `plait-${platform}${process.platform === "linux" && isMusl() ? "-musl" : ""}`;
}

const platforms: ReadonlySet<string> = new Set([
  ...["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"],
  "freebsd-x64",
]);

/** Throws if `PLAIT_LIBC` is not the C library of the process, with which the other library may hang. */
function checkLibc(): void {
  const chosen = process.env.PLAIT_LIBC;
  if (!chosen) return;
  const actual = isMusl() ? "musl" : "glibc";
  if (chosen === actual) return;
  const remedy =
    chosen === environmentVariable("PLAIT_LIBC")
      ? "unset it"
      : `build the program again with --define process.env.PLAIT_LIBC='"${actual}"'`;
  throw new Error(
    `plait: PLAIT_LIBC is ${chosen}, and this process runs with ${actual}: ${remedy}`,
  );
}

let musl: boolean | undefined;

/** Whether the C library of the process is musl. Both may be installed: only what is mapped tells. */
function isMusl(): boolean {
  if (musl === undefined) {
    try {
      musl = mapsMusl(readFileSync("/proc/self/maps", "latin1"));
    } catch {
      // Without /proc: `PLAIT_LIBC`, or the system for which this Bun was built.
      const built = String(process.release.sourceUrl).includes("-musl");
      musl = process.env.PLAIT_LIBC ? process.env.PLAIT_LIBC === "musl" : built;
    }
  }
  return musl;
}

/** Whether musl is mapped. It is one file, which has one of two names; the other name is a link to it. */
export function mapsMusl(maps: string): boolean {
  return /\/(ld-musl-[^/\n]*\.so\.1|libc\.so)( \(deleted\))?$/m.test(maps);
}

/** The error for a library that dlopen(3) refuses. `said` is its message. */
export function loadFailure({ path, title, remedy }: Library, said: string): Error {
  const place = /^Failed to open library "([^"]*)"/.exec(said)?.[1] ?? path;
  const reason = said.replace(/^Failed to open library "[^"]*": /, "");
  // In the words of glibc and of musl.
  const isForbidden = /failed to map segment|Operation not permitted/.test(reason);
  if (isEmbedded(path) && (isForbidden || isEmbedded(place))) {
    const problem = isForbidden
      ? `nothing in ${dirname(place)} can be executed`
      : "the temporary folder cannot be written to";
    const needed = "set BUN_TMPDIR to a folder that is writable and not mounted noexec";
    return new Error(
      `plait: Bun cannot unpack the library of this program, as ${problem}: ${needed}`,
    );
  }
  if (isForbidden) {
    const needed = "install it on a file system that is not mounted noexec";
    return new Error(
      `plait: ${title} cannot be loaded, as nothing in ${dirname(path)} can be executed: ${needed}`,
    );
  }
  return new Error(`plait: ${title} cannot be loaded (${reason}): ${remedy}`);
}

/** The error for a library with another ABI. `found` is its number, if it has one. */
export function abiFailure({ title, remedy }: Library, found: number | undefined): Error {
  const other = found === undefined ? "none" : found;
  return new Error(
    `plait ${manifest.version} has ABI number ${abiNumber}, and ${title} has ${other}: ${remedy}`,
  );
}

/** Whether a file is in the program, as `bun build --compile` puts it there. */
function isEmbedded(path: string): boolean {
  return path.startsWith("/$bunfs/");
}

/** Whether these are the sources, and not the package that is made of them. */
const isCheckout = import.meta.path.endsWith(".ts");
