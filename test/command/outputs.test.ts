/** Where the results of runs go. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type LoadCommand, parseCommand } from "../../src/command/arguments.ts";
import { Outputs } from "../../src/command/outputs.ts";
import { sampleProgress } from "../support/sample_report.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

test("the runs of a search follow each other in the logs", async () => {
  using folder = new TemporaryFolder();
  const paths = ["--csv", folder.file("csv"), "--hlog", folder.file("hlog")];
  const command = parseCommand(["load", "http://127.0.0.1:1/", ...paths]) as LoadCommand;
  const first = sampleProgress({ seconds: 2 });
  const second = first.map((each) => ({ ...each, startedAt: "2030-01-01T00:00:00.000Z" }));
  {
    await using outputs = await Outputs.open(command, "plait load");
    for (const each of first) outputs.write(each);
    // The second run begins when the first has ended; here that takes no time.
    const between = performance.now();
    while (performance.now() === between);
    for (const each of second) outputs.write(each);
  }
  const rows = readFileSync(folder.file("csv"), "utf8").trimEnd().split("\n").slice(1);
  const starts = rows.map((row) => Number(row.split(",", 1)[0]));
  const own = first.map(({ interval }) => interval.start);
  expect(starts.slice(0, first.length)).toEqual(own);
  for (const [index, start] of starts.slice(first.length).entries()) {
    expect(start).toBeGreaterThan(own[index]!);
  }
  const log = readFileSync(folder.file("hlog"), "utf8");
  const times = [...log.matchAll(/^Tag=response,([\d.]+),/gm)].map(([, time]) => Number(time));
  expect(times.length).toBe(2 * first.length);
  for (const [index, time] of times.entries()) expect(time).toBeCloseTo(starts[index]! / 1000, 2);
});
