/** Runs the tests in TypeScript, all of them or those that match a filter, and counts them. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export const none: Counts = { passed: 0, failed: 0, skipped: 0 };

export function sum(counts: readonly Counts[]): Counts {
  return counts.reduce((total, part) => ({
    passed: total.passed + part.passed,
    failed: total.failed + part.failed,
    skipped: total.skipped + part.skipped,
  }));
}

/**
 * Runs the tests below `root`/test. With a filter these are the whole files whose path below `test`
 * contains it, and of the other files the tests whose name contains it. A test's name begins with the
 * names of the `describe` blocks around it.
 */
export function runBunTests(root: string, filter = ""): Counts {
  if (filter === "") return runBun(root, []);
  const paths = [...new Bun.Glob("**/*.test.ts").scanSync(join(root, "test"))].sort();
  const whole = paths.filter((path) => path.includes(filter));
  const others = paths.filter((path) => !path.includes(filter));
  const runs = [none];
  if (whole.length > 0) runs.push(runBun(root, whole.map(asArgument)));
  if (others.length > 0) {
    const pattern = filter.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    runs.push(runBun(root, ["--test-name-pattern", pattern, ...others.map(asArgument)], filter));
  }
  return sum(runs);
}

/** With `./` in front, Bun takes the argument as a path and not as a part of one. */
function asArgument(path: string): string {
  return `./${join("test", path)}`;
}

function runBun(root: string, options: string[], name?: string): Counts {
  const folder = mkdtempSync(join(tmpdir(), "plait-test-"));
  const report = join(folder, "report.xml");
  try {
    const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, "test", ...reporter, ...options],
      {
        cwd: root,
        stdin: "ignore",
        stdout: "inherit",
        stderr: name === undefined ? "inherit" : "pipe",
      },
    );
    const output = `${stderr ?? ""}`;
    // Bun fails when the pattern matches no test. Here that is no failure: the caller counts.
    if (name !== undefined && /^error: regex .* matched 0 tests/m.test(output)) return none;
    // Bun prints a heading for each file, also when none of its tests matches.
    if (name !== undefined) console.error(output.replace(/^\n?\S+\.test\.ts:\n(?=\n)/gm, ""));
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
    const counts = countsOf(readFileSync(report, "utf8"), name);
    return exitCode === 0 ? counts : { ...counts, failed: Math.max(counts.failed, 1) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Reads a report in JUnit's format, in which tests that the pattern leaves out count as skipped. */
function countsOf(report: string, name: string | undefined): Counts {
  const suites = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
  const total = (attribute: string): number =>
    Number(new RegExp(` ${attribute}="(\\d+)"`).exec(suites)?.[1] ?? 0);
  const failed = total("failures");
  const skipped = total("skipped");
  const passed = total("tests") - failed - skipped;
  if (name === undefined) return { passed, failed, skipped };
  const cases = report.matchAll(/<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*<skipped/g);
  const matching = [...cases].filter(([, test, suite]) => nameOf(suite!, test!).includes(name));
  return { passed, failed, skipped: matching.length };
}

function nameOf(suite: string, test: string): string {
  return `${suite.replaceAll(" &gt; ", " ")} ${test}`.replace(
    /&(lt|gt|quot|apos|amp);/g,
    (_, entity: string) => entities[entity]!,
  );
}

const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
