/**
 * The files that sources import as texts (`with { type: "text" }`). The package has them beside the JavaScript. Those of
 * other packages are copied into it too, since it has no dependencies.
 */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { root } from "./build.ts";

export interface ImportedText {
  /** As the source has it. */
  readonly specifier: string;
  /** Where the file is, from the root of the checkout. */
  readonly from: string;
  /** Where the package has it, from its folder. */
  readonly to: string;
  /** The folder of the other package that it belongs to, from the root of the checkout. */
  readonly package: string | undefined;
}

/** The texts that a source imports. `path` is the source's, from the root of the checkout or of the package. */
export function importedTexts(path: string, source: string): ImportedText[] {
  return [...source.matchAll(/from "([^"]+)" with \{ type: "text" \}/g)].map(([, specifier]) => {
    const folder = dirname(path);
    if (specifier!.startsWith(".")) {
      const beside = normalize(join(folder, specifier!));
      return { specifier: specifier!, from: beside, to: beside, package: undefined };
    }
    const name = /^(@[^/]+\/)?[^/]+/.exec(specifier!)![0];
    return {
      specifier: specifier!,
      from: join("node_modules", specifier!),
      to: join(folder, name, basename(specifier!)),
      package: join("node_modules", name),
    };
  });
}

/** Copies the texts that the JavaScript in a folder imports into the folder, and lets it import the copies. */
export function copyImportedTexts(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".js")) continue;
    const path = join(folder, name);
    let source = readFileSync(path, "utf8");
    for (const { specifier, from, to } of importedTexts(name, source)) {
      const target = join(folder, to);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(root, from), target);
      const beside = to.slice(dirname(name).length + 1);
      source = source.replace(`from "${specifier}" with`, `from "./${beside}" with`);
    }
    writeFileSync(path, source);
  }
}
