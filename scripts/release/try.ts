/**
 * Tries the packages in `dist/tarballs` on the platforms whose programs this machine can run: `bun run release:try`,
 * after `bun run release`. `bun run release:try linux-x64-musl` tries this platform alone. Each is tried in three ways:
 * a program with the installed packages; the same compiled by `bun build --compile --target`, in an empty folder; and
 * a selection of the tests of this checkout, with the library of the package. It takes a few minutes.
 *
 * Linux on x64 with glibc is run as it is, with musl by musl's loader, and on arm64 by qemu-user. A platform that
 * cannot be run here is named with the reason. The command fails if one that can be run has a failure.
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { root } from "../build.ts";
import { runQuietly } from "../quiet_command.ts";
import { libraryFile, packageOf, type Target, targets, thisMachine } from "../targets.ts";
import { compileTarget, type ForeignBun, foreignBun } from "./foreign_bun.ts";

const dist = join(root, "dist");
/** Seconds for one command. */
const bound = 1200;

/** The tests for every platform, and those that emulation is too slow for. */
const selection = [
  ...["net/read_write", "net/connect", "net/listen", "net/sendfile", "net/unix"],
  "runtime/cancellation",
];
const further = [
  ...["net/pipe", "net/closing", "net/serving", "net/resolve", "net/try_read", "runtime/deadlines"],
  ...["sync/", "buffered/", "streams/", "tls/connect", "tls/server_names", "process/workers"],
];

/** Tests that cannot pass on a platform, with the reason. */
const excepted: readonly {
  readonly names: RegExp;
  readonly where: RegExp;
  readonly reason: string;
}[] = [
  {
    names:
      /keeps the process alive|unhandled rejections|waits for its end is reported|relative path|by SIGPIPE/,
    where: /arm64/,
    reason: "they start programs of arm64, which only the emulator can",
  },
];

const program = `
  import { connect, listen, versions } from "plait";
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for await (const chunk of socket) await socket.write(chunk);
  });
  const socket = await connect({ host: "127.0.0.1", port: listener.port! });
  await socket.write("echo");
  const text = new TextDecoder().decode((await socket.next())!);
  socket.close();
  await listener.close();
  console.log(text, versions().plait, process.arch);
`;

const names = process.argv.slice(2);
const tarballOf = (name: string): string =>
  join(dist, "tarballs", `${name}-${manifest.version}.tgz`);
const made = targets.filter((target) => existsSync(tarballOf(packageOf(target))));
const wanted = made.filter(({ name }) => names.length === 0 || names.includes(name));
if (wanted.length === 0) throw new Error("plait: nothing to try in dist: run `bun run release`");

