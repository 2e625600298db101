/** What must hold for a library in ELF, the format of Linux and FreeBSD. It is read by readelf(1). */

import { runQuietly } from "../openssl_command.ts";

/** The libraries that a library may load, by the C library of its platform. */
const allowed = {
  glibc:
    /^(libm\.so\.6|libc\.so\.6|libpthread\.so\.0|libdl\.so\.2|ld-linux-(x86-64|aarch64)\.so\.[12])$/,
  musl: /^libc\.so$/,
  freebsd: /^(libc\.so\.7|libthr\.so\.3)$/,
} as const;

/** The version 2.17, of 2012, as a number. */
const newestGlibc = 2017;

/** Throws with everything that is wrong with a library. */
export function checkElf(
  library: string,
  libc: keyof typeof allowed,
  exports: readonly string[],
): void {
  const faults: string[] = [];
  const read = (option: string): string => {
    const { succeeded, output, complaint } = runQuietly(["readelf", "-W", option, library]);
    if (!succeeded) throw new Error(`readelf ${option} ${library}: ${complaint}`);
    return output;
  };
  const dynamic = read("--dynamic");
  const segments = read("--segments");
  const sections = read("--sections");
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1]!);
  for (const name of needed) if (!allowed[libc].test(name)) faults.push(`it loads ${name}`);
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
  const exported = /(?:FUNC|OBJECT|TLS) +(?:GLOBAL|WEAK) +DEFAULT +\d+ ([^@\s]+)/g;
  const found = [...read("--dyn-syms").matchAll(exported)].map((match) => match[1]!);
  const others = new Set(found).symmetricDifference(new Set(exports));
  if (others.size > 0) faults.push(`its exports are not the ABI's: ${[...others].join(", ")}`);
  if (!/Build ID: [0-9a-f]+/.test(read("--notes"))) faults.push("it has no build id");
  if (faults.length > 0) throw new Error(`${library}: ${faults.join("; ")}`);
}
