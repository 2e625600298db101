/** Runs the core's own tests, all of them or those that match a filter, and counts them. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { opensslOptions, root, zigExecutable } from "./build.ts";
import { type Counts, none } from "./bun_tests.ts";
import { ensureOpenssl } from "./openssl.ts";
import { run } from "./run.ts";

const folder = join(root, "zig");

/**
 * With a filter, runs the tests of the files whose path below `zig` contains it, and those whose name
 * contains it. Nothing is compiled when there are none.
 */
export async function runZigTests(filter = ""): Promise<Counts> {
  const { matching, unnamed } = zigTests(filter);
  if (matching.length === 0) return none;
  const zig = zigExecutable();
  const openssl = opensslOptions(ensureOpenssl(zig));
  const filters = filter === "" ? [] : [...new Set([filter, qualified(filter)])];
  const command = [zig, "build", "test", "-Doptimize=ReleaseSafe", ...openssl, "--summary", "all"];
  for (const each of filters) command.push(`-Dtest-filter=${each}`);
  const { exitCode, output } = await run(command, folder);
  const summary = /(\d+)\/(\d+) tests passed(?:; (\d+) skipped)?/.exec(output);
  // Zig runs tests without a name regardless of the filter.
  const always = filter === "" ? 0 : unnamed;
  const passed = Math.max(Number(summary?.[1] ?? 0) - always, 0);
  const total = Math.max(Number(summary?.[2] ?? 0) - always, 0);
  const skipped = Number(summary?.[3] ?? 0);
  if (exitCode !== 0 || total === 0) console.error(output);
  console.log(`core: ${passed} of ${total} tests passed`);
  const failed = total - passed - skipped;
  return { passed, failed: exitCode === 0 && total > 0 ? failed : Math.max(failed, 1), skipped };
}

/** Reads the names of the core's tests from its sources, where they are literals. */
export function zigTests(filter: string): { matching: string[]; unnamed: number } {
  const matching: string[] = [];
  let unnamed = 0;
  for (const path of new Bun.Glob("**/*.zig").scanSync(folder)) {
    if (path.startsWith(".zig-cache")) continue;
    const text = readFileSync(join(folder, path), "utf8");
    unnamed += [...text.matchAll(/^test \{/gm)].length;
    for (const [, name] of text.matchAll(/^test "(.*)" \{$/gm)) {
      if (path.includes(filter) || name!.includes(filter)) matching.push(`${path}: ${name}`);
    }
  }
  return { matching, unnamed };
}

/** A path as Zig writes it before the names of the tests: `tls/records.zig` is `tls.records`. */
function qualified(path: string): string {
  return path.replace(/\.zig$/, "").replaceAll("/", ".");
}
