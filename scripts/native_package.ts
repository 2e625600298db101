/** The package of a platform: the core's library, and a module that exports its path. */

import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { OpensslLibrary } from "./openssl.ts";
import { nativeBill } from "./sbom.ts";
import { libraryFile, packageOf, type Target } from "./targets.ts";

const root = join(import.meta.dir, "..");

export interface NativeContents {
  /** The library, which is moved into the package. */
  readonly library: string;
  readonly openssl: OpensslLibrary;
  readonly zigVersion: string;
}

const licenses = ["LICENSE", "LICENSE.openssl"];

/** The file with the software bill of materials. */
export const billFile = "sbom.cdx.json";

/** The files of the package, and no others are in it. */
export function nativeFiles(target: Target): string[] {
  return [...licenses, "README.md", "index.js", libraryFile(target), "package.json", billFile];
}

/** Writes the package into `folder`. */
export function writeNativePackage(target: Target, contents: NativeContents, folder: string): void {
  const unfinished = `${folder}.${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  for (const [name, text] of Object.entries(textsOf(target, contents))) {
    writeFileSync(join(unfinished, name), text);
  }
  for (const name of licenses) copyFileSync(join(root, name), join(unfinished, name));
  const library = join(unfinished, libraryFile(target));
  renameSync(contents.library, library);
  // The modes are in the tarball, and must not depend on who makes it.
  for (const name of nativeFiles(target)) chmodSync(join(unfinished, name), 0o644);
  chmodSync(library, 0o755);
  // A running program keeps the files that it has mapped.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  renameSync(unfinished, folder);
}

function textsOf(target: Target, contents: NativeContents): Record<string, string> {
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
    files: ["index.js", file, "LICENSE.openssl", billFile],
    os: [target.os],
    cpu: [target.cpu],
    ...(target.libc === undefined ? {} : { libc: [target.libc] }),
  };
  return {
    "package.json": `${JSON.stringify(manifest, null, 2)}\n`,
    "index.js": [
      'import { existsSync } from "node:fs";',
      'import { dirname, resolve } from "node:path";',
      `import file from "./${file}" with { type: "file" };`,
      "// In a bundle the path is relative to the bundle. A bundle of CommonJS has no import.meta: Bun writes the path of",
      "// this source in its place.",
      "const places = [import.meta.dir, dirname(Bun.main)].map((folder) => resolve(folder, file));",
      "export default places.find((place) => existsSync(place)) ?? places[0];",
      `export const version = ${JSON.stringify(version)};`,
      "// The size of the file.",
      `export const bytes = ${statSync(contents.library).size};`,
      "",
    ].join("\n"),
    "README.md": [
      `# ${name}`,
      "",
      `${description}. It contains OpenSSL, whose licence is in LICENSE.openssl.`,
      "The package plait needs it: run `bun add plait`, which installs it where it fits.",
      "",
    ].join("\n"),
    [billFile]: nativeBill(manifest, description, contents.openssl, contents.zigVersion),
  };
}
