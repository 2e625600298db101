// Readers of lines, frames and blocks: the CPU time for each unit.

import { join } from "node:path";
import { builtGo } from "../harness/go.ts";
import { type Limit, printLimits } from "../harness/limits.ts";
import { measured } from "../harness/measured.ts";
import type { BenchOptions } from "../harness/options.ts";
import { BENCH_FOLDER, BUILD_FOLDER } from "../harness/paths.ts";
import { Program } from "../harness/processes.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { type UnitName, unitNames, units } from "./units.ts";

const START_LIMIT_MS = 10_000;

const file = (name: string): string => join(BENCH_FOLDER, "readers", name);

/** A way to read, by its title: the command without the port. */
interface Contestant {
  readonly title: string;
  readonly command: string[];
}

function contestantsFor(unit: UnitName, go: string | null): Contestant[] {
  const plait = (title: string, way: string): Contestant => ({
    title,
    command: [process.execPath, file("plait.ts"), way, unit],
  });
  const bun = (title: string, way: string): Contestant => ({
    title,
    command: [process.execPath, file("bun.ts"), way, unit],
  });
  const list: Contestant[] = [];
  if (unit === "frame-100") {
    list.push(
      plait("readPrefixed", "readPrefixed"),
      plait("tryReadPrefixed", "tryReadPrefixed"),
      plait(byHand, "framesByHand"),
    );
  } else if (unit === "block") {
    list.push(plait("readFull", "readFull"), plait(byHand, "blocksByHand"));
  } else {
    list.push(
      plait("readLine", "readLine"),
      plait("tryReadLine", "tryReadLine"),
      plait("lines()", "lines"),
      plait("readLines", "readLines"),
      plait(byHand, "linesByHand"),
      bun(readline, "readline"),
      bun(decoderStream, "textDecoderStream"),
    );
  }
  if (go !== null) {
    list.push({ title: "Go, bufio", command: [go, String(unitNames.indexOf(unit))] });
  }
  return list;
}

const byHand = "loop over read";
const readline = "node:readline";
const decoderStream = "TextDecoderStream";
/** The calls with a limit: one promise for each unit, and the fastest way to read many. */
const judged = ["readLine", "readLines", "readPrefixed", "tryReadPrefixed", "readFull"];
const timesByHand = 1.1;
const timesFasterThanStreams = 3;

async function compare(
  unit: UnitName,
  port: string,
  go: string | null,
  rounds: number,
): Promise<Limit[]> {
  const contestants = contestantsFor(unit, go);
  const samples = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const { title, command } of contestants) {
      const figures = await measured<{ ns: number }>(title, [...command, port], 0);
      if (figures !== null) samples.set(title, [...(samples.get(title) ?? []), figures.ns]);
    }
  }
  const ns = (title: string): number => median(samples.get(title) ?? []);
  console.log(`\n${units[unit].name}`);
  printTable(
    ["", "CPU ns", "over the loop"],
    [...samples.keys()].map((title) => [
      title,
      fixed(ns(title), 0),
      fixed(ns(title) / ns(byHand), 2),
    ]),
  );
  const limit = (way: string, other: string, most: number): Limit => ({
    what: `${units[unit].name}: ${way} over ${other}`,
    measured: ns(way) / ns(other),
    limit: most,
    bound: "at most",
    decimals: 2,
  });
  const ways = judged.filter((way) => samples.has(way));
  return ways.flatMap((way) => [
    limit(way, byHand, timesByHand),
    ...[readline, decoderStream]
      .filter((other) => samples.has(other))
      .map((other) => limit(way, other, 1 / timesFasterThanStreams)),
  ]);
}

export async function runReaders(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 7;
  console.log(`\nReaders: CPU ns for each unit, median of ${rounds}`);
  const go = builtGo(file("bufio.go"), join(BUILD_FOLDER, "bufio-go"));
  const feeder = new Program("feeder", [process.execPath, file("feeder.ts")], 1);
  const limits: Limit[] = [];
  try {
    const port = await feeder.line(START_LIMIT_MS);
    for (const unit of unitNames) limits.push(...(await compare(unit, port, go, rounds)));
  } finally {
    await feeder.kill();
  }
  printLimits(limits);
}
