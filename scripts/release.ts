/**
 * Makes the packages of a release in `dist`: the main one, one for each platform, their tarballs with their checksums,
 * and what they are made of. A platform whose library cannot be built here, or is not as it must be, is left out and
 * named at the end.
 *
 * `bun run release linux-x64 linux-arm64` builds these platforms alone.
 */

import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, runZig } from "./build.ts";
import { billFile } from "./native_package.ts";
import { runQuietly } from "./quiet_command.ts";
import { tarballBudget } from "./release/budgets.ts";
import { checksumFaults, sha256Of, writeChecksums } from "./release/checksums.ts";
import { writeMainPackage } from "./release/main_package.ts";
import { buildNatives } from "./release/natives.ts";
import { bundledPackages, mainPackageFaults, tarballFaults } from "./release/packages.ts";
import { mainBill } from "./sbom.ts";
import { packageOf, targets, targetsNamed } from "./targets.ts";

const started = performance.now();
const folder = join(root, "dist");
const tarballs = join(folder, "tarballs");
const bills = join(folder, "sbom");
const names = process.argv.slice(2);
const wanted = names.length === 0 ? targets : targetsNamed(names);

rmSync(folder, { recursive: true, force: true });
for (const made of [tarballs, bills]) mkdirSync(made, { recursive: true });
const { built, leftOut } = buildNatives(wanted, folder);
const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const natives = built.map((native) => {
  const name = packageOf(native.target);
  copyFileSync(join(native.folder, billFile), join(bills, `${name}.cdx.json`));
  const { version } = own;
  const { license } = JSON.parse(readFileSync(join(native.folder, "package.json"), "utf8"));
  const tarball = packed(name, native.folder);
  return {
    ...native,
    tarball,
    package: { name, version, license, tarballHash: sha256Of(tarball) },
  };
});

const mainFolder = join(folder, "plait");
const builtTargets = built.map(({ target }) => target);
await writeMainPackage(mainFolder, builtTargets);
expectNone("plait", mainPackageFaults(mainFolder, builtTargets));
const mainTarball = packed("plait", mainFolder);
const mainText = mainBill(
  own,
  natives.map((native) => native.package),
  bundledPackages(),
);
writeFileSync(join(bills, "plait.cdx.json"), mainText);
writeChecksums(tarballs);
expectNone("SHA256SUMS", checksumFaults(tarballs));

console.log();
console.log(`plait ${own.version}: ${kilobytes(mainTarball)} as a tarball`);
for (const { target, library, openssl, tried, tarball } of natives) {
  const sizes = `${kilobytes(library)}, ${kilobytes(tarball)} as a tarball`;
  console.log(`${packageOf(target)}: built with OpenSSL ${openssl.version}: ${sizes}`);
  const format = target.os === "darwin" ? "Mach-O" : "ELF";
  console.log(`    ${format} and package checked; ${tried}`);
}
if (leftOut.length > 0) runZig(["build", "check"]);
for (const { target, reason } of leftOut) {
  console.log(`${packageOf(target)}: left out, its core type-checked alone: ${reason}`);
}
console.log(
  `${built.length} of ${wanted.length} in ${Math.round((performance.now() - started) / 1000)} s`,
);
if (built.length === 0 || leftOut.some(({ isWrong }) => isWrong)) process.exitCode = 1;

/** Packs a package, checks its tarball, and returns the tarball's path. */
function packed(name: string, from: string): string {
  const pack = [process.execPath, "pm", "pack", "--quiet", "--destination", tarballs];
  const { succeeded, complaint } = runQuietly(pack, { cwd: from });
  if (!succeeded) throw new Error(`plait: ${name} cannot be packed: ${complaint}`);
  const tarball = join(tarballs, `${name}-${own.version}.tgz`);
  expectNone(tarball, tarballFaults(tarball, from));
  const { size } = statSync(tarball);
  const most = tarballBudget(name);
  if (size > most) throw new Error(`plait: ${tarball} has ${size} bytes: ${most} are its budget`);
  return tarball;
}

function expectNone(subject: string, faults: readonly string[]): void {
  if (faults.length > 0) throw new Error(`plait: ${subject}: ${faults.join("; ")}`);
}

function kilobytes(path: string): string {
  return `${Math.round(statSync(path).size / 1000)} KB`;
}
