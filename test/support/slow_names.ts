/**
 * A name service that takes its time, for programs of their own: a library that is loaded before the
 * C library and answers in place of its getaddrinfo. Linux only.
 */

import { writeFileSync } from "node:fs";
import { zigExecutable } from "../../scripts/build.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** `wait-<milliseconds>.test` is this machine, after so long; other names are left alone. */
const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
  if (node && strncmp(node, "wait-", 5) == 0) {
    long milliseconds = atol(node + 5);
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    nanosleep(&time, 0);
    node = "127.0.0.1";
  }
  return real(node, service, hints, found);
}
`;

export class SlowNames implements Disposable {
  readonly #folder = new TemporaryFolder();
  /** What a program's environment needs. */
  readonly env: Readonly<Record<string, string>>;

  constructor() {
    const library = this.#folder.file("slow_names.so");
    const file = this.#folder.file("slow_names.c");
    writeFileSync(file, source);
    const command = [zigExecutable(), "cc", "-shared", "-fPIC", "-O1", "-o", library, file];
    const { exitCode, stderr } = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
    if (exitCode !== 0) throw new Error(`slow_names.c was not compiled: ${stderr}`);
    this.env = { LD_PRELOAD: library };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
