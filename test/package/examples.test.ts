/** The examples as a user takes them: one file in a project that has installed plait, and compiled. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { connect } from "../../index.ts";
import { examplesFolder } from "../support/examples.ts";
import { Packed } from "../support/packed.ts";
import { readText } from "../support/receiving.ts";
import { bound, runAsUser } from "../support/run_as_user.ts";
import { RunningProgram } from "../support/running_program.ts";

const names = readdirSync(examplesFolder).map((file) => basename(file, ".ts"));

let packed: Packed;
let project: string;
/** A folder without plait, for what is compiled. */
let elsewhere: string;

beforeAll(async () => {
  packed = await Packed.make();
  project = await packed.project("");
  elsewhere = packed.emptyFolder();
  for (const name of names)
    copyFileSync(join(examplesFolder, `${name}.ts`), join(project, `${name}.ts`));
}, bound);

afterAll(() => packed[Symbol.dispose]());

describe.each(names)("%s", (name) => {
  test(
    "explains itself, run and compiled",
    async () => {
      const executable = join(elsewhere, name);
      const build = [process.execPath, "build", "--compile", `${name}.ts`, "--outfile", executable];
      const [{ stdout: help }] = await Promise.all([
        runAsUser([process.execPath, `${name}.ts`, "--help"], project),
        runAsUser(build, project),
      ]);
      expect(help).toStartWith(`Usage: bun ${name}.ts [`);
      expect((await runAsUser([executable, "--help"], elsewhere)).stdout).toBe(help);
    },
    bound,
  );
});

test(
  "compiled ones do their work",
  async () => {
    const pool = await runAsUser([join(elsewhere, "pool"), "2", "6"], elsewhere);
    expect(pool.stdout).toEndWith("6 exchanges over 2 connections");
    const isReady = /port (\d+)\s*$/m;
    await using echo = await RunningProgram.start([join(elsewhere, "echo"), "0"], isReady);
    const port = Number(isReady.exec(echo.output)![1]);
    await using socket = await connect({ host: "127.0.0.1", port });
    await socket.write("hello");
    await socket.shutdown();
    expect(await readText(socket)).toBe("hello");
  },
  bound,
);
