/**
 * Builds the core with Zig when its sources have changed since the last build.
 *
 * It needs only Bun, since it runs before any dependency is installed.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ensureOpenssl, type OpensslLibrary } from "./openssl.ts";

export const root = join(import.meta.dir, "..");
const zigFolder = join(root, "zig");
const buildFolder = join(root, "build");

/** Both have the same code and safety checks. Programs load `stripped`; `symbols` is for a debugger. */
export type Variant = "stripped" | "symbols";

const variants = {
  stripped: { options: [], library: join(buildFolder, "libplait.so") },
  symbols: { options: ["-Dsymbols"], library: join(buildFolder, "libplait-symbols.so") },
} as const;

/** The library that programs load. */
export const libraryPath = variants.stripped.library;

/** The compiler that `bun install` fetched for this machine. */
export function zigExecutable(): string {
  const name = process.platform === "win32" ? "zig.exe" : "zig";
  const platform = `${process.platform}-${process.arch}`;
  return join(root, "node_modules", "@zigc", platform, "bin", name);
}

/** Installs the dependencies that package.json pins, unless they are there already. */
export function ensureDependencies(): void {
  const stamp = join(root, "node_modules", ".plait-lock");
  const lock = readFileSync(join(root, "bun.lock"), "utf8");
  if (existsSync(zigExecutable()) && existsSync(stamp) && readFileSync(stamp, "utf8") === lock) {
    return;
  }
  console.error("plait: installing dependencies");
  run([process.execPath, "install", "--frozen-lockfile"], root);
  if (!existsSync(zigExecutable())) {
    throw new Error(`no Zig compiler was installed for ${process.platform}-${process.arch}`);
  }
  writeFileSync(stamp, lock);
}

/** Builds one variant if its sources are not those of the last build. */
export function ensureBuilt(variant: Variant): void {
  const { options, library } = variants[variant];
  const stamp = `${library}.stamp`;
  const openssl = ensureOpenssl(zigExecutable());
  const wanted = sourcesHash(openssl);
  if (existsSync(library) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  console.error(`plait: building the core`);
  mkdirSync(buildFolder, { recursive: true });
  // Two processes may build at the same time, each in a folder of its own.
  const prefix = join(buildFolder, `${variant}-${process.pid}`);
  try {
    runZig([
      "build",
      "-Doptimize=ReleaseSafe",
      ...options,
      ...opensslOptions(openssl),
      "--prefix",
      prefix,
    ]);
    const suffix = process.platform === "darwin" ? "dylib" : "so";
    // A rename: a running program keeps the file that it has mapped.
    renameSync(join(prefix, "lib", `libplait.${suffix}`), library);
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
  // If sources were edited meanwhile, the next call builds again.
  if (sourcesHash(openssl) === wanted) writeFileSync(stamp, wanted);
}

export function runZig(argv: string[]): void {
  run([zigExecutable(), ...argv], zigFolder);
}

/** The options of zig/build.zig that name the OpenSSL to link. */
export function opensslOptions({ include, ssl, crypto, needs }: OpensslLibrary): string[] {
  const further = needs.map((name) => `-Dopenssl-needs=${name}`);
  const library = [`-Dopenssl-ssl=${ssl}`, `-Dopenssl-crypto=${crypto}`, ...further];
  return [`-Dopenssl-include=${include}`, ...library];
}

/** A hash of the core's sources, the compiler, OpenSSL and the kind of machine. */
function sourcesHash({ ssl, version, origin }: OpensslLibrary): string {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(`${process.platform} ${process.arch}\n`);
  hash.update(`${ssl} ${version} ${origin} ${statSync(ssl).mtimeMs}\n`);
  hash.update(readFileSync(join(root, "package.json")));
  for (const path of zigSources(zigFolder)) {
    hash.update(`${path}\n`);
    hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

function zigSources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        return entry.name === ".zig-cache" || entry.name === "zig-out" ? [] : zigSources(path);
      }
      // The core's tests are not part of the library.
      const isSource = /\.(zig|map)$/.test(entry.name) && !entry.name.endsWith("_test.zig");
      return isSource ? [path] : [];
    });
}

function run(command: string[], cwd: string): void {
  const { exitCode } = Bun.spawnSync(command, {
    cwd,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: exit code ${exitCode}`);
}
