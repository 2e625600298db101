/** What must hold for the library of a platform before it is called built. */

import { statSync } from "node:fs";
import { oldestMacOs, type Target } from "../targets.ts";
import { type Abi, abi } from "./abi.ts";
import { libraryBudgets } from "./budgets.ts";
import { checkElf } from "./elf.ts";
import { checkMachO } from "./mach_o.ts";

/** Throws with what is wrong. */
export function checkLibrary(target: Target, library: string, expected: Abi = abi): void {
  if (target.os === "darwin") {
    checkMachO(library, target.cpu, oldestMacOs(target), expected);
  } else {
    checkElf(library, target.libc ?? "freebsd", target.cpu, expected);
  }
  const { size } = statSync(library);
  const most = libraryBudgets[target.cpu];
  if (size > most) throw new Error(`${library}: it has ${size} bytes, and ${most} are its budget`);
}
