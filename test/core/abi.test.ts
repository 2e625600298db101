/** The boundary between TypeScript and Zig, and the direction of the imports. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { libraryOf, root, runZig } from "../../scripts/build.ts";
import { abiNumber, symbols } from "../../src/core/abi.ts";
import { core } from "../../src/core/native.ts";
import { exportedSymbols } from "../support/elf.ts";

const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: the exported symbols are read from ELF files only");

/** The compiler's cache makes this short unless the core has changed. */
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

  test("the tests run against a checked core", () => {
    expect(core.isChecked()).toBe(1);
  });

  test.skipIf(!isLinux).each(["fast", "checked"] as const)(
    "the %s library exports the functions of src/core/abi.ts and nothing else",
    (variant) => {
      expect(exportedSymbols(libraryOf(variant)).sort()).toEqual(Object.keys(symbols).sort());
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

/** What each file of src imports. */
const importsOf = new Map<string, string[]>();
const transpiler = new Bun.Transpiler({ loader: "ts" });
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
for (const file of sources.filter((path) => path.endsWith(".ts"))) {
  // The transpiler leaves out imports of types; they count here as well.
  const source = textOf("src", file);
  const typed = [...source.matchAll(/\bfrom "([^"]+)"/g)].map(([, path]) => path!);
  const found = transpiler.scanImports(source).map(({ path }) => path);
  importsOf.set(file, [...new Set([...typed, ...found])]);
}

function filesThatImport(path: string): string[] {
  return [...importsOf].filter(([, paths]) => paths.includes(path)).map(([file]) => file);
}

describe("the direction of the imports", () => {
  test("only src/core/native.ts knows bun:ffi", () => {
    expect(filesThatImport("bun:ffi")).toEqual(["core/native.ts"]);
    expect(filesThatImport("bun:jsc")).toEqual(["core/native.ts"]);
  });

  test("only src/core/native.ts has the table of functions", () => {
    const users = [...importsOf.keys()].filter((file) =>
      /import \{[^}]*\bsymbols\b[^}]*\} from "\.[./a-z]*\/abi\.ts"/.test(textOf("src", file)),
    );
    expect(users).toEqual(["core/native.ts"]);
  });

  test("nothing in src imports the public API", () => {
    for (const [file, paths] of importsOf) {
      const outside = paths
        .filter((path) => path.startsWith("."))
        .map((path) => join("src", file, "..", path))
        .filter((path) => !/^src\/|^build\/|^package\.json$/.test(path));
      expect([file, outside]).toEqual([file, []]);
    }
  });

  test("nothing is imported that is neither plait's nor Bun's", () => {
    const foreign = [...importsOf.values()]
      .flat()
      .filter((path) => !/^\.\.?\/|^node:|^bun:/.test(path));
    expect(foreign).toEqual([]);
  });

  test("the public API exports nothing that its own file defines", () => {
    const code = textOf("index.ts").replaceAll(/\/\*[\s\S]*?\*\//g, "");
    const rest = code.replaceAll(
      /export (?:type )?\{[^}]*\} from "\.\/src\/[a-z]+\/[a-z_]+\.ts";/g,
      "",
    );
    expect(rest.trim()).toBe("");
  });

  test("the package has no dependencies at run time", () => {
    const manifest: unknown = JSON.parse(textOf("package.json"));
    expect(manifest).not.toHaveProperty("dependencies");
    expect(manifest).not.toHaveProperty("peerDependencies");
  });
});
