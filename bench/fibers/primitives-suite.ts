// The primitives between fibers, compared with promises alone (on Bun and on Node) and with Go.

import { join } from "node:path";
import { builtGo } from "../harness/go.ts";
import { printLimits } from "../harness/limits.ts";
import { measured } from "../harness/measured.ts";
import type { BenchOptions } from "../harness/options.ts";
import { BENCH_FOLDER, BUILD_FOLDER } from "../harness/paths.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";

const columns = {
  spawnJoinNs: "spawn+join",
  pausedNs: "with one await",
  scopeNs: "in scopes",
  rendezvousNs: "channel of 0",
  bufferedNs: "channel of 100",
  mutexNs: "mutex",
  sleepNs: "sleep",
} as const;

type Quantity = keyof typeof columns;
type Figures = Record<Quantity, number>;

const quantities = Object.keys(columns) as Quantity[];
const yardstick = "promises, Bun";
const timesPromises = 2;

const file = (name: string): string => join(BENCH_FOLDER, "fibers", name);

function contestants(): Map<string, string[]> {
  const commands = new Map([
    ["plait attached", [process.execPath, file("primitives.ts"), "attached"]],
    ["plait blocking", [process.execPath, file("primitives.ts"), "blocking"]],
    [yardstick, [process.execPath, file("promises.mjs")]],
  ]);
  const node = Bun.which("node");
  if (node === null) console.log("skipping Node: no node in the PATH");
  else commands.set("promises, Node", [node, file("promises.mjs")]);
  const go = builtGo(file("primitives.go"), join(BUILD_FOLDER, "primitives-go"));
  if (go !== null) commands.set("Go", [go]);
  return commands;
}

export async function runPrimitives(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 5;
  console.log(`\nFibers that wait for each other: CPU ns for each operation, median of ${rounds}`);
  const commands = contestants();
  const results = new Map<string, Figures[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of commands) {
      const figures = await measured<Figures>(name, command);
      if (figures === null) commands.delete(name);
      else results.set(name, [...(results.get(name) ?? []), figures]);
    }
  }

  const figure = (name: string, quantity: Quantity): number =>
    median((results.get(name) ?? []).map((figures) => figures[quantity]));
  printTable(
    ["", ...Object.values(columns)],
    [...results.keys()].map((name) => [
      name,
      ...quantities.map((quantity) => fixed(figure(name, quantity), 0)),
    ]),
  );
  printLimits(
    ["plait attached", "plait blocking"].flatMap((name) =>
      quantities.map((quantity) => ({
        what: `${name}, ${columns[quantity]}, over promises alone`,
        measured: figure(name, quantity) / figure(yardstick, quantity),
        limit: timesPromises,
        bound: "at most" as const,
        decimals: 2,
      })),
    ),
  );
}
