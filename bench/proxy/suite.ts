// Proxies between two sockets: the CPU time for each unit that passes.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { builtGo } from "../harness/go.ts";
import { type Limit, printLimits } from "../harness/limits.ts";
import type { BenchOptions } from "../harness/options.ts";
import { BENCH_FOLDER, BUILD_FOLDER, nativeProgram } from "../harness/paths.ts";
import { Program } from "../harness/processes.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { type Flow, flows } from "./flows.ts";

const START_LIMIT_MS = 10_000;
const FLOW_LIMIT_MS = 60_000;

const file = (name: string): string => join(BENCH_FOLDER, "proxy", name);

const pipe = "plait, pipe";
const byHand = "plait, next and write";
const bun = "Bun's sockets";

/** The CPU time of all threads of a process in nanoseconds (proc(5), schedstat). */
function cpuNs(pid: number): number {
  const threads = `/proc/${pid}/task`;
  let sum = 0;
  for (const thread of readdirSync(threads)) {
    sum += Number(readFileSync(`${threads}/${thread}/schedstat`, "utf8").split(" ", 1)[0]);
  }
  return sum;
}

class Joiner {
  readonly title: string;
  readonly program: Program;
  port = "";
  readonly samples = new Map<Flow, number[]>();

  constructor(title: string, command: string[]) {
    this.title = title;
    this.program = new Program(title, command, 0);
  }

  us(flow: Flow): number {
    return median(this.samples.get(flow) ?? []);
  }
}

async function run(proxy: Joiner, flow: Flow, load: Program): Promise<void> {
  const before = cpuNs(proxy.program.pid);
  await load.writeLine(`${flows.indexOf(flow)} ${proxy.port}`);
  const bytes = Number(await load.line(FLOW_LIMIT_MS));
  const expected = flow.units * flow.unitBytes;
  if (bytes !== expected) throw new Error(`${proxy.title}: ${bytes} bytes of ${expected} arrived`);
  const us = (cpuNs(proxy.program.pid) - before) / flow.units / 1000;
  proxy.samples.set(flow, [...(proxy.samples.get(flow) ?? []), us]);
}

/** Starts a proxy; null, with a printed reason, if it does not start. */
async function started(title: string, command: string[]): Promise<Joiner | null> {
  const proxy = new Joiner(title, command);
  try {
    proxy.port = await proxy.program.line(START_LIMIT_MS);
    return proxy;
  } catch (error) {
    console.log(`skipping ${error instanceof Error ? error.message : String(error)}`);
    await proxy.program.kill();
    return null;
  }
}

export async function runProxy(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 5;
  console.log(`\nProxies: CPU us for each unit, median of ${rounds}`);
  const go = builtGo(file("copy.go"), join(BUILD_FOLDER, "copy-go"));
  const load = new Program("load", [process.execPath, file("load.ts")], 1);
  const proxies: Joiner[] = [];
  try {
    const target = await load.line(START_LIMIT_MS);
    const commands: [title: string, command: string[]][] = [
      [pipe, [process.execPath, file("plait.ts"), "pipe", target]],
      [byHand, [process.execPath, file("plait.ts"), "loop", target]],
      [bun, [process.execPath, file("bun.ts"), target]],
      ["C, recv and send", [nativeProgram("splice-proxy"), "copy", target]],
      ["C, splice", [nativeProgram("splice-proxy"), "splice", target]],
    ];
    if (go !== null) commands.push(["Go, io.Copy", [go, target]]);
    for (const [title, command] of commands) {
      const proxy = await started(title, command);
      if (proxy !== null) proxies.push(proxy);
    }
    // The first round is not counted: the programs are compiled in it.
    for (let round = 0; round <= rounds; round++) {
      for (const flow of flows) for (const proxy of proxies) await run(proxy, flow, load);
      if (round === 0) for (const proxy of proxies) proxy.samples.clear();
    }
  } finally {
    for (const { program } of [...proxies, { program: load }]) await program.kill();
  }
  const limits: Limit[] = [];
  const first = proxies.find(({ title }) => title === pipe);
  for (const flow of flows) {
    console.log(`\n${flow.name}`);
    printTable(
      ["", "CPU us", "over pipe"],
      proxies.map((proxy) => [
        proxy.title,
        fixed(proxy.us(flow), 2),
        fixed(proxy.us(flow) / (first?.us(flow) ?? Number.NaN), 2),
      ]),
    );
    const hand = proxies.find(({ title }) => title === byHand);
    if (first === undefined || hand === undefined) continue;
    limits.push({
      what: `${flow.name}: ${pipe} over ${byHand}`,
      measured: first.us(flow) / hand.us(flow),
      limit: 1,
      bound: "at most",
      decimals: 2,
    });
  }
  printLimits(limits);
}
