/** Where the results of `plait load` go, and what happens when they cannot go there. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseReport } from "../../src/report/json.ts";
import { isInstalled } from "../support/installed_program.ts";
import { exitOf, plaitLoad, plaitProgram } from "../support/load_command.ts";
import { type LoadTarget, loadTarget } from "../support/load_target.ts";
import { pollUntil } from "../support/poll.ts";
import { RunningProgram } from "../support/running_program.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

setDefaultTimeout(30_000);

let target: LoadTarget;
let requests: readonly string[];

beforeAll(async () => {
  target = await loadTarget();
  requests = ["load", target.url, "-n", "20", "-c", "2"];
});
afterAll(async () => await target[Symbol.asyncDispose]());

/** Runs a line of the shell, with `plait` as a program of it. */
async function shell(line: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const [bun, program] = plaitProgram;
  const child = Bun.spawn(["bash", "-c", `plait() { '${bun}' '${program}' "$@"; }\n${line}`], {
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    ...{ timeout: 20_000, killSignal: "SIGKILL" },
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode: await child.exited, stdout, stderr };
}

test("every report in its file, and the text on the output", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("a.json"), "x".repeat(100_000));
  const run = await plaitLoad(
    [
      ...[target.url, "-d", "1200ms", "-r", "100", "-c", "2", "--json", "a.json"],
      ...["--html", "a.html", "--hlog", "a.hlog", "--csv", "a.csv", "--threshold", "count>10"],
    ],
    { cwd: folder.path },
  );
  expect(exitOf(run)).toBe(0);
  const report = parseReport(readFileSync(folder.file("a.json"), "utf8"));
  const { sent } = report.iterations;
  expect(sent).toBeGreaterThan(0);
  expect(report.verdict.exitCode as number).toBe(run.exitCode!);
  expect(report.verdict.thresholds).toEqual([
    { text: "count>10", held: true, value: sent, unit: "", missedAt: undefined },
  ]);
  expect(run.stdout).toContain(`= sent  `);
  expect(run.stdout).toContain("held    count>10");
  expect(readFileSync(folder.file("a.html"), "utf8")).toStartWith("<!doctype html>");
  const [head, ...rows] = readFileSync(folder.file("a.csv"), "utf8").trimEnd().split("\n");
  const column = head!.split(",").indexOf("sent");
  expect(rows.reduce((sum, row) => sum + Number(row.split(",")[column]), 0)).toBe(sent);
  const log = readFileSync(folder.file("a.hlog"), "utf8").trimEnd().split("\n");
  expect(log.filter((line) => line.startsWith("Tag=response,")).length).toBe(rows.length);
  // Not a terminal: plain lines, and no colours anywhere.
  expect(run.stderr).toMatch(/^1\.\d s .* of 100\/s/m);
  expect(run.stderr + run.stdout).not.toContain("\x1b");
});

test("a path that cannot be written is refused before anything is sent", async () => {
  using folder = new TemporaryFolder();
  const before = target.connections;
  const cases = ["json", "html", "hlog", "csv"].map((name, index) => {
    const [path, reason] =
      index % 2 === 0 ? ["no/where", "there is no such folder"] : [".", "it is a folder"];
    return { name, path, reason };
  });
  const runs = await Promise.all(
    cases.map(({ name, path }) =>
      plaitLoad(
        [target.url, `--${name}`, path, "--json=first.json"].slice(0, name === "json" ? 3 : 4),
        {
          cwd: folder.path,
        },
      ),
    ),
  );
  for (const [index, { name, path, reason }] of cases.entries()) {
    const { exitCode, stderr, stdout } = runs[index]!;
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toStartWith(`plait: --${name}: ${path} cannot be written: ${reason}\n`);
  }
  expect(target.connections).toBe(before);
  // A file that was made for a report which never came is removed.
  expect(readdirSync(folder.path)).toEqual([]);
});

