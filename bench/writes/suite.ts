// Writes of streams: plait/net beside Bun's node:net, in CPU time for each MiB.

import { join } from "node:path";
import { type Limit, printLimits } from "../harness/limits.ts";
import { measured } from "../harness/measured.ts";
import type { BenchOptions } from "../harness/options.ts";
import { BENCH_FOLDER } from "../harness/paths.ts";
import { Program } from "../harness/processes.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { ways } from "./ways.ts";

const START_LIMIT_MS = 10_000;
const SENDER_CORE = 0;
const SINK_CORE = 1;

const file = (name: string): string => join(BENCH_FOLDER, "writes", name);

interface Figures {
  readonly us: number;
  readonly userUs: number;
}

const modules: Readonly<Record<string, string>> = { "plait/net": "plait", "node:net": "node" };

/** The figures of both modules in each round. */
async function roundsOf(way: string, port: string, rounds: number): Promise<Figures[][]> {
  const list: Figures[][] = [];
  for (let round = 0; round < rounds; round++) {
    const figures: Figures[] = [];
    for (const [title, module] of Object.entries(modules)) {
      const command = [process.execPath, file("sender.ts"), module, way, port];
      const result = await measured<Figures>(title, command, SENDER_CORE);
      if (result !== null) figures.push(result);
    }
    if (figures.length === 2) list.push(figures);
  }
  return list;
}

export async function runWrites(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 5;
  console.log(`\nWrites of streams: CPU us for each MiB, median of ${rounds}`);
  const sink = new Program("sink", [process.execPath, file("sink.ts")], SINK_CORE);
  const limits: Limit[] = [];
  const rows: string[][] = [];
  try {
    const port = await sink.line(START_LIMIT_MS);
    for (const way of Object.keys(ways)) {
      const list = await roundsOf(way, port, rounds);
      const of = (pick: (figures: Figures[]) => number): number => median(list.map(pick));
      const ratio = of(([ours, theirs]) => ours!.us / theirs!.us);
      const cells = [of(([ours]) => ours!.us), of(([, theirs]) => theirs!.us)];
      const users = [of(([ours]) => ours!.userUs), of(([, theirs]) => theirs!.userUs)];
      const digits = [...cells, ...users].map((value) => fixed(value, 0));
      rows.push([way, ...digits, fixed(ratio, 2)]);
      limits.push({
        what: `${way}: plait/net over node:net`,
        measured: ratio,
        limit: 1.1,
        bound: "at most",
        decimals: 2,
      });
    }
  } finally {
    await sink.kill();
  }
  printTable(["", "plait/net", "node:net", "plait/net, user", "node:net, user", "ratio"], rows);
  printLimits(limits);
}
