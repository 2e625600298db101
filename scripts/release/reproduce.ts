/**
 * Proves that a release can be made again: makes it twice, in two copies of this checkout, and compares the checksums.
 * The second copy has a longer path, and caches of its own: it compiles OpenSSL and the core anew.
 *
 * `bun scripts/release/reproduce.ts [NAME ...]`; without names for this machine's platform alone.
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "../build.ts";
import { cacheFolder } from "../openssl.ts";
import { runQuietly } from "../quiet_command.ts";
import { targetsNamed, thisMachine } from "../targets.ts";
import { checksumFile, sha256Of } from "./checksums.ts";
import { filesOf } from "./main_package.ts";

const given = process.argv.slice(2);
const names = given.length > 0 ? given : [thisMachine().name];
targetsNamed(names); // throws before anything is built

const temporary = mkdtempSync(join(tmpdir(), "plait-reproduce-"));
try {
  const first = release(join(temporary, "a"), {});
  const caches = join(temporary, "caches");
  // The source of OpenSSL is not fetched again: its checksum is pinned.
  const tarballs = filesOf(cacheFolder()).filter((name) => /^openssl-[^/]*\.tar\.gz$/.test(name));
  for (const name of tarballs) cpSync(join(cacheFolder(), name), join(caches, "plait", name));
  const second = release(join(temporary, "another-folder-with-a-longer-name"), {
    XDG_CACHE_HOME: caches,
    ZIG_GLOBAL_CACHE_DIR: join(caches, "zig"),
  });
  const paths = [...new Set([...first.keys(), ...second.keys()])].sort();
  const differing = paths.filter((path) => first.get(path) !== second.get(path));
  for (const path of paths) {
    console.log(`${differing.includes(path) ? "differs" : "same   "}  ${path}`);
  }
  if (differing.length > 0) process.exitCode = 1;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/** Makes a release in a copy of this checkout. Returns the hashes of its files. */
function release(folder: string, environment: Record<string, string>): Map<string, string> {
  const { output } = runQuietly(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    { cwd: root },
  );
  for (const path of output.split("\0").filter((each) => each !== "")) {
    if (!existsSync(join(root, path))) continue; // It was removed, and that is not committed yet.
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const { exitCode } = Bun.spawnSync([process.execPath, "scripts/release.ts", ...names], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdout: "inherit",
    stderr: "inherit",
  });
  if (exitCode !== 0) throw new Error("plait: the release has failed");
  const dist = join(folder, "dist");
  console.log(readFileSync(join(dist, "tarballs", checksumFile), "utf8"));
  const hashes = filesOf(dist).map((path) => [path, sha256Of(join(dist, path))] as const);
  // Debug information of ELF names the folder of the sources. It is in no package.
  return new Map(hashes.filter(([path]) => !path.endsWith(".so.debug")));
}
