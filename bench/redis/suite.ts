// Clients of redis-server: the CPU time of the client's process for each command.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient } from "bun";
import { type Limit, printLimits } from "../harness/limits.ts";
import { measured } from "../harness/measured.ts";
import type { BenchOptions } from "../harness/options.ts";
import { BENCH_FOLDER } from "../harness/paths.ts";
import { type Core, Program } from "../harness/processes.ts";
import { fixed, median, quantile } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { KEY, VALUE } from "./measure.ts";

const SERVER_CORE = 1;
const CLIENT_CORE = 0;
const START_LIMIT_MS = 10_000;
const LOOPS = [1, 50];

interface Figures {
  readonly cpuUs: number;
  readonly userUs: number;
  readonly commandsPerSecond: number;
}

/** A client by its title: the program, and the name that it has there. */
const CLIENTS: Readonly<Record<string, readonly [string, string]>> = {
  "plait, attached": ["plait.ts", "attached"],
  "plait, blocking": ["plait.ts", "block"],
  "Bun's RedisClient": ["rivals.ts", "bun"],
  ioredis: ["rivals.ts", "ioredis"],
  "ioredis, auto-pipelining": ["rivals.ts", "ioredis-pipelining"],
  "node-redis": ["rivals.ts", "node-redis"],
};

/** Starts a server on a free port, which keeps everything in memory. */
async function startServer(folder: string, port: number, core: Core): Promise<Program> {
  const place = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder];
  const memoryOnly = ["--save", "", "--appendonly", "no"];
  const program = new Program("redis-server", ["redis-server", ...place, ...memoryOnly], core);
  const limit = performance.now() + START_LIMIT_MS;
  while (!(await program.line(START_LIMIT_MS)).includes("Ready to accept connections")) {
    if (performance.now() > limit) throw new Error("redis-server does not get ready");
  }
  return program;
}

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** All clients in turn, round after round. The ratios are medians of those within a round. */
async function compare(loops: number, port: number, rounds: number, core: Core): Promise<Limit[]> {
  const titles = Object.keys(CLIENTS);
  const samples: Map<string, Figures>[] = [];
  for (let round = 0; round < rounds; round++) {
    const figures = new Map<string, Figures>();
    for (let turn = 0; turn < titles.length; turn++) {
      const title = titles[(turn + round) % titles.length]!;
      const [file, name] = CLIENTS[title]!;
      const program = join(BENCH_FOLDER, "redis", file);
      const command = [process.execPath, program, name, `${port}`, `${loops}`];
      const sample = await measured<Figures>(title, command, core);
      if (sample !== null) figures.set(title, sample);
    }
    samples.push(figures);
  }
  const all = (title: string, quantity: keyof Figures): number[] =>
    samples.flatMap((figures) => figures.get(title)?.[quantity] ?? []);
  const ratios = (title: string, base: string): number[] =>
    samples.flatMap((figures) => {
      const [one, other] = [figures.get(title), figures.get(base)];
      return one === undefined || other === undefined ? [] : [one.cpuUs / other.cpuUs];
    });
  const ratio = (title: string, base: string): number => median(ratios(title, base));
  console.log(`\n${loops === 1 ? "one command in flight" : `${loops} commands in flight`}`);
  const half = (title: string): string =>
    [0.25, 0.75].map((part) => fixed(quantile(ratios(title, ioredis), part), 2)).join("-");
  printTable(
    ["", "CPU us", "user", "/ ioredis", "(half)", "/ Bun's", "commands/s"],
    titles.map((title) => [
      title,
      fixed(median(all(title, "cpuUs")), 2),
      fixed(median(all(title, "userUs")), 2),
      fixed(ratio(title, ioredis), 2),
      half(title),
      fixed(ratio(title, bun), 2),
      fixed(median(all(title, "commandsPerSecond")), 0),
    ]),
  );
  const limit = (title: string, base: string, most: number): Limit => ({
    what: `${title} over ${base}, ${loops} in flight`,
    measured: ratio(title, base),
    limit: most,
    bound: "at most",
    decimals: 2,
  });
  return ["plait, attached", "plait, blocking"].flatMap((title) => [
    limit(title, ioredis, 0.5),
    limit(title, bun, 1),
  ]);
}

const ioredis = "ioredis";
const bun = "Bun's RedisClient";

export async function runRedis(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 3 : 9;
  console.log(`\nRedis: GET of ${VALUE.length} bytes over one connection, ${rounds} rounds`);
  if (Bun.which("redis-server") === null) {
    console.log("skipping Redis: no redis-server in the PATH");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "plait-redis-"));
  const port = freePort();
  const server = await startServer(folder, port, options.pin ? SERVER_CORE : "any");
  const limits: Limit[] = [];
  try {
    const client = new RedisClient(`redis://127.0.0.1:${port}`);
    await client.set(KEY, VALUE);
    client.close();
    for (const loops of LOOPS)
      limits.push(...(await compare(loops, port, rounds, options.pin ? CLIENT_CORE : "any")));
  } finally {
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  printLimits(limits);
}
