// Measures a server with handshakes that never end: 10,000 clients of each kind, for ten seconds. Prints the
// server's memory, and how long an echo takes on established connections.
//
//     bun bench/tls/unfinished.ts [clients] [maxHandshakes, or "none" for no limit]
//
// Every process needs a descriptor for each client: `ulimit -n` must be larger.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BENCH_FOLDER, BUILD_FOLDER } from "../harness/paths.ts";
import { residentBytes } from "../harness/resident-memory.ts";
import { fixed } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { certificatePaths, makeCertificate } from "./servers.ts";

const HOLD_SECONDS = 10;
const PROCESS_LIMIT_MS = 120_000;

/** How the clients behave. `none` is for comparison. */
const KINDS = ["none", "silent", "stopped", "slow", "long"] as const;

const TITLES: Record<(typeof KINDS)[number], string> = {
  none: "no such clients",
  silent: "silent",
  stopped: "stopped after ServerHello",
  slow: "one byte a second",
  long: "ClientHello without its end",
};

/** Starts a role of unfinished-roles.ts as a process, which ends when its input does. */
function start(role: string, ...settings: (string | number)[]) {
  const script = join(BENCH_FOLDER, "tls", "unfinished-roles.ts");
  const child = Bun.spawn([process.execPath, script, role, ...settings.map(String)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    timeout: PROCESS_LIMIT_MS,
    killSignal: "SIGKILL",
  });
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  return {
    pid: child.pid,
    async line(): Promise<string> {
      while (!text.includes("\n")) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`${role} ended`);
        text += decoder.decode(value, { stream: true });
      }
      const end = text.indexOf("\n");
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      return line;
    },
    async ask(question: string): Promise<string> {
      child.stdin.write(`${question}\n`);
      await child.stdin.flush();
      return await this.line();
    },
    async finish(): Promise<void> {
      await child.stdin.end();
      await child.exited;
    },
  };
}

async function measure(kind: (typeof KINDS)[number], clients: number, most: string) {
  const { certificate, key } = certificatePaths;
  const server = start("server", certificate, key, most);
  const port = await server.line();
  const meter = start("meter", port);
  await meter.line();
  const before = residentBytes(server.pid);
  const peers = start("peers", port, kind, kind === "none" ? 0 : clients);
  await peers.line();
  await meter.ask("begin");
  await peers.ask("begin");
  let peak = 0;
  for (let tenth = 0; tenth < HOLD_SECONDS * 10; tenth++) {
    await Bun.sleep(100);
    peak = Math.max(peak, residentBytes(server.pid));
  }
  const latencies = JSON.parse(await meter.ask("end")) as Record<"p50" | "p99" | "max", number>;
  const { open, served } = JSON.parse(await peers.ask("end")) as { open: number; served: number };
  const { dropped, cpu } = JSON.parse(await server.ask("end")) as { dropped: number; cpu: number };
  await Promise.all([peers.finish(), meter.finish(), server.finish()]);
  const mebibytes = (bytes: number): string => fixed(bytes / 2 ** 20, 0);
  return [
    TITLES[kind],
    ...[mebibytes(before), mebibytes(peak), String(open), String(dropped), fixed(cpu, 1)],
    ...[fixed(latencies.p50, 2), fixed(latencies.p99, 2), fixed(latencies.max, 1)],
    `${served}/10`,
  ];
}

const [clients = "10000", most = ""] = process.argv.slice(2);
mkdirSync(BUILD_FOLDER, { recursive: true });
await makeCertificate();
const rows: string[][] = [];
for (const kind of KINDS) rows.push(await measure(kind, Number(clients), most));
printTable(
  [
    ...["clients", "MiB before", "MiB peak", "still open", "given up", "CPU s"],
    ...["echo p50 ms", "p99", "max", "new ones served"],
  ],
  rows,
);
