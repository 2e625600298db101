/** What must hold for the packages of a release and for their tarballs. Each function returns what is wrong. */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "../build.ts";
import { type ImportedText, importedTexts } from "../imported_texts.ts";
import { billFile, nativeFiles } from "../native_package.ts";
import type { PackageName } from "../sbom.ts";
import { packageOf, type Target } from "../targets.ts";
import { abi } from "./abi.ts";
import { documents } from "./documents.ts";
import { entries, filesOf, programStart, refusalOf, roots } from "./main_package.ts";
import { buildPathIn } from "./paths.ts";
import { readTarball } from "./tarball.ts";

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly exports?: object;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: object;
  readonly scripts?: object;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Bill {
  readonly metadata: { readonly component: { readonly name: string; readonly version: string } };
  readonly components: readonly { readonly name: string; readonly version: string }[];
}

/** The version that all packages of a release have. */
function releaseVersion(): string {
  return readManifest(root).version!;
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

export function nativePackageFaults(target: Target, folder: string): string[] {
  const faults = [
    ...listFaults(filesOf(folder), nativeFiles(target)),
    ...manifestFaults(folder, packageOf(target)),
  ];
  const { os, cpu, libc } = readManifest(folder);
  for (const [field, found, expected] of [
    ["os", os, [target.os]],
    ["cpu", cpu, [target.cpu]],
    ["libc", libc, target.libc === undefined ? undefined : [target.libc]],
  ] as const) {
    if (JSON.stringify(found) !== JSON.stringify(expected)) faults.push(`its ${field} is ${found}`);
  }
  const text = (name: string): string => {
    const path = join(folder, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const lines = text("README.md").split("\n");
  if (lines.filter((line) => line !== "").length !== 3) {
    faults.push("its README.md has not three lines");
  }
  for (const name of ["LICENSE", "LICENSE.openssl"]) {
    if (text(name) !== readFileSync(join(root, name), "utf8"))
      faults.push(`its ${name} is another`);
  }
  return [...faults, ...billFaults(text(billFile), packageOf(target))];
}

/** It must say which OpenSSL is in the library and which compiler made it. */
function billFaults(text: string, name: string): string[] {
  if (text === "") return [];
  const { metadata, components } = JSON.parse(text) as Bill;
  const versions = new Map(
    [metadata.component, ...components].map((each) => [each.name, each.version]),
  );
  const faults = ["openssl", "zig"]
    .filter((part) => !versions.get(part))
    .map((part) => `its ${billFile} lacks ${part}`);
  if (versions.get(name) !== releaseVersion())
    faults.push(`its ${billFile} is not of this release`);
  return faults;
}

export function mainPackageFaults(folder: string, built: readonly Target[]): string[] {
  const faults = [...listFaults(filesOf(folder), mainFiles()), ...manifestFaults(folder, "plait")];
  const { optionalDependencies, exports, bin } = readManifest(folder);
  const pinned = built.map((target) => [packageOf(target), releaseVersion()]);
  if (JSON.stringify(optionalDependencies) !== JSON.stringify(Object.fromEntries(pinned))) {
    faults.push(`its native packages are ${JSON.stringify(optionalDependencies)}`);
  }
  for (const path of JSON.stringify(exports).matchAll(/"(\.\/[^"]*\.[a-z]+)"/g)) {
    if (!existsSync(join(folder, path[1]!))) faults.push(`it exports ${path[1]}, and has it not`);
  }
  const start = bin?.plait;
  if (start === undefined || !existsSync(join(folder, start))) faults.push("it has no program");
  const emitted = readFileSync(join(folder, "src", "core", "abi.js"), "utf8");
  const number = Number(/abiNumber = (\d+)/.exec(emitted)?.[1]);
  if (number !== abi.number) faults.push(`its ABI number is ${number}, not ${abi.number}`);
  for (const name of filesOf(folder)) {
    if (!name.endsWith(".js.map")) continue;
    const { sources, sourcesContent } = JSON.parse(readFileSync(join(folder, name), "utf8"));
    if (sourcesContent?.length !== 1 || sources.length !== 1) {
      faults.push(`${name} has not its source`);
    } else if (sources[0].includes("/")) {
      faults.push(`${name} names ${sources[0]}, which is not in the package`);
    }
  }
  return faults;
}

/** The files of the main package: what is compiled from the entries' sources and from what they import. */
function mainFiles(): string[] {
  const { sources, texts } = mainSources();
  return [
    ...sources.flatMap((path) => {
      const stem = path.slice(0, -".ts".length);
      return [`${stem}.js`, `${stem}.js.map`, `${stem}.d.ts`];
    }),
    ...texts.map(({ to }) => to),
    ...Object.values(entries).map(refusalOf),
    programStart,
    ...documents,
    "package.json",
  ];
}

/** The other packages that the main package has files of. */
export function bundledPackages(): PackageName[] {
  const folders = new Set(mainSources().texts.map((text) => text.package));
  return [...folders]
    .filter((folder) => folder !== undefined)
    .map((folder) => {
      const { name, version, license } = readManifest(join(root, folder));
      return { name: name!, version: version!, license: license! };
    });
}

function mainSources(): { sources: readonly string[]; texts: readonly ImportedText[] } {
  const sources = new Set<string>();
  const texts: ImportedText[] = [];
  const visit = (path: string): void => {
    if (sources.has(path)) return;
    sources.add(path);
    const text = readFileSync(join(root, path), "utf8");
    texts.push(...importedTexts(path, text));
    for (const [, imported] of text.matchAll(/\b(?:from|import|import\() ?"(\.[^"]*\.ts)"/g)) {
      visit(normalize(join(dirname(path), imported!)));
    }
  };
  for (const entry of roots) visit(`${entry}.ts`);
  return { sources: [...sources], texts };
}

/** A tarball has the package's files, byte for byte, and says nothing about the machine that made it. */
export function tarballFaults(tarball: string, folder: string): string[] {
  const found = readTarball(tarball);
  const faults = listFaults(
    found.map(({ path }) => path),
    filesOf(folder).map((name) => `package/${name}`),
  );
  for (const { path, mode, owner, isFile, bytes } of found) {
    const name = path.replace(/^package\//, "");
    if (!isFile) faults.push(`${name} is no file`);
    else if (existsSync(join(folder, name)) && !readFileSync(join(folder, name)).equals(bytes)) {
      faults.push(`${name} is not the file of the package`);
    }
    if (owner !== 0) faults.push(`${name} belongs to user ${owner}`);
    const isExecutable = /\.(so|dylib)$/.test(name) || name === programStart;
    const expected = isExecutable ? 0o755 : 0o644;
    if ((mode & 0o777) !== expected) faults.push(`${name} has the mode ${mode.toString(8)}`);
    const leftOver = buildPathIn(bytes);
    if (leftOver !== undefined) faults.push(`${name} names ${leftOver}`);
  }
  return faults;
}

function manifestFaults(folder: string, expectedName: string): string[] {
  const { name, version, license, dependencies, scripts } = readManifest(folder);
  const faults: string[] = [];
  if (name !== expectedName) faults.push(`its name is ${name}`);
  if (version !== releaseVersion()) faults.push(`its version is ${version}`);
  if (license === undefined) faults.push("it has no licence");
  if (dependencies !== undefined) faults.push("it has dependencies");
  if (scripts !== undefined) faults.push("it has scripts");
  return faults;
}

function listFaults(found: readonly string[], expected: readonly string[]): string[] {
  const extra = found.filter((name) => !expected.includes(name));
  const missing = expected.filter((name) => !found.includes(name));
  return [...extra.map((name) => `${name} is in it`), ...missing.map((name) => `it lacks ${name}`)];
}
