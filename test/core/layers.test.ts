/** The layers of src, and the direction of the imports. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { packageOf, targets } from "../../scripts/targets.ts";

/** The folders of src, each with those that it may import from. */
const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  values: ["core"],
  runtime: ["core", "values"],
  sync: ["core", "values", "runtime"],
  tls: ["core", "values", "runtime"],
  streams: ["core", "values", "runtime"],
  net: ["core", "values", "runtime", "tls", "streams"],
  buffered: ["core", "values", "runtime", "tls", "net"],
  node: ["core", "values", "runtime", "tls", "net", "buffered"],
  drivers: ["core", "values", "runtime", "tls", "net", "buffered", "node"],
  process: ["core", "values", "runtime", "tls", "net"],
  cluster: ["core", "values", "runtime", "tls", "net", "process"],
  http: ["core", "values", "runtime", "sync", "tls", "net"],
  websocket: ["core", "values", "runtime", "net", "http"],
  load: [
    ...["core", "values", "runtime", "sync", "tls", "net", "buffered", "process"],
    ...["http", "websocket"],
  ],
  report: ["core", "values", "runtime", "net", "buffered", "load"],
  command: ["values", "tls", "net", "process", "http", "load", "report"],
};

function textOf(...path: string[]): string {
  return readFileSync(join(root, ...path), "utf8");
}

/** What package.json names beside index.ts: entries of the package, and its program. */
const entries: readonly string[] = [
  "node/net.ts",
  "drivers/drivers.ts",
  "load/load.ts",
  "report/report.ts",
  "command/plait.ts",
];

/** Packages that are loaded on first use, by the file that loads each. They are optional peers. */
const optionalPeers: Readonly<Record<string, string>> = {
  "http/cookies.ts": "tough-cookie",
  "load/data/feeder.ts": "csv-parse/sync",
};

/** Texts of other packages, which plait's own package has copies of. */
const foreignTexts: readonly string[] = [
  "uplot/LICENSE",
  "uplot/dist/uPlot.iife.min.js",
  "uplot/dist/uPlot.min.css",
];

/** The imports of each file of src. */
const importsOf = new Map<string, string[]>();
const transpiler = new Bun.Transpiler({ loader: "ts" });
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
for (const file of sources.filter((path) => path.endsWith(".ts"))) {
  // The transpiler leaves out imports of types, which count here too.
  const source = textOf("src", file).replace(/^#!.*/, "");
  const typed = [...source.matchAll(/^(?:import|export|\}) .*\bfrom "([^"]+)"/gm)].map(
    ([, path]) => path!,
  );
  const found = transpiler.scanImports(source).map(({ path }) => path);
  importsOf.set(file, [...new Set([...typed, ...found])]);
}

function filesThatImport(path: string): string[] {
  return [...importsOf].filter(([, paths]) => paths.includes(path)).map(([file]) => file);
}

/** The files of src that a file of src imports. */
function sourcesBelow(file: string): string[] {
  return (importsOf.get(file) ?? [])
    .filter((path) => path.startsWith("."))
    .map((path) => join(file, "..", path))
    .filter((path) => importsOf.has(path));
}

function layerOf(file: string): string {
  return file.split("/", 1)[0]!;
}

/**
 * A circle of imports that can be reached from a file, as its files in order; undefined when there
 * is none.
 */
function circleFrom(file: string, above: string[], finished: Set<string>): string[] | undefined {
  if (above.includes(file)) return [...above.slice(above.indexOf(file)), file];
  if (finished.has(file)) return undefined;
  for (const below of sourcesBelow(file)) {
    const circle = circleFrom(below, [...above, file], finished);
    if (circle !== undefined) return circle;
  }
  finished.add(file);
  return undefined;
}

describe("the layers of src", () => {
  test("every folder of src is a layer", () => {
    const folders = [...new Set([...importsOf.keys()].map(layerOf))];
    expect(folders.sort()).toEqual(Object.keys(layers).sort());
  });

  test.each(Object.keys(layers))("%s imports from the layers below it only", (layer) => {
    const wrong: string[] = [];
    for (const file of importsOf.keys()) {
      if (layerOf(file) !== layer) continue;
      for (const below of sourcesBelow(file)) {
        const isAllowed = layerOf(below) === layer || layers[layer]!.includes(layerOf(below));
        if (!isAllowed) wrong.push(`${file} imports ${below}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("every file is imported by the public API or by another file", () => {
    const used = new Set([...importsOf.keys()].flatMap(sourcesBelow).concat(entries));
    // Types of the texts that document.ts imports.
    used.add("report/page/texts.d.ts");
    for (const [, path] of textOf("index.ts").matchAll(/ from "\.\/src\/([^"]+)"/g))
      used.add(path!);
    expect([...importsOf.keys()].filter((file) => !used.has(file))).toEqual([]);
  });

  test("no files import each other in a circle, types included", () => {
    const finished = new Set<string>();
    for (const file of importsOf.keys()) expect(circleFrom(file, [], finished)).toBeUndefined();
  });
});

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
    const foreign = [...importsOf].flatMap(([file, paths]) =>
      paths.filter((path) => !/^\.\.?\/|^node:|^bun:/.test(path)).map((path) => [file, path]),
    );
    // The loader knows the package of every platform, in any order.
    const allowed = [
      ...targets.map((target) => ["core/library.ts", packageOf(target)]),
      ...foreignTexts.map((text) => ["report/document.ts", text]),
      ...Object.entries(optionalPeers),
    ];
    expect(foreign.sort()).toEqual(allowed.sort());
  });

  test("an optional peer is imported on first use only", () => {
    for (const [file, peer] of Object.entries(optionalPeers)) {
      const source = textOf("src", file);
      const emitted = transpiler.scanImports(source).filter(({ path }) => path === peer);
      expect(emitted.map(({ kind }) => kind)).toEqual(["dynamic-import"]);
    }
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
    const manifest = JSON.parse(textOf("package.json"));
    expect(manifest).not.toHaveProperty("dependencies");
    const peers = Object.values(optionalPeers).map((path) => path.split("/", 1)[0]!);
    expect(Object.keys(manifest.peerDependencies).sort()).toEqual(peers.sort());
    for (const peer of peers) {
      expect(manifest.peerDependenciesMeta[peer]).toEqual({ optional: true });
      // The tests run with the oldest version that is allowed.
      expect(manifest.peerDependencies[peer]).toBe(`^${manifest.devDependencies[peer]}`);
    }
  });
});
