/** What must hold for a library in Mach-O, the format of macOS. */

import { readFileSync } from "node:fs";
import { type Abi, abiSymbol } from "./abi.ts";
import { signatureFaults } from "./code_signature.ts";
import { bytesAt, type MachO, readMachO } from "./mach_o_file.ts";

/** `CPU_TYPE_X86_64` and `CPU_TYPE_ARM64`. */
const cpus = { x64: 0x01000007, arm64: 0x0100000c } as const;
const dynamicLibrary = 6;
const macOs = 1;
const readOnlyWhenRelocated = 0x10;
const [write, execute] = [2, 4];
const symbolKind = { debugger: 0xe0, kind: 0x0e, external: 0x01, private: 0x10 } as const;

/** Throws with everything that is wrong with a library. */
export function checkMachO(
  library: string,
  cpu: keyof typeof cpus,
  oldestSystem: string,
  abi: Abi,
): void {
  const faults = faultsOf(readMachO(readFileSync(library)), cpu, oldestSystem, abi);
  if (faults.length > 0) throw new Error(`${library}: ${faults.join("; ")}`);
}

function faultsOf(file: MachO, cpu: keyof typeof cpus, oldestSystem: string, abi: Abi): string[] {
  const faults: string[] = [];
  if (file.cpu !== cpus[cpu]) faults.push(`it is not for ${cpu}`);
  if (file.kind !== dynamicLibrary) faults.push("it is no dynamic library");
  if (file.platform !== macOs || file.oldestSystem !== oldestSystem) {
    faults.push(`it is for macOS ${file.oldestSystem}, not ${oldestSystem}`);
  }
  if (file.installName !== "@rpath/libplait.dylib") {
    faults.push(`its install name is ${file.installName}`);
  }
  for (const name of file.loads) {
    if (name !== "/usr/lib/libSystem.B.dylib") faults.push(`it loads ${name}`);
  }
  if (file.searchPaths.length > 0) faults.push("it has a search path of its own");
  if (file.relocations > 0) faults.push("its code must be relocated");
  for (const { name, protection, flags } of file.segments) {
    if ((protection & write) !== 0 && (protection & execute) !== 0) {
      faults.push(`its segment ${name} is writable and executable`);
    }
    if (name === "__DATA_CONST" && (flags & readOnlyWhenRelocated) === 0) {
      faults.push("its relocated data stay writable");
    }
  }
  if (!file.segments.some(({ name }) => name === "__DATA_CONST")) {
    faults.push("its relocated data stay writable");
  }
  const { debugger: forDebugger, external, private: hidden } = symbolKind;
  const leftOver = file.symbols.filter(
    ({ type }) => (type & forDebugger) !== 0 || (type & external) === 0 || (type & hidden) !== 0,
  );
  if (leftOver.length > 0) faults.push("it has symbols or debug information");
  const defined = file.symbols.filter(({ type }) => (type & symbolKind.kind) !== 0);
  for (const [list, names] of [
    ["exports", file.exports.keys()],
    ["symbols", defined.map(({ name }) => name)],
  ] as const) {
    const expected = new Set(abi.exports.map((name) => `_${name}`));
    const others = new Set(names).symmetricDifference(expected);
    if (others.size > 0) faults.push(`its ${list} are not the ABI's: ${[...others].join(", ")}`);
  }
  if (!/[1-9a-f]/.test(file.uuid ?? "")) faults.push("it has no UUID");
  if (file.signature === undefined) faults.push("it is not signed");
  else faults.push(...signatureFaults(file.bytes, file.signature));
  const address = file.exports.get(`_${abiSymbol}`);
  const number = address === undefined ? undefined : bytesAt(file, address, 4).readUInt32LE(0);
  if (number !== abi.number) faults.push(`its ABI number is ${number}, not ${abi.number}`);
  return faults;
}
