/**
 * Runs every test: format, lint and types, the core's own tests in Zig, then those in TypeScript.
 * Ends with a line `N passed, N failed`, and `, N skipped` if any were.
 *
 * `bun run test FILTER` runs the checks, files and tests alone whose names contain FILTER.
 */

import { root } from "./build.ts";
import { type Counts, runBunTests, sum } from "./bun_tests.ts";
import { checks } from "./check.ts";
import { installPeers } from "./peers.ts";
import { run } from "./run.ts";
import { runZigTests } from "./zig_tests.ts";

/** Each check counts as a test: a file that is not formatted fails the run. */
async function runChecks(filter: string): Promise<Counts> {
  const chosen = checks.filter(({ name }) => name.includes(filter));
  let failed = 0;
  for (const { name, command, cwd } of chosen) {
    const { exitCode, output } = await run(command, cwd);
    if (exitCode === 0) continue;
    failed++;
    console.error(`${name} failed:\n${output}`);
  }
  return { passed: chosen.length - failed, failed, skipped: 0 };
}

const [filter = "", ...rest] = process.argv.slice(2);
if (rest.length > 0)
  throw new Error(`plait: one filter at most: quote "${[filter, ...rest].join(" ")}"`);
installPeers();
// The checks run while Zig compiles the core's tests. The tests in TypeScript come after that.
const others = await Promise.all([runChecks(filter), runZigTests(filter)]);
const { passed, failed, skipped } = sum([...others, await runBunTests(root, filter)]);
if (passed + failed + skipped === 0) {
  console.error(`plait: no test has "${filter}" in its name or in the path of its file`);
  process.exit(1);
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;
