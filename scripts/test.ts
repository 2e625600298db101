/**
 * Runs every test: format, lint and types, the core's own tests in Zig, then those in TypeScript.
 * Ends with a line `N passed, N failed`, and `, N skipped` if any were.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { opensslOptions, root, zigExecutable } from "./build.ts";
import { checks } from "./check.ts";
import { ensureOpenssl } from "./openssl.ts";
import { installPeers } from "./peers.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs a command to its end; what it prints on both streams comes after one another. */
async function run(command: string[], cwd: string): Promise<{ exitCode: number; output: string }> {
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const outputs = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { exitCode: await child.exited, output: outputs.join("") };
}

/** Each check counts as a test: a file that is not formatted fails the run. */
async function runChecks(): Promise<Counts> {
  let failed = 0;
  for (const { name, command, cwd } of checks) {
    const { exitCode, output } = await run(command, cwd);
    if (exitCode === 0) continue;
    failed++;
    console.error(`${name} failed:\n${output}`);
  }
  return { passed: checks.length - failed, failed, skipped: 0 };
}

async function runZigTests(): Promise<Counts> {
  const zig = zigExecutable();
  const openssl = opensslOptions(ensureOpenssl(zig));
  const command = [zig, "build", "test", "-Doptimize=ReleaseSafe", ...openssl, "--summary", "all"];
  const { exitCode, output } = await run(command, join(root, "zig"));
  const summary = /(\d+)\/(\d+) tests passed(?:; (\d+) skipped)?/.exec(output);
  const passed = Number(summary?.[1] ?? 0);
  const total = Number(summary?.[2] ?? 0);
  const skipped = Number(summary?.[3] ?? 0);
  if (exitCode !== 0 || total === 0) console.error(output);
  console.log(`core: ${passed} of ${total} tests passed`);
  const failed = total - passed - skipped;
  return { passed, failed: exitCode === 0 && total > 0 ? failed : Math.max(failed, 1), skipped };
}

function runBunTests(): Counts {
  const folder = mkdtempSync(join(tmpdir(), "plait-test-"));
  const report = join(folder, "report.xml");
  try {
    const command = [process.execPath, "test", "--reporter=junit", `--reporter-outfile=${report}`];
    const { exitCode } = Bun.spawnSync(command, {
      cwd: root,
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    });
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
    const suites = /<testsuites [^>]*>/.exec(readFileSync(report, "utf8"))?.[0] ?? "";
    const count = (name: string): number =>
      Number(new RegExp(` ${name}="(\\d+)"`).exec(suites)?.[1] ?? 0);
    const skipped = count("skipped");
    const failed = Math.max(count("failures"), exitCode === 0 ? 0 : 1);
    return { passed: count("tests") - count("failures") - skipped, failed, skipped };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

installPeers();
// The checks are done while the core's tests are compiled. Those in TypeScript have the machine alone.
const counts = [...(await Promise.all([runChecks(), runZigTests()])), runBunTests()];
const sum = (name: keyof Counts): number => counts.reduce((total, part) => total + part[name], 0);
const skipped = sum("skipped");
console.log(
  `${sum("passed")} passed, ${sum("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
);
process.exitCode = sum("failed") > 0 ? 1 : 0;
