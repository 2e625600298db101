/** The package of a platform: the core's library, and a module that exports its path. */

import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { libraryFile, packageOf, type Target } from "./targets.ts";

const root = join(import.meta.dir, "..");

/** Writes the package into `folder`. The library is moved there. */
export function writeNativePackage(target: Target, library: string, folder: string): void {
  const unfinished = `${folder}.${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  for (const [name, text] of Object.entries(textsOf(target, statSync(library).size))) {
    writeFileSync(join(unfinished, name), text);
  }
  for (const name of ["LICENSE", "LICENSE.openssl"]) {
    copyFileSync(join(root, name), join(unfinished, name));
  }
  renameSync(library, join(unfinished, libraryFile(target)));
  // A running program keeps the files that it has mapped.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  renameSync(unfinished, folder);
}

function textsOf(target: Target, bytes: number): Record<string, string> {
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const name = packageOf(target);
  const file = libraryFile(target);
  const description = `The native library of plait for ${target.title}`;
  const manifest = {
    name,
    version,
    description,
    license: `${license} AND Apache-2.0`,
    type: "module",
    exports: { ".": "./index.js", "./package.json": "./package.json" },
    files: ["index.js", file, "LICENSE.openssl"],
    os: [target.os],
    cpu: [target.cpu],
    ...(target.libc === undefined ? {} : { libc: [target.libc] }),
  };
  return {
    "package.json": `${JSON.stringify(manifest, null, 2)}\n`,
    "index.js": [
      'import { resolve } from "node:path";',
      `import file from "./${file}" with { type: "file" };`,
      "// In a program that was bundled to a folder the path is relative to that folder.",
      "export default resolve(import.meta.dir, file);",
      `export const version = ${JSON.stringify(version)};`,
      "// The size of the file.",
      `export const bytes = ${bytes};`,
      "",
    ].join("\n"),
    "README.md": [
      `# ${name}`,
      "",
      `${description}. It contains OpenSSL, whose licence is in LICENSE.openssl.`,
      "The package plait needs it: run `bun add plait`, which installs it where it fits.",
      "",
    ].join("\n"),
  };
}
