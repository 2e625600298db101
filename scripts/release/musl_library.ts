/**
 * The C++ library that Bun for musl needs, on a Debian machine. Debian has musl, but no C++ library for it. So the
 * few functions that Bun uses are linked from GCC's static library for glibc, and the functions of glibc that
 * these use are replaced. It is good for trying a release, and for nothing else.
 */

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runQuietly } from "../openssl_command.ts";

const replacements = `
  #include <stddef.h>
  __attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
  char __libc_single_threaded = 0;
  /* Not found: then the unwinder asks dl_iterate_phdr(3). */
  int _dl_find_object(void *address, void *result) { return -1; }
  int getentropy(void *, size_t);
  unsigned arc4random(void) { unsigned value; getentropy(&value, sizeof value); return value; }
`;

/** What Bun has of C++, by its symbols: functions, and data that is copied into the executable. */
const cxxSymbol = /^(_ZN?K?S|_ZTVN10__cxxabiv1|__cxa_(?!finalize|thread_atexit_impl))/;

/** Makes the library for a Bun in a folder, which is returned. Throws if a part is missing. */
export function ensureMuslLibrary(bun: string, folder: string): string {
  if (!existsSync("/lib/ld-musl-x86_64.so.1")) {
    throw new Error("musl's loader is missing (Debian: musl)");
  }
  const library = join(folder, "libstdc++.so.6");
  if (existsSync(library)) return folder;
  const archives = ["libstdc++.a", "libgcc_eh.a"].map((name) => {
    const { output } = must(["gcc", `-print-file-name=${name}`]);
    if (!existsSync(output.trim())) throw new Error(`${name} is missing (Debian: g++)`);
    return output.trim();
  });
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const source = join(unfinished, "replacements.c");
    writeFileSync(source, replacements);
    const wanted = [...symbolsOf(bun), "__dynamic_cast", "__once_proxy"];
    must([
      ...["gcc", "-shared", "-nostdlib", "-fPIC", "-fno-stack-protector", source],
      ...["-o", join(unfinished, "libstdc++.so.6"), "-Wl,-soname,libstdc++.so.6"],
      ...wanted.map((name) => `-Wl,-u,${name}`),
      ...archives,
    ]);
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

function symbolsOf(bun: string): string[] {
  const undefinedOnes = must(["nm", "--dynamic", "--undefined-only", "--format=just-symbols", bun]);
  const copied = must(["readelf", "--relocs", "--wide", bun]).output.matchAll(
    /_COPY .* (\S+) \+ 0/g,
  );
  const names = [...undefinedOnes.output.split("\n"), ...[...copied].map((match) => match[1]!)];
  return names.filter((name) => cxxSymbol.test(name));
}

function must(command: string[]): { readonly output: string } {
  const outcome = runQuietly(command);
  if (!outcome.succeeded) throw new Error(`${command[0]}: ${outcome.complaint.trim()}`);
  return outcome;
}
