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
export async function runBunTests(root: string, filter = ""): Promise<Counts> {
  const paths = [...new Bun.Glob("**/*.test.ts").scanSync(join(root, "test"))].sort();
  if (filter === "") return await runAll(root, paths);
  const whole = paths.filter((path) => path.includes(filter));
  const others = paths.filter((path) => !path.includes(filter));
  const runs = [none];
  if (whole.length > 0) runs.push(await runBun(root, whole.map(asArgument)));
  if (others.length > 0) {
    const pattern = filter.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    const options = ["--test-name-pattern", pattern, ...others.map(asArgument)];
    runs.push(await runBun(root, options, { name: filter }));
  }
  return sum(runs);
}

/**
 * The folders whose tests start programs, and mostly wait for them. They run beside all others, so that two cores are
 * in use.
 */
const beside: ReadonlySet<string> = new Set([
  ...["command", "examples", "http", "load", "package", "report", "websocket"],
]);

/** All tests, in two processes. What the second one prints comes behind the first one's. */
async function runAll(root: string, paths: readonly string[]): Promise<Counts> {
  const isBeside = (path: string): boolean => beside.has(path.split("/", 1)[0]!);
  const groups = [paths.filter((path) => !isBeside(path)), paths.filter(isBeside)];
  const runs = groups.map((group, index) =>
    group.length === 0 ? none : runBun(root, group.map(asArgument), { isQuiet: index > 0 }),
  );
  return sum(await Promise.all(runs));
}

interface RunOptions {
  /** The filter, if tests are chosen by their names. */
  readonly name?: string;
  /** Whether the output is printed at the end. */
  readonly isQuiet?: boolean;
}

/** With `./` in front, Bun takes the argument as a path and not as a part of one. */
function asArgument(path: string): string {
  return `./${join("test", path)}`;
}

/** Two groups share the machine. A test that hangs fails all the same. */
const bound = ["--timeout", "30000"];

async function runBun(
  root: string,
  options: string[],
  { name, isQuiet = false }: RunOptions = {},
): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "plait-test-"));
  const report = join(folder, "report.xml");
  try {
    const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
    const isKept = isQuiet || name !== undefined;
    const program = Bun.spawn([process.execPath, "test", ...bound, ...reporter, ...options], {
      cwd: root,
      stdin: "ignore",
      stdout: isQuiet ? "pipe" : "inherit",
      stderr: isKept ? "pipe" : "inherit",
    });
    const [stdout, output] = await Promise.all([textOf(program.stdout), textOf(program.stderr)]);
    const exitCode = await program.exited;
    if (isQuiet) process.stdout.write(stdout);
    // Bun fails when the pattern matches no test. Here that is no failure: the caller counts.
    if (name !== undefined && /^error: regex .* matched 0 tests/m.test(output)) return none;
    // Bun prints a heading for each file, also when none of its tests matches.
    if (isKept) console.error(output.replace(/^\n?\S+\.test\.ts:\n(?=\n)/gm, ""));
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
    const counts = countsOf(readFileSync(report, "utf8"), name);
    return exitCode === 0 ? counts : { ...counts, failed: Math.max(counts.failed, 1) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function textOf(stream: ReadableStream<Uint8Array> | undefined | null): Promise<string> {
  return stream ? await new Response(stream).text() : "";
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