test("a run that cannot begin leaves an old report as it is", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("old.json"), "old");
  const run = await plaitLoad(
    [target.url, "--json", "old.json", "--html", "new.html", "-t", "9", "-c", "3"],
    { cwd: folder.path },
  );
  expect([run.exitCode, run.stderr]).toEqual([
    2,
    "plait: there are more threads than connections\n",
  ]);
  expect(readFileSync(folder.file("old.json"), "utf8")).toBe("old");
  expect(existsSync(folder.file("new.html"))).toBe(false);
});

test.skipIf(!existsSync("/dev/full"))(
  "a full disk costs its file, and not the report",
  async () => {
    const words = ["--json", "/dev/full", "--hlog", "/dev/./full"];
    const run = await plaitLoad([target.url, "-n", "20", "-c", "2", ...words]);
    expect(run.stdout).toContain("= ok  ");
    expect(run.stderr).toContain("plait: /dev/./full is not complete: ENOSPC");
    expect(run.stderr).toContain("plait: /dev/full is not complete: ENOSPC");
    expect([2, 4]).toContain(run.exitCode!);
  },
);

describe("the standard output", () => {
  test("has one report alone, and the text goes to the errors", async () => {
    const run = await plaitLoad([target.url, "-n", "20", "-c", "2", "--json", "-"]);
    expect(parseReport(run.stdout).iterations.sent).toBe(20);
    expect(run.stderr).toContain("= ok  ");
    const both = await plaitLoad([target.url, "--json", "-", "--html", "-"]);
    expect(both.stderr).toContain("--json and --html both write to the standard output");
  });

  test("takes the rows and the histograms too", async () => {
    using folder = new TemporaryFolder();
    const [csv, hlog] = await Promise.all(
      ["--csv", "--hlog"].map((name) =>
        plaitLoad([target.url, "-n", "20", "-c", "2", name, "-"], { cwd: folder.path }),
      ),
    );
    expect(csv!.stdout).toStartWith("start_ms,length_ms,");
    expect(hlog!.stdout).toStartWith("#[Logged with plait");
    for (const run of [csv!, hlog!]) expect(run.stderr).toContain("= ok  ");
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("may be closed early, and the report is in its file all the same", async () => {
    using folder = new TemporaryFolder();
    const line = requests.map((word) => `'${word}'`).join(" ");
    const [text, json, page, none] = await Promise.all([
      shell(`plait ${line} --json ${folder.file("a.json")} | head -n 1; exit \${PIPESTATUS[0]}`),
      shell(`plait ${line} --json - | head -c 20; exit \${PIPESTATUS[0]}`),
      shell(`plait ${line} --html - | true; exit \${PIPESTATUS[0]}`),
      shell(`plait ${line} --json ${folder.file("d.json")} >&- 2>&-`),
    ]);
    for (const run of [text!, json!, page!, none!]) expect(exitOf(run)).toBe(0);
    expect(text!.stdout.split("\n").length).toBe(2);
    expect(json!.stdout).toBe('{\n  "format": "plait');
    for (const { stderr } of [text!, json!, page!]) expect(stderr).not.toMatch(/EPIPE|error:/);
    for (const name of ["a.json", "d.json"]) {
      expect(parseReport(readFileSync(folder.file(name), "utf8")).iterations.sent).toBe(20);
    }
  });

  test.skipIf(!existsSync("/dev/full"))("that is full is said", async () => {
    const line = requests.map((word) => `'${word}'`).join(" ");
    const full = await shell(`plait ${line} --quiet >/dev/full`);
    expect(full.stderr).toBe(
      "plait: the report cannot be written: ENOSPC: no space left on device, write\n",
    );
    expect([2, 4]).toContain(full.exitCode);
  });

  test("is read slowly, and nothing of it is lost", async () => {
    using folder = new TemporaryFolder();
    const file = folder.file("a.json");
    const line = requests.map((word) => `'${word}'`).join(" ");
    const slowly = "2>/dev/null | (sleep 0.5; tail -c 8)";
    const run = await shell(`plait ${line} --json ${file} --html - --quiet ${slowly}`);
    expect(run.stdout).toBe("</html>\n");
    const others = await Promise.all(
      ["merge", "compare"].map((name) =>
        shell(`plait load ${name} ${file} ${file} --html - ${slowly}`),
      ),
    );
    for (const { stdout } of others) expect(stdout).toBe("</html>\n");
    const refused = await shell(`plait load merge ${file} ${file} --json no/where`);
    expect([refused.exitCode, refused.stdout]).toEqual([2, ""]);
    expect(refused.stderr).toContain("--json: no/where cannot be written: there is no such folder");
  });
});

test.skipIf(!isInstalled("script"))(
  "a terminal has a live view with colours, unless NO_COLOR is set",
  async () => {
    const [bun, program] = plaitProgram;
    const view = async (env: Record<string, string>, ...words: string[]): Promise<string> => {
      const line = [bun, program, ...requests.slice(0, 2), "-r", "50", "-d", "1100ms", ...words];
      const child = Bun.spawn(
        ["script", "-qec", line.map((word) => `'${word}'`).join(" "), "/dev/null"],
        {
          env: { ...process.env, NO_COLOR: "", TERM: "xterm", ...env },
          ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 20_000 },
        },
      );
      return await new Response(child.stdout).text();
    };
    const [colored, plain, flagged] = await Promise.all([
      view({}),
      view({ NO_COLOR: "1" }),
      view({}, "--no-color"),
    ]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are
    const color = /\x1b\[[0-9;]*m/;
    expect(colored).toMatch(color);
    for (const each of [colored!, plain!, flagged!]) {
      // The view is drawn and removed again, and the report follows it.
      expect(each).toContain("\x1b[J");
      expect(each).toContain("= ok  ");
    }
    expect(plain).not.toMatch(color);
    expect(flagged).not.toMatch(color);
  },
);

test("Prometheus scrapes a run while it goes on, and a port that is taken is refused before", async () => {
  await using program = await RunningProgram.start(
    [
      ...plaitProgram,
      "load",
      target.url,
      "-r",
      "100",
      "-d",
      "30s",
      "-c",
      "2",
      "--prometheus",
      ":0",
    ],
    /metrics: (\S+)\n/,
  );
  const [, url] = await program.printed(/metrics: (\S+)\n/);
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  let text = "";
  await pollUntil("there are figures", async () => {
    text = await (await fetch(url!)).text();
    return /^plait_\w*iterations\w*sent\w*(\{.*\})? [1-9]/m.test(text);
  });
  const taken = await plaitLoad([target.url, "--prometheus", new URL(url!).host]);
  expect([taken.exitCode, taken.stdout]).toEqual([2, ""]);
  expect(taken.stderr).toContain("plait: listen EADDRINUSE");
  program.child.kill("SIGINT");
  expect(await program.child.exited).toBe(130);
  expect(program.output).toContain("Interrupted after");
});

describe("what is refused", () => {
  test("has exit code 2 and one sentence", async () => {
    const cases: [string[], string][] = [
      [["--conections", "3"], "there is no option --conections: did you mean --connections?"],
      [["--threshold", "p99<"], "p99<"],
      [["--access-log", "none.log"], "none.log cannot be read: there is no such file"],
    ];
    const runs = await Promise.all(cases.map(([words]) => plaitLoad([target.url, ...words])));
    for (const [index, [, sentence]] of cases.entries()) {
      const { exitCode, stderr, stdout } = runs[index]!;
      expect([exitCode, stdout]).toEqual([2, ""]);
      expect(stderr).toStartWith("plait: ");
      expect(stderr).toContain(sentence);
      expect(stderr.split("\n").length).toBeLessThanOrEqual(3);
    }
  });
});
