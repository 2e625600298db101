/** The checks of a release refuse a library that is not as it must be. Small libraries have one fault each. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { libraryPath, zigExecutable } from "../../scripts/build.ts";
import { linkMachO } from "../../scripts/mach_o_link.ts";
import { ensureOpenssl } from "../../scripts/openssl.ts";
import { abi } from "../../scripts/release/abi.ts";
import { checkElf } from "../../scripts/release/elf.ts";
import { checkLibrary } from "../../scripts/release/library.ts";
import { checkMachO } from "../../scripts/release/mach_o.ts";
import { readMachO } from "../../scripts/release/mach_o_file.ts";
import { tryLibrary } from "../../scripts/release/trial.ts";
import { thisMachine } from "../../scripts/targets.ts";
import { isInstalled } from "../support/installed_program.ts";
import { compileObject, linkLibrary, sourceOf } from "../support/made_up_library.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

/** Milliseconds; the compiler is slow when its cache is empty. */
const bound = 120_000;

const hasReadelf = isInstalled("readelf");
if (!hasReadelf) console.warn("skipped: reading ELF takes readelf (binutils)");
const isOwnOpenssl = ensureOpenssl(zigExecutable()).origin === "built";
if (!isOwnOpenssl) console.warn("skipped: this machine's library has the system's OpenSSL in it");

const source = sourceOf(abi);
const otherNumber = sourceOf({ ...abi, number: abi.number + 1 });
const extra = `${source}__attribute__((visibility("default"))) int plait_surprise(void) { return 1; }\n`;
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** A copy of a library in which one text has been replaced by another of the same length. */
function edited(library: string, name: string, from: string, to: string): string {
  const bytes = readFileSync(library);
  const at = bytes.indexOf(from, 0, "latin1");
  if (at < 0 || from.length !== to.length) throw new Error(`${library} cannot have ${to}`);
  bytes.write(to, at, "latin1");
  writeFileSync(folder.file(name), bytes);
  return folder.file(name);
}

test.skipIf(!isOwnOpenssl || (process.platform !== "darwin" && !hasReadelf))(
  "this machine's library is as it must be",
  () => {
    checkLibrary(thisMachine(), libraryPath);
    expect(tryLibrary(thisMachine(), libraryPath)).toBe("loaded and called by this machine's Bun");
    const padded = folder.file("padded");
    writeFileSync(padded, Buffer.concat([readFileSync(libraryPath), Buffer.alloc(1_000_000)]));
    if (process.platform !== "darwin") {
      expect(() => checkLibrary(thisMachine(), padded)).toThrow(/ its budget/);
    }
    const other = { ...abi, number: abi.number + 1 };
    expect(() => checkLibrary(thisMachine(), libraryPath, other)).toThrow(/its ABI number is /);
  },
  bound,
);

