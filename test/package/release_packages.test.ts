/** The checks of a release refuse packages, tarballs and lists of checksums that are not as they must be. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { libraryPath, root } from "../../scripts/build.ts";
import { billFile } from "../../scripts/native_package.ts";
import { checksumFaults, checksumFile, writeChecksums } from "../../scripts/release/checksums.ts";
import { writeMainPackage } from "../../scripts/release/main_package.ts";
import {
  mainPackageFaults,
  nativePackageFaults,
  tarballFaults,
} from "../../scripts/release/packages.ts";
import { mainBill, nativeBill } from "../../scripts/sbom.ts";
import { packageOf, thisMachine } from "../../scripts/targets.ts";
import { isInstalled } from "../support/installed_program.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const bound = 60_000;
const target = thisMachine();
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** Changes a text in a file. */
function replace(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, "utf8");
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`${path} has no ${from}`);
  writeFileSync(path, changed);
}

/** A copy of a package that was changed. */
function changedCopy(from: string, change: (copy: string) => void): string {
  const copy = folder.file("copy");
  rmSync(copy, { recursive: true, force: true });
  cpSync(from, copy, { recursive: true });
  change(copy);
  return copy;
}

type Change = [fault: string, change: (copy: string) => void];

describe("a native package", () => {
  const native = dirname(libraryPath);

  test("passes as it must be", () => {
    expect(nativePackageFaults(target, native)).toEqual([]);
  });

  test.each<Change>([
    ["notes.txt is in it", (copy) => writeFileSync(join(copy, "notes.txt"), "")],
    ["it lacks LICENSE.openssl", (copy) => rmSync(join(copy, "LICENSE.openssl"))],
    [
      "its LICENSE.openssl is another",
      (copy) => appendFileSync(join(copy, "LICENSE.openssl"), " "),
    ],
    [
      "its version is 9.9.9",
      (copy) => replace(join(copy, "package.json"), /"version": "[^"]*"/, '"version": "9.9.9"'),
    ],
    [
      "its name is plait-mars",
      (copy) => replace(join(copy, "package.json"), packageOf(target), "plait-mars"),
    ],
    ["its os is mars", (copy) => replace(join(copy, "package.json"), `"${target.os}"`, '"mars"')],
    ["its cpu is z80", (copy) => replace(join(copy, "package.json"), `"${target.cpu}"`, '"z80"')],
    ["it has scripts", (copy) => replace(join(copy, "package.json"), "{", '{ "scripts": {},')],
    ["its README.md has not three lines", (copy) => appendFileSync(join(copy, "README.md"), "x\n")],
    [
      `its ${billFile} lacks openssl`,
      (copy) => replace(join(copy, billFile), '"name": "openssl"', '"name": "libressl"'),
    ],
  ])("is refused: %s", (fault, change) => {
    const faults = nativePackageFaults(target, changedCopy(native, change));
    expect(faults.join("; ")).toContain(fault);
  });
});

