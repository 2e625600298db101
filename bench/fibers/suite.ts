// The cost of a fiber: the time to spawn and join an empty one, and the memory of a sleeping one.

import { join } from "node:path";
import { printLimits } from "../harness/limits.ts";
import { measured } from "../harness/measured.ts";
import type { BenchOptions } from "../harness/options.ts";
import { BENCH_FOLDER } from "../harness/paths.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { runPrimitives } from "./primitives-suite.ts";

interface SpawnTimes {
  bareCallNs: number;
  oneAtATimeNs: number;
  manyTogetherNs: number;
}

interface SleeperMemory {
  sleepers: number;
  bytesEach: number;
}

const script = (file: string, ...rest: string[]): string[] => [
  process.execPath,
  join(BENCH_FOLDER, "fibers", file),
  ...rest,
];

async function repeat<Result>(rounds: number, file: string, ...rest: string[]): Promise<Result[]> {
  const results: Result[] = [];
  for (let round = 0; round < rounds; round++) {
    const result = await measured<Result>(
      `${file} ${rest.join(" ")}`.trim(),
      script(file, ...rest),
    );
    if (result === null) break;
    results.push(result);
  }
  return results;
}

export async function runFibers(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 3;
  console.log(`\nFibers, median of ${rounds}`);
  const attachedTimes = await repeat<SpawnTimes>(rounds, "spawn-join.ts", "attached");
  const blockingTimes = await repeat<SpawnTimes>(rounds, "spawn-join.ts", "blocking");
  const attachedSleepers = await repeat<SleeperMemory>(rounds, "sleepers.ts", "attached");
  const blockingSleepers = await repeat<SleeperMemory>(rounds, "sleepers.ts", "blocking");
  const timers = await repeat<SleeperMemory>(rounds, "timers.ts");

  const nanoseconds = (times: SpawnTimes[], quantity: keyof SpawnTimes): number =>
    median(times.map((each) => each[quantity]));
  const bytes = (memory: SleeperMemory[]): number => median(memory.map((each) => each.bytesEach));
  const rows: [string, number, number, number, number][] = [
    ["plait attached", attachedTimes, attachedSleepers] as const,
    ["plait blocking", blockingTimes, blockingSleepers] as const,
  ].map(([title, times, sleepers]) => [
    title,
    nanoseconds(times, "oneAtATimeNs"),
    nanoseconds(times, "manyTogetherNs"),
    nanoseconds(times, "bareCallNs"),
    bytes(sleepers),
  ]);
  rows.push(["async function, Bun.sleep", Number.NaN, Number.NaN, Number.NaN, bytes(timers)]);
  printTable(
    ["", "spawn+join ns", "1000 at once ns", "bare await ns", "bytes/sleeper"],
    rows.map(([title, ...figures]) => [title, ...figures.map((figure) => fixed(figure, 0))]),
  );
  printLimits(
    rows.slice(0, 2).flatMap(([title, oneNs, manyNs, , sleeperBytes]) => [
      { what: `${title}, spawn+join ns`, measured: oneNs, limit: 500, bound: "below", decimals: 0 },
      {
        what: `${title}, spawn+join ns, 1000 at once`,
        measured: manyNs,
        limit: 500,
        bound: "below",
        decimals: 0,
      },
      {
        what: `${title}, bytes per sleeping fiber`,
        measured: sleeperBytes,
        limit: 1000,
        bound: "at most",
        decimals: 0,
      },
    ]),
  );
  await runPrimitives(options);
}
