/** The native packages: the core's library for every platform, built and checked on this machine. */

import { copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildLibrary, root, zigExecutable, zigVersion } from "../build.ts";
import { writeNativePackage } from "../native_package.ts";
import { type OpensslLibrary, opensslFor } from "../openssl.ts";
import { libraryFile, packageOf, type Target } from "../targets.ts";
import { checkLibrary } from "./library.ts";
import { nativePackageFaults } from "./packages.ts";
import { tryLibrary } from "./trial.ts";

export interface Native {
  readonly target: Target;
  readonly openssl: OpensslLibrary;
  /** The folder of the package. */
  readonly folder: string;
  readonly library: string;
  /** How it was tried. */
  readonly tried: string;
}

/** A platform without a package in this release. */
export interface LeftOut {
  readonly target: Target;
  readonly reason: string;
  /** Whether its library was built, and is not as it must be. */
  readonly isWrong: boolean;
}

/** Builds the packages into folders of `folder`. */
export function buildNatives(
  wanted: readonly Target[],
  folder: string,
): { readonly built: Native[]; readonly leftOut: LeftOut[] } {
  const built: Native[] = [];
  const leftOut: LeftOut[] = [];
  for (const target of wanted) {
    console.log(`building ${packageOf(target)} (${target.triple})`);
    const packageFolder = join(folder, packageOf(target));
    let isWrong = false;
    try {
      const openssl = buildNative(target, folder, packageFolder);
      isWrong = true;
      const library = join(packageFolder, libraryFile(target));
      checkLibrary(target, library);
      const faults = nativePackageFaults(target, packageFolder);
      if (!hasLicenseOf(openssl)) faults.push("LICENSE.openssl is not that of its OpenSSL");
      if (faults.length > 0) throw new Error(faults.join("; "));
      const tried = tryLibrary(target, library);
      built.push({ target, openssl, folder: packageFolder, library, tried });
    } catch (error) {
      rmSync(packageFolder, { recursive: true, force: true });
      leftOut.push({ target, isWrong, reason: (error as Error).message });
    }
  }
  return { built, leftOut };
}

/** Whether LICENSE.openssl is the licence that was in the tarball of OpenSSL. */
function hasLicenseOf({ ssl }: OpensslLibrary): boolean {
  const [own, theirs] = [join(root, "LICENSE.openssl"), join(dirname(ssl), "LICENSE.txt")].map(
    (path) => readFileSync(path, "utf8"),
  );
  return own === theirs;
}

function buildNative(target: Target, folder: string, packageFolder: string): OpensslLibrary {
  const openssl = opensslFor(zigExecutable(), target);
  // The same library with its symbols is for debuggers.
  const symbols = join(folder, "symbols", `${packageOf(target)}-${libraryFile(target)}.debug`);
  mkdirSync(join(folder, "symbols"), { recursive: true });
  const prefix = join(folder, `building-${target.name}`);
  try {
    copyFileSync(buildLibrary(target, openssl, "symbols", prefix), symbols);
    const library = buildLibrary(target, openssl, "stripped", prefix);
    const contents = { library, openssl, zigVersion: zigVersion() };
    writeNativePackage(target, contents, packageFolder);
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
  return openssl;
}
