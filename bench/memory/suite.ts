// Resident memory of a server per idle connection, after one echo on each.

import { BUN_LISTEN, selectedEchoServers } from "../echo/servers.ts";
import { compareIdle } from "../harness/idle.ts";
import { type Limit, printLimits } from "../harness/limits.ts";
import type { BenchOptions } from "../harness/options.ts";
import { Outcome } from "../harness/outcome.ts";

const CONNECTIONS = 8_000;

export async function runMemory(options: BenchOptions): Promise<void> {
  const rounds = options.quick ? 1 : 2;
  console.log(
    `\nResident memory over ${CONNECTIONS} idle connections after one echo on each, ` +
      `median of ${rounds}`,
  );
  const servers = selectedEchoServers(options.servers);
  const load = { program: "load", settings: {}, connections: CONNECTIONS } as const;
  const medians = await compareIdle(servers, load, rounds, new Outcome());
  const most = 1.1 * (medians.get(BUN_LISTEN) ?? Number.NaN);
  printLimits(
    ["plait-attached", "plait-blocking"].map(
      (name): Limit => ({
        what: `${name}, bytes per idle connection (Bun.listen's + 10 %)`,
        measured: medians.get(name) ?? Number.NaN,
        limit: most,
        bound: "at most",
        decimals: 0,
      }),
    ),
  );
}
