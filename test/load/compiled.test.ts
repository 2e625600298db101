/** A program that makes load, compiled into one file: its Workers run the program again. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { loadTarget } from "../support/load_target.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const program = `
import { load } from ${JSON.stringify(join(root, "src/load/load.ts"))};
const options = { target: process.argv[2], iterations: 100, connections: 4, threads: 2 };
const scenario = await load(options, async (c) => {
  const answer = await c.http.get("/scenario");
  c.check(answer.status === 200, "found");
});
const plain = await load(options);
console.log(JSON.stringify([scenario.iterations.outcomes, scenario.checks, plain.iterations.outcomes]));
process.exit(0);
`;

test("a function and a plain request run in Workers, from source and compiled", async () => {
  using folder = new TemporaryFolder();
  await using target = await loadTarget();
  await Bun.write(folder.file("program.ts"), program);
  const build = [process.execPath, "build", "--compile", "program.ts", "--outfile", "program"];
  expect(Bun.spawnSync(build, { cwd: folder.path }).exitCode).toBe(0);
  const commands = [[process.execPath, folder.file("program.ts")], [folder.file("program")]];
  for (const command of commands) {
    const { text, stderr, exitCode } = await runCommand(
      [...command, target.url],
      undefined,
      30_000,
    );
    expect([exitCode, stderr]).toEqual([0, ""]);
    const checks = [{ name: "found", passed: 100, failed: 0 }];
    expect(JSON.parse(text)).toEqual([{ ok: 100 }, checks, { ok: 100 }]);
  }
  expect(target.requests).toBe(400);
}, 60_000);
