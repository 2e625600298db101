// What plait promises of TLS, in terms of what was measured.

import type { Limit } from "../harness/limits.ts";
import type { Samples } from "../harness/samples.ts";
import { BUN_LISTEN, YARDSTICK } from "./servers.ts";

const PLAIT = "plait-attached";

/** The samples are those of one cipher for all, by the load's name. */
export function loadLimits(samples: ReadonlyMap<string, Samples>): Limit[] {
  const cpuRatio = (load: string, base: string, limit: number): Limit => ({
    what: `${PLAIT}, ${load}, CPU / ${base}`,
    measured: samples.get(load)?.ratio(PLAIT, base, "cpuUs") ?? Number.NaN,
    limit,
    bound: "at most",
    decimals: 3,
  });
  return [
    cpuRatio("handshake", YARDSTICK, 1.05),
    cpuRatio("handshake", BUN_LISTEN, 1),
    cpuRatio("echo", YARDSTICK, 1.1),
    cpuRatio("echo", BUN_LISTEN, 1),
    cpuRatio("send", BUN_LISTEN, 1),
    cpuRatio("receive", BUN_LISTEN, 1),
  ];
}

/** What a connection may hold beyond what OpenSSL does, which is what the C server's holds. */
export function idleLimits(bytes: ReadonlyMap<string, number>): Limit[] {
  return [
    {
      what: `${PLAIT}, bytes per idle connection over ${YARDSTICK}`,
      measured: (bytes.get(PLAIT) ?? Number.NaN) - (bytes.get(YARDSTICK) ?? Number.NaN),
      limit: 1024,
      bound: "at most",
      decimals: 0,
    },
  ];
}
