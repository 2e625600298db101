/** The native packages: the core's library for every platform, built on this machine. */

import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { symbols as abi } from "../../src/core/abi.ts";
import { buildLibrary, zigExecutable } from "../build.ts";
import { writeNativePackage } from "../native_package.ts";
import { type OpensslLibrary, opensslFor } from "../openssl.ts";
import { libraryFile, packageOf, type Target } from "../targets.ts";
import { checkElf } from "./elf.ts";

export interface Native {
  readonly target: Target;
  readonly openssl: OpensslLibrary;
  /** The folder of the package. */
  readonly folder: string;
  readonly library: string;
  /** The same library with its symbols, for debuggers. */
  readonly symbols: string;
}

/** A platform whose library cannot be built here. */
export interface LeftOut {
  readonly target: Target;
  readonly reason: string;
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
    try {
      built.push(buildNative(target, folder));
    } catch (error) {
      leftOut.push({ target, reason: (error as Error).message });
    }
  }
  return { built, leftOut };
}

function buildNative(target: Target, folder: string): Native {
  const openssl = opensslFor(zigExecutable(), target);
  const packageFolder = join(folder, packageOf(target));
  const symbols = join(folder, "symbols", `${packageOf(target)}-${libraryFile(target)}.debug`);
  mkdirSync(join(folder, "symbols"), { recursive: true });
  const prefix = join(folder, `building-${target.name}`);
  try {
    copyFileSync(buildLibrary(target, openssl, "symbols", prefix), symbols);
    writeNativePackage(target, buildLibrary(target, openssl, "stripped", prefix), packageFolder);
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
  const library = join(packageFolder, libraryFile(target));
  // The dylibs of macOS are not checked yet.
  if (target.os !== "darwin") {
    checkElf(library, target.libc ?? "freebsd", Object.keys(abi));
  }
  return { target, openssl, folder: packageFolder, library, symbols };
}
