/**
 * Makes the packages of a release in `dist`: the main one, one for each platform, and their tarballs. A platform
 * whose library cannot be built here, or is not as it must be, is left out and named at the end.
 *
 * `bun run release linux-x64 linux-arm64` builds these platforms alone.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./build.ts";
import { runQuietly } from "./openssl_command.ts";
import { writeMainPackage } from "./release/main_package.ts";
import { buildNatives } from "./release/natives.ts";
import { packageOf, targets } from "./targets.ts";

const folder = join(root, "dist");
const tarballs = join(folder, "tarballs");
const names = process.argv.slice(2);
const unknown = names.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0) {
  throw new Error(`plait: no platform is called ${unknown.join(", ")}`);
}
const wanted = targets.filter(({ name }) => names.length === 0 || names.includes(name));

rmSync(folder, { recursive: true, force: true });
mkdirSync(tarballs, { recursive: true });
const { built, leftOut } = buildNatives(wanted, folder);
await writeMainPackage(
  join(folder, "plait"),
  built.map(({ target }) => target),
);
for (const packageFolder of [join(folder, "plait"), ...built.map((native) => native.folder)]) {
  const pack = [process.execPath, "pm", "pack", "--quiet", "--destination", tarballs];
  const { succeeded, complaint } = runQuietly(pack, { cwd: packageFolder });
  if (!succeeded) throw new Error(`plait: ${packageFolder} cannot be packed: ${complaint}`);
}
writeFileSync(join(tarballs, "SHA256SUMS"), checksums(tarballs));

for (const { target, library, openssl } of built) {
  const megabytes = (statSync(library).size / 1e6).toFixed(2);
  console.log(`${packageOf(target)}: ${megabytes} MB, OpenSSL ${openssl.version}`);
}
for (const { target, reason } of leftOut) console.log(`${packageOf(target)}: left out: ${reason}`);
if (built.length === 0) process.exitCode = 1;

/** As sha256sum(1) checks them. */
function checksums(of: string): string {
  const lines = readdirSync(of)
    .sort()
    .map((name) => {
      const hash = new Bun.CryptoHasher("sha256").update(readFileSync(join(of, name)));
      return `${hash.digest("hex")}  ${name}\n`;
    });
  return lines.join("");
}
