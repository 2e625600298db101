/**
 * A name service that is slow, or has the addresses that a test wants, for programs in other
 * processes: a library that is loaded before the C library and replaces its getaddrinfo. Linux
 * only.
 */

import { writeFileSync } from "node:fs";
import { zigExecutable } from "../../scripts/build.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/**
 * `wait-<milliseconds>.test` is this machine, after that time. Names in NAMES
 * ("a.test=::1,127.0.0.1;b.test=...") have these addresses, in this order. Other names are resolved
 * as usual.
 */
const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define NAMES "PLAIT_TEST_NAMES"

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static const char *addresses_of(const char *node) {
  const char *next = getenv(NAMES);
  size_t length = strlen(node);
  while (next && *next) {
    if (strncmp(next, node, length) == 0 && next[length] == '=') return next + length + 1;
    next = strchr(next, ';');
    if (next) next++;
  }
  return 0;
}

static int find_all(lookup *real, const char *list, const char *service,
                    const struct addrinfo *hints, struct addrinfo **found) {
  struct addrinfo **end = found;
  *found = 0;
  while (*list && *list != ';') {
    char address[64];
    size_t length = strcspn(list, ",;");
    memcpy(address, list, length);
    address[length] = 0;
    list += length + (list[length] == ',');
    // An IPv4-mapped IPv6 address counts as IPv6 here.
    if (strchr(address, ':') && hints->ai_family == AF_INET) continue;
    if (real(address, service, hints, end) != 0) continue;
    while (*end) end = &(*end)->ai_next;
  }
  return *found ? 0 : EAI_NODATA;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
  if (node && strncmp(node, "wait-", 5) == 0) {
    long milliseconds = atol(node + 5);
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    nanosleep(&time, 0);
    node = "127.0.0.1";
  }
  const char *list = node ? addresses_of(node) : 0;
  if (list) return find_all(real, list, service, hints, found);
  return real(node, service, hints, found);
}
`;

export class SlowNames implements Disposable {
  readonly #folder = new TemporaryFolder();
  /** The environment of such a program. */
  readonly env: Readonly<Record<string, string>>;

  constructor(names: Readonly<Record<string, readonly string[]>> = {}) {
    const library = this.#folder.file("slow_names.so");
    const file = this.#folder.file("slow_names.c");
    writeFileSync(file, source);
    const command = [zigExecutable(), "cc", "-shared", "-fPIC", "-O1", "-o", library, file];
    const { exitCode, stderr } = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
    if (exitCode !== 0) throw new Error(`slow_names.c was not compiled: ${stderr}`);
    const lists = Object.entries(names).map(([name, list]) => `${name}=${list.join(",")}`);
    this.env = { LD_PRELOAD: library, PLAIT_TEST_NAMES: lists.join(";") };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
