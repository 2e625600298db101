// Resident memory of servers per idle connection.

import { holdConnections, type LoadSettings } from "./load.ts";
import type { Outcome } from "./outcome.ts";
import type { NativeProgram } from "./paths.ts";
import { residentBytes } from "./resident-memory.ts";
import { type ServerKind, startServer } from "./servers.ts";
import { fixed, median } from "./statistics.ts";
import { printTable } from "./table.ts";

// Connections that are opened and closed before the first reading, so that compiled code and the first
// pages of every arena do not count as the cost of a connection.
const WARMUP_CONNECTIONS = 100;
const SETTLED_BYTES = 64 * 1024;
const SETTLE_POLL_MS = 250;
const SETTLE_POLLS_ALIKE = 4;
const SETTLE_LIMIT_MS = 10_000;

export interface IdleLoad {
  program: NativeProgram;
  settings: LoadSettings;
  connections: number;
}

interface Reading {
  beforeBytes: number;
  heldBytes: number;
}

/** Waits until the resident memory has not changed for a second. */
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

async function measure(kind: ServerKind, load: IdleLoad): Promise<Reading> {
  const { program, settings, connections } = load;
  const server = await startServer(kind, "any");
  const { pid } = server.program;
  try {
    const warmup = { ...settings, connections: WARMUP_CONNECTIONS };
    await holdConnections(program, warmup, server, async () => {});
    const beforeBytes = await settledBytes(pid);
    let heldBytes = Number.NaN;
    await holdConnections(program, { ...settings, connections }, server, async () => {
      heldBytes = await settledBytes(pid);
    });
    return { beforeBytes, heldBytes };
  } finally {
    await server.program.kill();
  }
}

/** Measures fresh processes of every server and prints the results. Returns the median bytes by server. */
export async function compareIdle(
  servers: ServerKind[],
  load: IdleLoad,
  rounds: number,
  outcome: Outcome,
): Promise<Map<string, number>> {
  const readings = new Map<string, Reading[]>();
  for (let round = 0; round < rounds; round++) {
    for (const kind of servers) {
      await outcome.attempt(kind, async () => {
        const reading = await measure(kind, load);
        readings.set(kind.name, [...(readings.get(kind.name) ?? []), reading]);
      });
    }
  }
  const mebibytes = (values: number[]): string => fixed(median(values) / 2 ** 20, 1);
  const medians = new Map<string, number>();
  const rows = servers.flatMap(({ name, title }) => {
    const own = readings.get(name);
    if (own === undefined) return [];
    const bytes = own.map(
      ({ beforeBytes, heldBytes }) => (heldBytes - beforeBytes) / load.connections,
    );
    medians.set(name, median(bytes));
    return [
      [
        title,
        mebibytes(own.map((reading) => reading.beforeBytes)),
        mebibytes(own.map((reading) => reading.heldBytes)),
        fixed(median(bytes), 0),
        `${fixed(Math.min(...bytes), 0)}-${fixed(Math.max(...bytes), 0)}`,
      ],
    ];
  });
  printTable(["server", "before MiB", "held MiB", "bytes/connection", "(range)"], rows);
  return medians;
}
