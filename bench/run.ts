// `bun run bench`: runs the suites that are named, or all of them.

import { runEcho } from "./echo/suite.ts";
import { runFibers } from "./fibers/suite.ts";
import { buildNativePrograms } from "./harness/build.ts";
import { printMachine } from "./harness/machine.ts";
import { type BenchOptions, parseOptions, USAGE } from "./harness/options.ts";
import { runImport } from "./import/suite.ts";
import { runLoad } from "./load/suite.ts";
import { runMemory } from "./memory/suite.ts";
import { runProxy } from "./proxy/suite.ts";
import { runReaders } from "./readers/suite.ts";
import { runRedis } from "./redis/suite.ts";
import { runTls } from "./tls/suite.ts";
import { runWrites } from "./writes/suite.ts";

const SUITES = new Map<string, (options: BenchOptions) => Promise<void>>([
  ["echo", runEcho],
  ["memory", runMemory],
  ["import", runImport],
  ["fibers", runFibers],
  ["readers", runReaders],
  ["redis", runRedis],
  ["proxy", runProxy],
  ["writes", runWrites],
  ["tls", runTls],
  ["load", runLoad],
]);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(USAGE);
    return;
  }
  const names = options.suites.length > 0 ? options.suites : [...SUITES.keys()];
  const suites = names.map((name) => {
    const suite = SUITES.get(name);
    if (suite !== undefined) return suite;
    throw new Error(`no suite ${name}\n\n${USAGE}`);
  });
  await buildNativePrograms();
  const startedMs = performance.now();
  printMachine();
  for (const suite of suites) await suite(options);
  console.log(`\ntook ${Math.round((performance.now() - startedMs) / 1000)} s`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
