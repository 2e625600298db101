/**
 * Builds the core with Zig when its sources have changed since the last build. In a checkout the package of this
 * platform is in `build`, and linked into `node_modules`: programs find it as users' programs do.
 *
 * It needs only Bun, since it runs before any dependency is installed.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { linkMachO } from "./mach_o_link.ts";
import { writeNativePackage } from "./native_package.ts";
import { ensureOpenssl, type OpensslLibrary } from "./openssl.ts";
import { runQuietly } from "./quiet_command.ts";
import { libraryFile, oldestMacOs, packageOf, type Target, thisMachine } from "./targets.ts";

export const root = join(import.meta.dir, "..");
const zigFolder = join(root, "zig");
const buildFolder = join(root, "build");

/** Both have the same code and safety checks. Programs load `stripped`; `symbols` is for a debugger. */
export type Variant = "stripped" | "symbols";

/** The package of this platform, and the library in it that programs load. */
const nativeFolder = join(buildFolder, packageOf(thisMachine()));
export const libraryPath = join(nativeFolder, libraryFile(thisMachine()));
const symbolsPath = join(buildFolder, "libplait-symbols.so");

/** The compiler that `bun install` fetched for this machine. */
export function zigExecutable(): string {
  const name = process.platform === "win32" ? "zig.exe" : "zig";
  const platform = `${process.platform}-${process.arch}`;
  return join(root, "node_modules", "@zigc", platform, "bin", name);
}

/** The version of the compiler. */
export function zigVersion(): string {
  const { succeeded, output, complaint } = runQuietly([zigExecutable(), "version"]);
  if (!succeeded) throw new Error(`zig version: ${complaint}`);
  return output.trim();
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
  const stamp = join(buildFolder, `${variant}.stamp`);
  const made = variant === "stripped" ? libraryPath : symbolsPath;
  const openssl = ensureOpenssl(zigExecutable());
  const wanted = sourcesHash(openssl, thisMachine());
  if (!existsSync(made) || !existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    console.error("plait: building the core");
    const prefix = join(buildFolder, `${variant}-${process.pid}`);
    try {
      const library = buildLibrary(thisMachine(), openssl, variant, prefix);
      // A rename: a running program keeps the file that it has mapped.
      if (variant === "symbols") renameSync(library, made);
      else {
        const contents = { library, openssl, zigVersion: zigVersion() };
        writeNativePackage(thisMachine(), contents, nativeFolder);
      }
    } finally {
      rmSync(prefix, { recursive: true, force: true });
    }
    // If sources were edited meanwhile, the next call builds again.
    if (sourcesHash(openssl, thisMachine()) === wanted) writeFileSync(stamp, wanted);
  }
  if (variant === "stripped") linkNativePackage();
}

/** Builds the library of a platform in the folder `prefix`, and returns its path. */
export function buildLibrary(
  target: Target,
  openssl: OpensslLibrary,
  variant: Variant,
  prefix: string,
): string {
  mkdirSync(prefix, { recursive: true });
  const isMachO = target.os === "darwin";
  // A library that is linked with the system's OpenSSL needs the system's glibc.
  const triple = openssl.origin === "built" ? [`-Dtarget=${target.triple}`] : [];
  runZig([
    "build",
    "-Doptimize=ReleaseSafe",
    ...triple,
    ...(variant === "symbols" && !isMachO ? ["-Dsymbols"] : []),
    // The same in both variants: so a debugger finds the symbols of a stripped library.
    `-Dbuild-id=${sourcesHash(openssl, target).slice(0, 40)}`,
    ...opensslOptions(openssl),
    "--prefix",
    prefix,
  ]);
  const library = join(prefix, "lib", libraryFile(target));
  if (isMachO) {
    linkMachO(library, {
      object: join(prefix, "lib", "plait.o"),
      archives: [openssl.ssl, openssl.crypto],
      cpu: target.cpu,
      oldest: oldestMacOs(target),
      isStripped: variant === "stripped",
    });
  }
  return library;
}

/** Makes `import "plait-linux-x64"` find the package in `build`. */
function linkNativePackage(): void {
  const link = join(root, "node_modules", packageOf(thisMachine()));
  try {
    if (realpathSync(link) === realpathSync(nativeFolder)) return;
  } catch {
    // There is no link yet.
  }
  rmSync(link, { recursive: true, force: true });
  symlinkSync(relative(dirname(link), nativeFolder), link);
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
function sourcesHash(openssl: OpensslLibrary, target: Target): string {
  const { version, origin, identity } = openssl;
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(`${target.triple} ${version} ${origin} ${identity}\n`);
  for (const name of ["package.json", "scripts/native_package.ts"]) {
    hash.update(readFileSync(join(root, name)));
  }
  for (const path of zigSources(zigFolder)) {
    hash.update(`${relative(root, path)}\n`);
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
