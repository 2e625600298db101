/** The main package: JavaScript with source maps, declarations, and the manifest that names the native ones. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "../build.ts";
import { emit } from "../emit.ts";
import { packageOf, type Target } from "../targets.ts";
import { writeDocuments } from "./documents.ts";

/** The entries, by their names in `exports`. */
export const entries = {
  ".": "index",
  "./net": "src/node/net",
  "./drivers": "src/drivers/drivers",
  "./load": "src/load/load",
  "./load/report": "src/report/report",
} as const;

/** A thread of a cluster runs it. No other file imports it. */
const worker = "src/cluster/worker";

const program = "src/command/plait";

/** What starts the program. Another runtime than Bun gets the sentence there. */
export const programStart = `${program}.start.js`;

/** All that is compiled, with what it imports. */
export const roots: readonly string[] = [...Object.values(entries), worker, program];

/** Writes the package into `folder`. It depends on the packages of the platforms that were built. */
export async function writeMainPackage(folder: string, built: readonly Target[]): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  emit(
    roots.map((entry) => `${entry}.ts`),
    folder,
  );
  writeDocuments(folder);
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest(built), null, 2)}\n`);
  for (const entry of Object.values(entries)) await writeRefusal(folder, entry);
  writeProgramStart(folder);
}

function manifest(built: readonly Target[]): object {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { name, version, description, license, type, engines, keywords } = own;
  const { peerDependencies, peerDependenciesMeta } = own;
  return {
    ...{ name, version, description, keywords, license, type },
    exports: {
      ...Object.fromEntries(
        Object.entries(entries).map(([path, entry]) => [
          path,
          {
            types: `./${entry}.d.ts`,
            bun: `./${entry}.js`,
            default: `./${refusalOf(entry)}`,
          },
        ]),
      ),
      "./package.json": "./package.json",
    },
    bin: { plait: programStart },
    // They all come at every release together: the library and the JavaScript share an ABI number.
    optionalDependencies: Object.fromEntries(built.map((target) => [packageOf(target), version])),
    peerDependencies,
    peerDependenciesMeta,
    engines,
  };
}

/** The file that another runtime than Bun gets for an entry. */
export function refusalOf(entry: string): string {
  return `${entry}.not_bun.js`;
}

const otherRuntime =
  "plait runs on Bun (https://bun.com), and this is another runtime: start the program with `bun`";

/** What another runtime imports. It has all names, so that the import does not fail before the sentence. */
async function writeRefusal(folder: string, entry: string): Promise<void> {
  const names = Object.keys(await import(join(root, `${entry}.ts`)));
  const exported = names.map((name) => `nothing as ${name}`);
  const text = [
    "// plait is imported by another runtime than Bun.",
    "const nothing = undefined;",
    `throw new Error(${JSON.stringify(otherRuntime)});`,
    `export { ${exported.join(", ")} };`,
    "",
  ];
  writeFileSync(join(folder, refusalOf(entry)), text.join("\n"));
}

/** The program imports modules that other runtimes do not have, so its start imports it only under Bun. */
function writeProgramStart(folder: string): void {
  const text = [
    "#!/usr/bin/env bun",
    'if (typeof Bun === "undefined") {',
    `  console.error(${JSON.stringify(otherRuntime.replace("the program", "it"))});`,
    "  process.exit(2);",
    "}",
    `const { runProgram } = await import("./${basename(program)}.js");`,
    "await runProgram();",
    "",
  ];
  writeFileSync(join(folder, programStart), text.join("\n"), { mode: 0o755 });
}

/** The files of a package, with their paths from its folder. */
export function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
