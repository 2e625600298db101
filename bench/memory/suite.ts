// Resident memory of a server per idle connection, after one echo on each.

import { type Limit, printLimits } from "../harness/limits.ts";
import { holdConnections } from "../harness/load.ts";
import type { BenchOptions } from "../harness/options.ts";
import { Outcome } from "../harness/outcome.ts";
import { residentBytes } from "../harness/resident-memory.ts";
import { type ServerKind, startServer } from "../harness/servers.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";

const CONNECTIONS = 8_000;
// Opened and closed before the first reading, so that compiled code and the first pages of every
// arena do not count as the cost of a connection.
const WARMUP_CONNECTIONS = 100;
const SETTLED_BYTES = 64 * 1024;
const SETTLE_POLL_MS = 250;
const SETTLE_POLLS_ALIKE = 4;
const SETTLE_LIMIT_MS = 10_000;

interface Reading {
  beforeBytes: number;
  heldBytes: number;
}

/** Waits until the resident memory has stood still for a second. */
async function settledBytes(pid: number): Promise<number> {
  const deadlineMs = performance.now() + SETTLE_LIMIT_MS;
  let steady = residentBytes(pid);
  let alike = 0;
  while (alike < SETTLE_POLLS_ALIKE && performance.now() < deadlineMs) {
    await Bun.sleep(SETTLE_POLL_MS);
    const bytes = residentBytes(pid);
    if (Math.abs(bytes - steady) <= SETTLED_BYTES) {
      alike++;
    } else {
      alike = 0;
      steady = bytes;
    }
  }
  return residentBytes(pid);
}

async function measure(kind: ServerKind): Promise<Reading> {
  const server = await startServer(kind, "any");
  const { pid } = server.program;
  try {
    await holdConnections(server, WARMUP_CONNECTIONS, async () => {});
    const beforeBytes = await settledBytes(pid);
    let heldBytes = Number.NaN;
    await holdConnections(server, CONNECTIONS, async () => {
      heldBytes = await settledBytes(pid);
    });
    return { beforeBytes, heldBytes };
  } finally {
    await server.program.kill();
  }
}

export async function runMemory(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 2;
  console.log(
    `\nResident memory over ${CONNECTIONS} idle connections after one echo on each, ` +
      `median of ${rounds}`,
  );
  const readings = new Map<string, Reading[]>();
  const outcome = new Outcome();
  for (let round = 0; round < rounds; round++) {
    for (const kind of options.servers) {
      await outcome.attempt(kind, async () => {
        readings.set(kind.name, [...(readings.get(kind.name) ?? []), await measure(kind)]);
      });
    }
  }
  const perConnection = (name: string): number[] =>
    (readings.get(name) ?? []).map(
      ({ beforeBytes, heldBytes }) => (heldBytes - beforeBytes) / CONNECTIONS,
    );
  const mebibytes = (values: number[]): string => fixed(median(values) / 2 ** 20, 1);
  const measured = options.servers.filter((kind) => readings.has(kind.name));
  printTable(
    ["server", "before MiB", "held MiB", "bytes/connection", "(range)"],
    measured.map((kind) => {
      const own = readings.get(kind.name) ?? [];
      const bytes = perConnection(kind.name);
      return [
        kind.title,
        mebibytes(own.map((reading) => reading.beforeBytes)),
        mebibytes(own.map((reading) => reading.heldBytes)),
        fixed(median(bytes), 0),
        `${fixed(Math.min(...bytes), 0)}-${fixed(Math.max(...bytes), 0)}`,
      ];
    }),
  );
  printLimits(
    ["plait-attached", "plait-blocking"].map(
      (name): Limit => ({
        what: `${name}, bytes per idle connection`,
        measured: median(perConnection(name)),
        limit: 2500,
        bound: "at most",
        decimals: 0,
      }),
    ),
  );
}
