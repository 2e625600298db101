/** Finds paths of this machine in what is released. They would differ on every machine, and tell about it. */

import { homedir } from "node:os";
import { dirname } from "node:path";
import { root, zigExecutable } from "../build.ts";
import { cacheFolder } from "../openssl.ts";

/** Folders that no released file may name. */
function folders(): string[] {
  const found = [root, `${homedir()}/`, cacheFolder(), dirname(zigExecutable())];
  return [...new Set(found)].filter((path) => path !== "/");
}

/** A path of this machine that is in the bytes. */
export function buildPathIn(bytes: Buffer): string | undefined {
  return folders().find((path) => bytes.includes(path));
}
