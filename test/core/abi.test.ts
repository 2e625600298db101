/** The boundary between TypeScript and Zig. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { libraryPath, root, runZig } from "../../scripts/build.ts";
import { abi } from "../../scripts/release/abi.ts";
import { abiNumber } from "../../src/core/abi.ts";
import { core } from "../../src/core/native.ts";
import { exportedSymbols } from "../support/elf.ts";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: the exported symbols are read from ELF files only");

/** Milliseconds. The compiler's cache makes it short unless the core has changed. */
const compilerBound = 120_000;

function textOf(...path: string[]): string {
  return readFileSync(join(root, ...path), "utf8");
}

describe("the C ABI", () => {
  test(
    "src/core/abi.ts is what the core's sources generate",
    () => {
      runZig(["build", "abi"]);
      expect(textOf("src", "core", "abi.ts")).toBe(textOf("zig", "zig-out", "abi.ts"));
    },
    compilerBound,
  );

  test("the loaded core has the same number", () => {
    expect(core.abi()).toBe(abiNumber);
  });

  test.skipIf(!isLinux)(
    "the library exports the functions of src/core/abi.ts and nothing else",
    () => {
      expect(exportedSymbols(libraryPath).sort()).toEqual([...abi.exports].sort());
    },
  );

  test(
    "the core type-checks for every system that it supports",
    () => {
      runZig(["build", "check"]);
      const targets = [...textOf("zig", "build.zig").matchAll(/^ {4}"([a-z0-9_]+-[a-z-]+)",$/gm)];
      expect(targets.map(([, target]) => target)).toEqual([
        "aarch64-macos",
        "x86_64-freebsd",
        "aarch64-linux-gnu",
        "x86_64-linux-musl",
      ]);
    },
    compilerBound,
  );

  test("zig/boundary/exports.zig and zig/library.zig are the only files that export", () => {
    const folder = join(root, "zig");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
      (path) => path.endsWith(".zig") && !path.includes(".zig-cache"),
    );
    const exporting = files.filter((path) => /\bexport fn\b|@export\(/.test(textOf("zig", path)));
    expect(files).toContain("boundary/exports.zig");
    expect(exporting).toEqual(["library.zig"]);
  });
});
