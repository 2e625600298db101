// TLS 1.3 under load: handshakes, echoes, and bulk transfers in each direction; and the memory of idle
// connections. Each load is measured with one cipher and one group, so that all servers do the same work,
// and once more with what OpenSSL's client offers and each server chooses.

import { describeContest, runContest } from "../harness/contest.ts";
import { compareIdle } from "../harness/idle.ts";
import { printLimits } from "../harness/limits.ts";
import { connectLoad } from "../harness/load.ts";
import type { BenchOptions } from "../harness/options.ts";
import { Outcome } from "../harness/outcome.ts";
import { rowHeader, Samples } from "../harness/samples.ts";
import type { ServerKind } from "../harness/servers.ts";
import { printTable } from "../harness/table.ts";
import { idleLimits, loadLimits } from "./limits.ts";
import {
  BUN_LISTEN,
  makeCertificate,
  type Service,
  selectedTlsServers,
  YARDSTICK,
} from "./servers.ts";

interface Load {
  mode: "handshake" | "echo" | "send" | "receive";
  title: string;
  service: Service;
  connections: number;
  unit: string;
}

const LOADS: Load[] = [
  {
    mode: "handshake",
    title: "Full handshakes, P-256 certificate, 16 at once",
    service: "echo",
    connections: 16,
    unit: "handshake",
  },
  {
    mode: "echo",
    title: "Echo of 64 bytes, 64 connections",
    service: "echo",
    connections: 64,
    unit: "request",
  },
  {
    mode: "send",
    title: "Sending by writes of 64 KiB to 4 clients that drain raw bytes",
    service: "transfer",
    connections: 4,
    unit: "MiB",
  },
  {
    mode: "receive",
    title: "Receiving from 4 clients",
    service: "transfer",
    connections: 4,
    unit: "MiB",
  },
];

const DEFAULTS_SUFFIX = "-defaults";
const IDLE_CONNECTIONS = 4_000;

function print(samples: Samples, servers: ServerKind[], unit: string): void {
  const rows = servers
    .filter(({ name }) => samples.has(name))
    .map(({ name, title }) => [title, ...samples.row(name, YARDSTICK, BUN_LISTEN)]);
  printTable(["server", ...rowHeader(unit, "Bun.listen")], rows);
}

async function runLoad(options: BenchOptions, load: Load, isCommon: boolean): Promise<Samples> {
  const { mode, connections } = load;
  const settings = { mode, connections, common: isCommon };
  const servers = selectedTlsServers(options.servers, load.service);
  const samples = new Samples();
  await runContest(options, {
    servers,
    connect: connectLoad("tls-load", settings),
    onBurst: samples.add,
  });
  print(samples, servers, load.unit);
  return samples;
}

async function runIdle(options: BenchOptions): Promise<Map<string, number>> {
  const rounds = options.quick ? 1 : 2;
  console.log(
    `\nResident memory over ${IDLE_CONNECTIONS} idle TLS connections after one echo on each, ` +
      `median of ${rounds}`,
  );
  const servers = selectedTlsServers(options.servers, "echo");
  const load = {
    program: "tls-load",
    settings: { mode: "echo", common: true },
    connections: IDLE_CONNECTIONS,
  } as const;
  return await compareIdle(servers, load, rounds, new Outcome());
}

function checkLoads(names: string[] | "all"): (name: string) => boolean {
  const modes = LOADS.map(({ mode }) => mode);
  const known = [...modes, ...modes.map((mode) => mode + DEFAULTS_SUFFIX), "idle"];
  if (names === "all") return () => true;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no load ${unknown}; there are ${known.join(", ")}`);
  return (name) => names.includes(name);
}

export async function runTls(options: BenchOptions): Promise<void> {
  const isWanted = checkLoads(options.loads);
  await makeCertificate();
  console.log(`\nTLS 1.3: ${describeContest(options)}`);
  const common = new Map<string, Samples>();
  for (const load of LOADS.filter(({ mode }) => isWanted(mode))) {
    console.log(`\n${load.title}; AES-128-GCM and X25519`);
    common.set(load.mode, await runLoad(options, load, true));
  }
  for (const load of LOADS.filter(({ mode }) => isWanted(mode + DEFAULTS_SUFFIX))) {
    console.log(`\n${load.title}; everybody's defaults`);
    await runLoad({ ...options, generations: 1 }, load, false);
  }
  const idle = isWanted("idle") ? await runIdle(options) : new Map<string, number>();
  printLimits([...loadLimits(common), ...idleLimits(idle)]);
}
