// The limits for plait's TLS.

import type { Limit } from "../harness/limits.ts";
import type { Samples } from "../harness/samples.ts";
import { BUN_LISTEN, YARDSTICK } from "./servers.ts";

const PLAIT = "plait-attached";

/** `samples` are those with one cipher for all, by the name of the load. */
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

/** Memory that a connection may take beyond OpenSSL's, which is what the C server takes. */
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
