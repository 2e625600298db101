/**
 * Compiles plait's sources for its package: JavaScript with source maps, and declarations without what is
 * internal. Without those an editor would show internals to users, and their compiler would check plait's
 * sources with their own settings.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "./build.ts";
import { copyImportedTexts } from "./imported_texts.ts";

const options = [
  "--ignoreConfig --strict --target esnext --module preserve --types bun --allowImportingTsExtensions",
  "--declaration --stripInternal --rewriteRelativeImportExtensions --sourceMap --inlineSources --rootDir .",
].flatMap((line) => line.split(" "));

/** Compiles the files, and what they import, into a folder. The texts that they import are copied into it. */
export function emit(files: readonly string[], folder: string): void {
  const compiler = join(root, "node_modules", ".bin", "tsc");
  const command = [process.execPath, compiler, ...options, "--outDir", folder, ...files];
  const { exitCode } = Bun.spawnSync(command, { cwd: root, stdout: "inherit", stderr: "inherit" });
  if (exitCode !== 0) throw new Error("plait: the TypeScript compiler has failed");
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (name.endsWith(".d.ts")) removeInternals(join(folder, name));
    if (name.endsWith(".js.map")) nameSource(join(folder, name));
  }
  copyImportedTexts(folder);
}

/** The interfaces that stay in declarations. Others are internal, and `--stripInternal` has removed their members. */
const standard = /^(Async)?(Disposable|Iterable)\b/;

function removeInternals(path: string): void {
  const text = readFileSync(path, "utf8").replace(/ implements ([^{]+) \{/g, (_, list: string) => {
    const kept = list.split(", ").filter((each) => standard.test(each));
    return kept.length === 0 ? " {" : ` implements ${kept.join(", ")} {`;
  });
  writeFileSync(path, text);
}

/**
 * Names the source in a source map as if it lay beside the JavaScript; its text is in the map. The compiler writes the
 * path to the checkout, which leads out of the package, into the files of the user.
 */
function nameSource(path: string): void {
  const map = JSON.parse(readFileSync(path, "utf8"));
  const sources = [`${basename(path, ".js.map")}.ts`];
  writeFileSync(path, JSON.stringify({ ...map, sources }));
}
