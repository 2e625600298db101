/**
 * What Bun for musl needs, on a Debian machine. Debian has musl, but no C++ library for it. So the few functions
 * that Bun uses are linked from GCC's static library for glibc, and the functions of glibc that these use are
 * replaced. It is good for trying a release, and for nothing else.
 */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { outputOf } from "../quiet_command.ts";
import type { Target } from "../targets.ts";

const replacements = `
  #include <stddef.h>
  __attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
  char __libc_single_threaded = 0;
  /* Not found: then the unwinder asks dl_iterate_phdr(3). */
  int _dl_find_object(void *address, void *result) { return -1; }
  unsigned long getauxval(unsigned long);
  unsigned long __getauxval(unsigned long kind) { return getauxval(kind); }
  int getentropy(void *, size_t);
  unsigned arc4random(void) { unsigned value; getentropy(&value, sizeof value); return value; }
`;

/** What Bun has of C++, by its symbols: functions, and data that is copied into the executable. */
const cxxSymbol = /^(_ZN?K?S|_ZTVN10__cxxabiv1|__cxa_(?!finalize|thread_atexit_impl))/;

/** Debian's compiler for a processor, with its package. */
const compilers = {
  x64: { compiler: "gcc", options: [], debian: "g++" },
  arm64: {
    compiler: "aarch64-linux-gnu-gcc",
    options: ["-mno-outline-atomics"],
    debian: "gcc-aarch64-linux-gnu and libstdc++-12-dev-arm64-cross",
  },
} as const;

export interface MuslRoot {
  /** The root of a file system in which musl's loader is where programs look for it. */
  readonly root: string;
  /** The folder of the C++ library. */
  readonly libraries: string;
}

/** Makes them for a Bun below a folder, if they are not there. Throws if a part is missing. */
export function ensureMusl(cpu: Target["cpu"], bun: string, folder: string): MuslRoot {
  const libraries = join(folder, "usr", "lib");
  const root = cpu === "x64" ? "/" : folder;
  if (existsSync(libraries)) return { root, libraries };
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(join(unfinished, "usr", "lib"), { recursive: true });
  try {
    if (cpu === "arm64") unpackMusl(cpu, unfinished);
    else if (!existsSync("/lib/ld-musl-x86_64.so.1")) {
      throw new Error("musl's loader is missing (Debian: musl)");
    }
    linkLibrary(cpu, bun, unfinished);
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return { root, libraries };
}

/** Unpacks Debian's musl for another processor, which it has only lists of its own for. */
function unpackMusl(cpu: Target["cpu"], folder: string): void {
  const state = join(folder, "apt");
  mkdirSync(join(state, "lists", "partial"), { recursive: true });
  mkdirSync(join(state, "archives", "partial"), { recursive: true });
  const settings = [
    ...[`Dir::State::lists=${state}/lists`, `Dir::Cache=${state}`, `APT::Architecture=${cpu}`],
    ...[`APT::Architectures::=${cpu}`, "APT::Sandbox::User=root"],
  ];
  const apt = ["apt-get", ...settings.flatMap((setting) => ["-o", setting])];
  outputOf([...apt, "update"]);
  outputOf([...apt, "download", "musl"], { cwd: state });
  const archive = readdirSync(state).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error(`Debian has no musl for ${cpu}`);
  outputOf(["dpkg", "--extract", join(state, archive), folder]);
  rmSync(state, { recursive: true, force: true });
}

function linkLibrary(cpu: Target["cpu"], bun: string, folder: string): void {
  const { compiler, options, debian } = compilers[cpu];
  if (Bun.which(compiler) === null) throw new Error(`${compiler} is missing (Debian: ${debian})`);
  const archives = ["libstdc++.a", "libgcc_eh.a", "libgcc.a"].map((name) => {
    const path = outputOf([compiler, `-print-file-name=${name}`]).trim();
    if (!existsSync(path)) throw new Error(`${name} is missing (Debian: ${debian})`);
    return path;
  });
  const source = join(folder, "replacements.c");
  writeFileSync(source, replacements);
  const wanted = [...symbolsOf(bun), "__dynamic_cast", "__once_proxy"];
  outputOf([
    ...[compiler, "-shared", "-nostdlib", "-fPIC", "-fno-stack-protector", ...options, source],
    ...["-o", join(folder, "usr", "lib", "libstdc++.so.6"), "-Wl,-soname,libstdc++.so.6"],
    ...wanted.map((name) => `-Wl,-u,${name}`),
    ...archives,
  ]);
}

function symbolsOf(bun: string): string[] {
  const missing = outputOf(["nm", "--dynamic", "--undefined-only", "--format=just-symbols", bun]);
  const copied = outputOf(["readelf", "--relocs", "--wide", bun]).matchAll(/_COPY .* (\S+) \+ 0/g);
  const names = [...missing.split("\n"), ...[...copied].map((match) => match[1]!)];
  return names.filter((name) => cxxSymbol.test(name));
}
