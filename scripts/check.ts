/** Format, lint and types of all files, and the core's types on every system that it supports. */

import { join } from "node:path";
import { root, zigExecutable } from "./build.ts";

interface Check {
  name: string;
  command: string[];
  cwd: string;
}

function installed(program: string): string {
  return join(root, "node_modules", ".bin", program);
}

/** A program that imports the sources checks them with its own settings, which may be stricter. */
const strictest = [
  "--ignoreConfig --noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess",
  "--noImplicitOverride --noImplicitReturns --noUnusedLocals --noUnusedParameters",
  "--erasableSyntaxOnly --verbatimModuleSyntax --allowImportingTsExtensions",
  "--target esnext --module preserve --types bun index.ts src/node/net.ts src/drivers/drivers.ts",
  "src/load/load.ts src/report/report.ts src/report/page/texts.d.ts src/command/plait.ts",
].flatMap((line) => line.split(" "));

export const checks: readonly Check[] = [
  { name: "zig fmt", command: [zigExecutable(), "fmt", "--check", "zig"], cwd: root },
  {
    name: "zig build check",
    command: [zigExecutable(), "build", "check"],
    cwd: join(root, "zig"),
  },
  { name: "biome", command: [process.execPath, installed("biome"), "check", "."], cwd: root },
  { name: "tsc", command: [process.execPath, installed("tsc")], cwd: root },
  {
    name: "tsc of the report's page",
    command: [process.execPath, installed("tsc"), "-p", "src/report/page"],
    cwd: root,
  },
  {
    name: "tsc at its strictest",
    command: [process.execPath, installed("tsc"), ...strictest],
    cwd: root,
  },
];

if (import.meta.main) {
  for (const { name, command, cwd } of checks) {
    const { exitCode } = Bun.spawnSync(command, { cwd, stdout: "inherit", stderr: "inherit" });
    console.log(`${name}: ${exitCode === 0 ? "well" : "failed"}`);
    if (exitCode !== 0) process.exitCode = 1;
  }
}
