/** Load testing with plait installed from its tarballs: the program, the entries, and what is optional. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { type LoadTarget, loadTarget } from "../support/load_target.ts";
import { Packed } from "../support/packed.ts";
import { bound, outcomeAsUser, runAsUser } from "../support/run_as_user.ts";

const bun = process.execPath;

let packed: Packed;
let project: string;
let target: LoadTarget;
let plait: string;

beforeAll(async () => {
  packed = await Packed.make();
  project = await packed.project("");
  target = await loadTarget();
  plait = join(project, "node_modules", ".bin", "plait");
  writeFileSync(
    join(project, "scenario.ts"),
    `
      import type { Context } from "plait/load";
      export const options = { connections: 4, iterations: 40 };
      export default async (c: Context) => {
        const answer = await c.http.get("/item/" + c.random(10));
        c.check(answer.text() === "ok", "ok");
      };
    `,
  );
}, bound);

afterAll(async () => {
  packed[Symbol.dispose]();
  await target[Symbol.asyncDispose]();
});

describe("the plait program", () => {
  test("runs by bunx, and makes load", async () => {
    const { stdout } = await runAsUser([bun, "x", "plait", "--version"], project);
    expect(stdout).toBe(manifest.version);
    const before = target.requests;
    const words = ["load", target.url, "-n", "50", "-c", "5", "-t", "2", "--quiet"];
    await runAsUser([plait, ...words, "--json", "run.json", "--html", "run.html"], project);
    expect(target.requests - before).toBe(50);
    const report = JSON.parse(readFileSync(join(project, "run.json"), "utf8"));
    expect(report.iterations.outcomes).toEqual({ ok: 50 });
    expect(readFileSync(join(project, "run.html"), "utf8")).toContain("</html>");
  });

  test("runs a scenario in TypeScript, and judges it", async () => {
    const words = ["load", "scenario.ts", target.url, "--quiet", "--threshold", "check(ok)>=100%"];
    expect((await runAsUser([plait, ...words], project)).stdout).toContain("40");
    const missed = await outcomeAsUser([plait, ...words, "count>40"], project);
    expect(missed.exitCode).toBe(1);
  });

  test("says what to add for what is optional", async () => {
    writeFileSync(join(project, "rows.csv"), "name\none\n");
    const words = ["load", "scenario.ts", target.url, "--quiet"];
    for (const [more, advice] of [
      [["--data", "rows=rows.csv"], "bun add csv-parse"],
      [["--cookies"], "bun add tough-cookie"],
    ] as const) {
      const { stderr, exitCode } = await outcomeAsUser([plait, ...words, ...more], project);
      expect(stderr).toMatch(new RegExp(`^plait: .*: ${advice}\n$`));
      expect(exitCode).toBe(2);
    }
  });

  test.skipIf(!isInstalled("node"))("says to Node that it runs on Bun", async () => {
    const command = [installedProgram("node"), plait, "load", target.url];
    const { stderr, exitCode } = await outcomeAsUser(command, project);
    expect(stderr).toStartWith("plait runs on Bun (https://bun.com)");
    expect(exitCode).toBe(2);
  });
});

describe("plait/load", () => {
  const program = `
    import { load } from "plait/load";
    import { reportText } from "plait/load/report";
    const report = await load(
      { target: process.argv[2]!, connections: 4, iterations: 40, threads: 2 },
      async (c) => { await c.http.get("/item/" + c.random(10)); },
    );
    console.log(report.iterations.outcomes.ok, report.threads.length, reportText(report).includes("/item") || "text");
  `;

  test(
    "runs in a program, compiled and bundled too",
    async () => {
      writeFileSync(join(project, "program.ts"), program);
      const expected = "40 2 text";
      expect((await runAsUser([bun, "program.ts", target.url], project)).stdout).toBe(expected);
      const empty = packed.emptyFolder();
      const made = join(empty, "made");
      await runAsUser([bun, "build", "--compile", "program.ts", "--outfile", made], project);
      expect((await runAsUser([made, target.url], empty)).stdout).toBe(expected);
      unlinkSync(made);
      await runAsUser([bun, "build", "--target=bun", "program.ts", "--outdir", empty], project);
      expect(existsSync(join(empty, "program.js"))).toBe(true);
      expect((await runAsUser([bun, "program.js", target.url], empty)).stdout).toBe(expected);
    },
    bound,
  );
});