describe("the main package", () => {
  const main = folder.file("plait");
  beforeAll(() => writeMainPackage(main, [target]), bound);

  test("passes as it must be", () => {
    expect(mainPackageFaults(main, [target])).toEqual([]);
  });

  const pinned = `"${packageOf(target)}": "`;
  test.each<Change>([
    ["src/core/extra.js is in it", (copy) => writeFileSync(join(copy, "src/core/extra.js"), "")],
    ["it lacks src/core/native.d.ts", (copy) => rmSync(join(copy, "src/core/native.d.ts"))],
    [
      "its version is 9.9.9",
      (copy) => replace(join(copy, "package.json"), /"version": "[^"]*"/, '"version": "9.9.9"'),
    ],
    [
      "its native packages are",
      (copy) => replace(join(copy, "package.json"), pinned, `${pinned}^`),
    ],
    [
      "it exports ./other.js, and has it not",
      (copy) => replace(join(copy, "package.json"), "./index.js", "./other.js"),
    ],
    [
      "it has no program",
      (copy) => replace(join(copy, "package.json"), "plait.start.js", "plait.stop.js"),
    ],
    [
      "its ABI number is 1, not",
      (copy) => replace(join(copy, "src/core/abi.js"), /abiNumber = \d+/, "abiNumber = 1"),
    ],
    [
      "index.js.map has not its source",
      (copy) => replace(join(copy, "index.js.map"), "sourcesContent", "content"),
    ],
    [
      "index.js.map names ../index.ts, which is not in the package",
      (copy) =>
        replace(join(copy, "index.js.map"), /"sources":\["[^"]*"/, '"sources":["../index.ts"'),
    ],
  ])("is refused: %s", (fault, change) => {
    const faults = mainPackageFaults(changedCopy(main, change), [target]);
    expect(faults.join("; ")).toContain(fault);
  });

  test("is refused when a platform's package is not one of its own", () => {
    expect(mainPackageFaults(main, []).join("; ")).toContain("its native packages are");
  });
});

describe("a tarball", () => {
  async function packed(from: string): Promise<string> {
    const to = folder.file("tarballs");
    rmSync(to, { recursive: true, force: true });
    const pack = [process.execPath, "pm", "pack", "--quiet", "--destination", to];
    const { exitCode, stderr } = await runCommand(
      ["sh", "-c", 'cd "$0" && exec "$@"', from, ...pack],
      undefined,
      bound,
    );
    if (exitCode !== 0) throw new Error(stderr);
    return join(to, readdirSync(to)[0]!);
  }

  function packageFolder(name: string, files: Readonly<Record<string, string>>): string {
    const made = folder.file(name);
    mkdirSync(made);
    // As `bun pm pack` formats it, which changes others.
    const manifest = `${JSON.stringify({ name, version: "1.0.0" }, null, 2)}\n`;
    for (const [file, text] of Object.entries({ "package.json": manifest, ...files })) {
      writeFileSync(join(made, file), text, { mode: 0o644 });
    }
    return made;
  }

  test(
    "is that of its package, byte for byte",
    async () => {
      const made = packageFolder("good", { "index.js": "", "old.js": "" });
      const tarball = await packed(made);
      expect(tarballFaults(tarball, made)).toEqual([]);
      // The package has changed since.
      writeFileSync(join(made, "index.js"), "changed");
      writeFileSync(join(made, "late.js"), "");
      rmSync(join(made, "old.js"));
      expect(tarballFaults(tarball, made)).toEqual([
        "package/old.js is in it",
        "it lacks package/late.js",
        "index.js is not the file of the package",
      ]);
    },
    bound,
  );

  test(
    "names no folder of this machine",
    async () => {
      const made = packageFolder("telling", { "index.js": `// ${root}/index.ts` });
      expect(tarballFaults(await packed(made), made)).toEqual([`index.js names ${root}`]);
    },
    bound,
  );
});

describe("the checksums", () => {
  function files(): string {
    const made = folder.file("sums");
    rmSync(made, { recursive: true, force: true });
    for (const name of ["a.tgz", "b.tgz"]) cpSync(join(root, "LICENSE"), join(made, name));
    writeChecksums(made);
    return made;
  }

  test.skipIf(!isInstalled("sha256sum"))("are those of sha256sum", async () => {
    const check = ["sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', files()];
    const { text, exitCode } = await runCommand(check);
    expect([text, exitCode]).toEqual(["a.tgz: OK\nb.tgz: OK\n", 0]);
  });

  test("are of every file, and of no other", () => {
    const made = files();
    expect(checksumFaults(made)).toEqual([]);
    appendFileSync(join(made, "a.tgz"), "x");
    rmSync(join(made, "b.tgz"));
    writeFileSync(join(made, "c.tgz"), "");
    const faults = new Set(checksumFaults(made));
    expect(faults).toEqual(
      new Set(["a", "b", "c"].map((name) => `it is not right about ${name}.tgz`)),
    );
    expect(readFileSync(join(made, checksumFile), "utf8").split("\n").length).toBe(3);
  });
});

describe("the bill of materials", () => {
  const own = { name: "plait-x", version: "1.2.3", license: "MIT AND Apache-2.0" };
  const openssl = {
    ...{ include: "", ssl: "", crypto: "", version: "3.5.7", origin: "built" as const },
    ...{
      identity: "",
      needs: [],
      source: { url: "https://example.org/o.tar.gz", sha256: "ab".repeat(32) },
    },
  };

  test("names OpenSSL with its source, and the compiler, in the same bytes each time", () => {
    const text = nativeBill(own, "about", openssl, "0.16.0");
    expect(nativeBill(own, "about", openssl, "0.16.0")).toBe(text);
    const { serialNumber, metadata, components, dependencies, ...head } = JSON.parse(text);
    expect(head).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1 });
    expect(serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(metadata.component).toMatchObject({
      name: "plait-x",
      version: "1.2.3",
      purl: "pkg:npm/plait-x@1.2.3",
    });
    expect(components).toMatchObject([
      {
        ...{ name: "openssl", version: "3.5.7", purl: "pkg:generic/openssl@3.5.7" },
        licenses: [{ expression: "Apache-2.0" }],
        externalReferences: [{ hashes: [{ alg: "SHA-256", content: "ab".repeat(32) }] }],
      },
      { name: "zig", version: "0.16.0" },
    ]);
    expect(dependencies[0]).toEqual({ ref: "plait-x", dependsOn: ["openssl", "zig"] });
    const other = JSON.parse(nativeBill(own, "about", openssl, "0.16.1"));
    expect(other.serialNumber).not.toBe(serialNumber);
  });

  test("of the main package has its native packages with their hashes", () => {
    const natives = [{ ...own, tarballHash: "cd".repeat(32) }];
    const { components } = JSON.parse(mainBill({ ...own, name: "plait" }, natives));
    expect(components).toMatchObject([
      { name: "plait-x", hashes: [{ alg: "SHA-256", content: "cd".repeat(32) }] },
    ]);
  });
});
