/** What must hold for a library in ELF, the format of Linux and FreeBSD. It is read by readelf(1). */

import { readFileSync } from "node:fs";
import { runQuietly } from "../quiet_command.ts";
import { type Abi, abiSymbol } from "./abi.ts";

/** The libraries that a library may load, by the C library of its platform. */
const allowed = {
  glibc:
    /^(libm\.so\.6|libc\.so\.6|libpthread\.so\.0|libdl\.so\.2|ld-linux-(x86-64|aarch64)\.so\.[12])$/,
  musl: /^libc\.so$/,
  freebsd: /^(libc\.so\.7|libthr\.so\.3|libm\.so\.5)$/,
} as const;

export type ElfSystem = keyof typeof allowed;

/** As readelf(1) names them. */
const machines = { x64: "Advanced Micro Devices X86-64", arm64: "AArch64" } as const;

/** The version 2.17, of 2012, as a number. */
const newestGlibc = 2017;

/** Throws with everything that is wrong with a library. */
export function checkElf(
  library: string,
  system: ElfSystem,
  cpu: keyof typeof machines,
  abi: Abi,
): void {
  const faults: string[] = [];
  const read = (option: string): string => {
    const { succeeded, output, complaint } = runQuietly(["readelf", "-W", option, library]);
    if (!succeeded) throw new Error(`readelf ${option} ${library}: ${complaint}`);
    return output;
  };
  const header = read("--file-header");
  const dynamic = read("--dynamic");
  const segments = read("--segments");
  const sections = read("--sections");
  if (!header.includes(`${machines[cpu]}\n`)) faults.push(`it is not for ${cpu}`);
  if (!/Type: +DYN /.test(header)) faults.push("it is no shared library");
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1]!);
  for (const name of needed) if (!allowed[system].test(name)) faults.push(`it loads ${name}`);
  if (!dynamic.includes("soname: [libplait.so]")) faults.push("its name is not libplait.so");
  if (/\((RPATH|RUNPATH)\)/.test(dynamic)) faults.push("it has a search path of its own");
  if (/\bTEXTREL\b/.test(dynamic)) faults.push("its code must be relocated");
  if (!/\bNOW\b/.test(dynamic)) faults.push("its symbols are bound lazily");
  if (!/GNU_RELRO/.test(segments)) faults.push("its relocated data stay writable (RELRO)");
  if (!/GNU_STACK.* RW +/.test(segments)) faults.push("its stack may be executable");
  if (/LOAD.* RWE /.test(segments)) faults.push("a segment is writable and executable");
  if (/\.symtab|\.debug_/.test(sections)) faults.push("it has symbols or debug information");
  for (const [, major, minor] of read("--version-info").matchAll(/Name: GLIBC_(\d+)\.(\d+)/g)) {
    if (Number(major) * 1000 + Number(minor) > newestGlibc) {
      faults.push(`it needs glibc ${major}.${minor}`);
    }
  }
  const exported =
    /: ([0-9a-f]+) +\d+ +(?:FUNC|OBJECT|TLS|NOTYPE|IFUNC) +(?:GLOBAL|WEAK|UNIQUE) +\S+ +(?!UND)\S+ ([^@\s]+)/g;
  const found = new Map<string, number>();
  for (const [, value, name] of read("--dyn-syms").matchAll(exported)) {
    found.set(name!, Number.parseInt(value!, 16));
  }
  const others = new Set(found.keys()).symmetricDifference(new Set(abi.exports));
  if (others.size > 0) faults.push(`its exports are not the ABI's: ${[...others].join(", ")}`);
  const number = numberAt(library, segments, found.get(abiSymbol));
  if (number !== abi.number) faults.push(`its ABI number is ${number}, not ${abi.number}`);
  if (!/Build ID: [0-9a-f]+/.test(read("--notes"))) faults.push("it has no build id");
  if (faults.length > 0) throw new Error(`${library}: ${faults.join("; ")}`);
}

/** The 32 bits at an address. Undefined if no segment of the file has them. */
function numberAt(
  library: string,
  segments: string,
  address: number | undefined,
): number | undefined {
  if (address === undefined) return undefined;
  const loaded = /LOAD +(0x[0-9a-f]+) (0x[0-9a-f]+) 0x[0-9a-f]+ (0x[0-9a-f]+) /g;
  for (const [, ...texts] of segments.matchAll(loaded)) {
    const [offset, start, size] = texts.map(Number) as [number, number, number];
    if (address >= start && address + 4 <= start + size) {
      return readFileSync(library).readUInt32LE(offset + address - start);
    }
  }
  return undefined;
}