const folder = mkdtempSync(join(tmpdir(), "plait-try-"));
try {
  const project = install();
  for (const target of wanted) {
    try {
      const bun = foreignBun(target);
      report(target, "installed", () => installed(target, bun, project));
      report(target, "compiled", () => compiled(target, bun, project));
      // `bun run test` has the tests of this machine's own platform.
      if (target !== thisMachine()) report(target, "tests", () => tested(target, bun));
    } catch (error) {
      console.log(`${packageOf(target)}: not run here: ${(error as Error).message}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function report(target: Target, way: string, attempt: () => string): void {
  const started = performance.now();
  let outcome: string;
  try {
    outcome = attempt();
  } catch (error) {
    outcome = `FAILED: ${(error as Error).message}`;
    process.exitCode = 1;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${packageOf(target)}: ${way}: ${outcome} (${seconds} s)`);
}

/** A project with the packages of all platforms, in an empty home. */
function install(): string {
  const project = join(folder, "project");
  mkdirSync(join(folder, "home"));
  mkdirSync(project);
  const file = (name: string): string => `file:${tarballOf(name)}`;
  const text = {
    name: "project",
    type: "module",
    dependencies: { plait: file("plait") },
    // Otherwise a registry would be asked for them.
    overrides: Object.fromEntries(made.map(packageOf).map((name) => [name, file(name)])),
  };
  writeFileSync(join(project, "package.json"), JSON.stringify(text));
  writeFileSync(join(project, "program.ts"), program);
  const all = ["--os=*", "--cpu=*", "--libc=*"];
  const environment = { ...process.env, HOME: join(folder, "home") };
  must([process.execPath, "install", ...all], { cwd: project, environment });
  return project;
}

function expected({ cpu }: Target): string {
  return `echo ${manifest.version} ${cpu}`;
}

/** Only the platform's own package is there. */
function installed(target: Target, bun: ForeignBun, project: string): string {
  const own = join(folder, `project-${target.name}`);
  cpSync(project, own, { recursive: true });
  for (const other of made.filter((each) => each !== target)) {
    rmSync(join(own, "node_modules", packageOf(other)), { recursive: true, force: true });
  }
  const outcome = checkOutput([...bun.command, "program.ts"], own, target, bun);
  const other = target.libc === "glibc" ? "musl" : "glibc";
  const { succeeded, complaint } = runQuietly([...bun.command, "program.ts"], {
    cwd: own,
    environment: { ...process.env, ...bun.environment, PLAIT_LIBC: other },
  });
  const sentence = `plait: PLAIT_LIBC is ${other}, and this process runs with ${target.libc}`;
  if (!succeeded && complaint.includes(sentence)) return `${outcome}, and refuses ${other}`;
  throw new Error(`with PLAIT_LIBC=${other}: ${complaint}`);
}

/** All packages are there, as for a program that is compiled for several platforms. */
function compiled(target: Target, bun: ForeignBun, project: string): string {
  const empty = join(folder, `empty-${target.name}`);
  mkdirSync(empty);
  const executable = join(empty, "program");
  const build = ["build", "--compile", `--target=${compileTarget(target)}`, "program.ts"];
  must([process.execPath, ...build, "--outfile", executable], { cwd: project });
  try {
    return checkOutput([...bun.runner, executable], empty, target, bun);
  } finally {
    unlinkSync(executable);
  }
}

function checkOutput(command: string[], cwd: string, target: Target, bun: ForeignBun): string {
  const environment = { ...process.env, ...bun.environment };
  const { output } = must(command, { cwd, environment });
  if (output.trim() === expected(target)) return "runs";
  throw new Error(`it printed ${JSON.stringify(output)}, not ${expected(target)}`);
}

/** Runs the tests with the library of the package, and says how many have passed. */
function tested(target: Target, bun: ForeignBun): string {
  // The settings of the checkout would build the core for the platform.
  const settings = join(folder, "bunfig.toml");
  writeFileSync(settings, "");
  const exceptions = excepted.filter(({ where }) => where.test(target.name));
  const without = exceptions.map(({ names }) => names.source).join("|");
  const pattern = without === "" ? [] : ["--test-name-pattern", `^(?!.*(${without}))`];
  const paths = [...selection, ...(bun.isEmulated ? [] : further)].map((path) =>
    path.endsWith("/") ? `./test/${path}` : `./test/${path}.test.ts`,
  );
  const library = join(dist, packageOf(target), libraryFile(target));
  const { succeeded, output, complaint } = runQuietly(
    [
      ...bun.command,
      `--config=${settings}`,
      "test",
      "--timeout=60000",
      "--retry=2",
      ...pattern,
      ...paths,
    ],
    {
      cwd: root,
      environment: { ...process.env, ...bun.environment, PLAIT_LIBRARY: library },
      timeoutSeconds: bound,
    },
  );
  const text = output + complaint;
  const count = (what: string): number =>
    Number(new RegExp(`^ *(\\d+) ${what}$`, "m").exec(text)?.[1] ?? 0);
  const passed = count("pass");
  const failures = [...new Set([...text.matchAll(/^\(fail\) (.*)$/gm)].map(([, name]) => name))];
  if (!succeeded || passed === 0) {
    throw new Error(
      [`${passed} passed`, ...failures, failures.length === 0 ? text.slice(-1000) : ""].join(
        "\n  ",
      ),
    );
  }
  const left = exceptions.map(({ names, reason }) => `; left out /${names.source}/: ${reason}`);
  return `${passed} passed, ${count("skip")} skipped${left.join("")}`;
}

function must(
  command: string[],
  options: Parameters<typeof runQuietly>[1],
): { readonly output: string } {
  const outcome = runQuietly(command, { timeoutSeconds: bound, ...options });
  if (outcome.succeeded) return outcome;
  throw new Error(`${command.join(" ")}: ${outcome.output}${outcome.complaint}`.trim());
}