describe.skipIf(!hasReadelf)("an ELF library", () => {
  const usual = ["-target", "x86_64-linux-gnu.2.17", "-s", "-Wl,-soname,libplait.so"];
  const settings = [...usual, "-Wl,-z,now", "-Wl,--build-id=sha1"];
  const absolute = `${source}__asm__(".text\\n.quad table_of_code\\ntable_of_code: .quad table_of_code\\n");\n`;
  const check = (library: string): void => checkElf(library, "glibc", "x64", abi);
  const link = (name: string, text: string, options: readonly string[]): Promise<string> =>
    linkLibrary(folder.path, name, text, ...options);
  let good: string;
  beforeAll(async () => {
    good = await link("good.so", source, settings);
  }, bound);

  test("passes as it must be", () => {
    check(good);
  });

  const hidden = source.replace(/\S+ (int plait_open\()/, "$1");
  const linked: [title: string, fault: RegExp, text: string, options: readonly string[]][] = [
    ["a search path", /search path/, source, [...settings, "-Wl,-rpath,/opt/lib"]],
    ["an export more", /exports are not the ABI's: plait_surprise/, extra, settings],
    ["an export less", /exports are not the ABI's: plait_open$/, hidden, settings],
    ["another ABI number", /its ABI number is \d+, not \d+/, otherNumber, settings],
    ["relocated code", /code must be relocated/, absolute, [...settings, "-Wl,-z,notext"]],
    ["no RELRO", /RELRO/, source, [...settings, "-Wl,-z,norelro"]],
    ["lazy binding", /bound lazily/, source, [...usual, "-Wl,-z,lazy", "-Wl,--build-id=sha1"]],
    ["no build id", /no build id/, source, [...usual, "-Wl,-z,now", "-Wl,--build-id=none"]],
    ["another name", /its name is not/, source, [...settings, "-Wl,-soname,libother.so"]],
  ];
  test.each(linked)(
    "is refused with %s",
    async (title, fault, text, options) => {
      const library = await link(`${title}.so`, text, options);
      expect(() => check(library)).toThrow(fault);
    },
    bound,
  );

  // The command of a segment: its kind, then what its pages allow.
  const stack = "\x51\xe5\x74\x64\x06\0\0\0";
  test.each([
    ["it loads libx.so.6", "libc.so.6\0", "libx.so.6\0"],
    ["it needs glibc 2.205", "GLIBC_2.2.5\0", "GLIBC_2.205\0"],
    ["its stack may be executable", stack, stack.replace("\x06", "\x07")],
    ["it has symbols or debug information", ".comment\0", ".debug_x\0"],
  ])("is refused: %s", (fault, from, to) => {
    expect(() => check(edited(good, "edited.so", from, to))).toThrow(fault);
  });

  test("is refused for another system and another processor", () => {
    expect(() => checkElf(good, "musl", "x64", abi)).toThrow("it loads libc.so.6");
    expect(() => checkElf(good, "freebsd", "x64", abi)).toThrow("it loads libc.so.6");
    expect(() => checkElf(good, "glibc", "arm64", abi)).toThrow("it is not for arm64");
  });
});

const hasMachLinker = process.platform === "darwin" || isInstalled("ld64.lld-19");
if (!hasMachLinker) console.warn("skipped: linking for macOS takes ld64.lld-19 (lld-19, llvm-19)");

describe.skipIf(!hasMachLinker)("a Mach-O library", () => {
  const target = { archives: [], cpu: "arm64", oldest: "13.0" } as const;
  const forMac = ["-target", "aarch64-macos.13.0"];
  const check = (library: string): void => checkMachO(library, target.cpu, target.oldest, abi);
  async function link(
    name: string,
    text: string,
    further: readonly string[] = [],
    isStripped = true,
  ): Promise<string> {
    const object = await compileObject(folder.path, name, text, ...forMac);
    const library = folder.file(name);
    linkMachO(library, { ...target, object, isStripped, further });
    return library;
  }
  let good: string;
  beforeAll(async () => {
    good = await link("good.dylib", source);
  }, bound);

  test("passes as it must be", () => {
    check(good);
  });

  const elsewhere = ["-install_name", "/opt/libplait.dylib"];
  const linked: [title: string, fault: RegExp, text: string, further: readonly string[]][] = [
    ["a search path", /search path/, source, ["-rpath", "/opt/lib"]],
    ["an export more", /exports are not the ABI's: _plait_surprise/, extra, []],
    ["another ABI number", /its ABI number is \d+, not \d+/, otherNumber, []],
    ["another install name", /its install name is \/opt/, source, elsewhere],
  ];
  test.each(linked)(
    "is refused with %s",
    async (title, fault, text, further) => {
      const library = await link(`${title}.dylib`, text, further);
      expect(() => check(library)).toThrow(fault);
    },
    bound,
  );

  const system = "/usr/lib/libSystem.B.dylib";
  // The command for macOS with its oldest version, and the head of the file with its processor.
  const [version, head] = ["\x01\0\0\0\0\0\x0d\0", "\xcf\xfa\xed\xfe\x0c"];
  test.each([
    ["it loads /usr/lib/libSystem.C.dylib", system, system.replace("B", "C")],
    ["it is for macOS 14.0, not 13.0", version, version.replace("\x0d", "\x0e")],
    ["it is not for arm64", head, head.replace("\x0c", "\x07")],
    ["it was changed after it was signed", system, system.replace("B", "C")],
  ])("is refused: %s", (fault, from, to) => {
    expect(() => check(edited(good, "edited.dylib", from, to))).toThrow(fault);
  });

  test("is refused without a UUID", () => {
    const id = Buffer.from(readMachO(readFileSync(good)).uuid!, "hex").toString("latin1");
    const without = edited(good, "edited.dylib", id, "\0".repeat(id.length));
    expect(() => check(without)).toThrow("it has no UUID");
  });

  test(
    "is refused with symbols, and cut short",
    async () => {
      const withSymbols = await link("symbols.dylib", source, [], false);
      expect(() => check(withSymbols)).toThrow("it has symbols or debug information");
      writeFileSync(folder.file("cut.dylib"), readFileSync(good).subarray(0, -1));
      expect(() => check(folder.file("cut.dylib"))).toThrow("its signature is not its end");
      writeFileSync(folder.file("text.dylib"), source);
      expect(() => check(folder.file("text.dylib"))).toThrow("no Mach-O file");
    },
    bound,
  );

  test(
    "has the UUID of the file with its symbols, and is the same in another folder",
    async () => {
      using other = new TemporaryFolder();
      const object = await compileObject(other.path, "good.dylib", source, ...forMac);
      const [again, stripped] = [other.file("good.dylib"), readFileSync(good)];
      linkMachO(again, { ...target, object, isStripped: false });
      const symbols = readFileSync(again);
      expect(readMachO(symbols).uuid).toBe(readMachO(stripped).uuid);
      const name = "_hidden_function\0";
      expect([stripped.includes(name), symbols.includes(name)]).toEqual([false, true]);
      linkMachO(again, { ...target, object, isStripped: true });
      expect(readFileSync(again).equals(stripped)).toBe(true);
    },
    bound,
  );
});
