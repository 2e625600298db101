/** The direction of the imports of the core: which folder may know which, and no circles. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "../../scripts/build.ts";

/** A file imports from its own folder and from those before it. */
const layers = ["os", "core", "net", "tls", "thread", "boundary", "."];

/** What both sides of the boundary name: every layer may import it, and it imports none. */
const vocabulary = "boundary/abi.zig";

const folder = join(root, "zig");

/** The files of the core without its tests, each with the files that it imports. */
function importsOfFiles(): Map<string, string[]> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".zig") && !/^(\.zig-cache|zig-out)\//.test(name))
    .filter((name) => !name.endsWith("_test.zig") && name !== "tests.zig" && name !== "build.zig");
  const importsOf = (name: string) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/@import\("([^"]+\.zig)"\)/g)].map(
      ([, path = ""]) => normalize(join(dirname(name), path)).replaceAll("\\", "/"),
    );
  return new Map(files.map((name) => [name, importsOf(name)]));
}

const imports = importsOfFiles();

function layerOf(name: string): number {
  const [first = "", second] = name.split("/");
  return layers.indexOf(second === undefined ? "." : first);
}

/** The first circle that a walk along the imports comes to, as the files in its order. */
function findCircle(): string[] {
  const finished = new Set<string>();
  const path: string[] = [];
  function visit(name: string): string[] {
    const at = path.indexOf(name);
    if (at >= 0) return [...path.slice(at), name];
    if (finished.has(name)) return [];
    path.push(name);
    for (const imported of imports.get(name) ?? []) {
      const circle = visit(imported);
      if (circle.length > 0) return circle;
    }
    path.pop();
    finished.add(name);
    return [];
  }
  for (const name of imports.keys()) {
    const circle = visit(name);
    if (circle.length > 0) return circle;
  }
  return [];
}

describe("the layers of zig/", () => {
  test("every file is in a layer, and imports files that exist", () => {
    expect(imports.size).toBeGreaterThan(40);
    expect([...imports.keys()].filter((name) => layerOf(name) < 0)).toEqual([]);
    expect([...imports.values()].flat().filter((name) => !imports.has(name))).toEqual([]);
  });

  test("no file imports from a layer above its own", () => {
    const upward = [...imports].flatMap(([name, imported]) =>
      imported
        .filter((other) => other !== vocabulary && layerOf(other) > layerOf(name))
        .map((other) => `${name} imports ${other}`),
    );
    expect(upward).toEqual([]);
    expect(imports.get(vocabulary)).toEqual([]);
  });

  test("the record layer of TLS knows neither sockets nor the scheduler nor the system", () => {
    const known = ["tls/openssl.zig", "tls/reasons.zig", "os/bug.zig"];
    const record = [...imports].filter(([name]) => name.startsWith("tls/record/"));
    expect(record.length).toBeGreaterThan(3);
    const foreign = record
      .flatMap(([, imported]) => imported)
      .filter((name) => !name.startsWith("tls/record/") && !known.includes(name));
    expect(foreign).toEqual([]);
  });

  test("only os/ calls the system, so that another kernel can be put under the core", () => {
    // Memory and OpenSSL are not the kernel's matter, and the generator of the ABI is a program of its own.
    const call =
      /\b(?:std\.)?c\.(?!malloc\b|free\b)[a-z_]\w*\(|std\.(?:posix\.[a-z]\w*\(|os\.|Thread|fs\.|net\.)|extern "c" fn (?!malloc_)/;
    const callers = [...imports.keys()]
      .filter(
        (name) =>
          !name.startsWith("os/") && !["generate_abi.zig", "tls/openssl.zig"].includes(name),
      )
      .filter((name) => call.test(readFileSync(join(folder, name), "utf8")));
    expect(callers).toEqual([]);
    // What depends on the kernel is reached through kernel.zig.
    const parts = ["system", "faulty_system", "backend", "names"].map((name) => `os/${name}.zig`);
    const around = [...imports].flatMap(([name, imported]) =>
      imported.filter((other) => !name.startsWith("os/") && parts.includes(other)),
    );
    expect(around).toEqual([]);
  });

  test("no file imports itself by way of others", () => {
    expect(findCircle()).toEqual([]);
  });
});
