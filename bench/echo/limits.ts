// The limits for plait's echo.

import type { Limit } from "../harness/limits.ts";
import type { EchoResults } from "./results.ts";
import { BUN_LISTEN, YARDSTICK } from "./servers.ts";

export function echoLimits(results: EchoResults): Limit[] {
  const cpuRatio = (
    server: string,
    connections: number,
    base: string,
    limit: number,
    bound: Limit["bound"] = "at most",
  ): Limit => ({
    what: `${server}, CPU / ${base}, at ${connections}`,
    measured: results.samplesAt(connections).ratio(server, base, "cpuUs"),
    limit,
    bound,
    decimals: 3,
  });
  const ofMany = (server: string): Limit[] => [
    {
      what: `${server}, fairness, at 1000`,
      measured: results.leastFairness(1000, server),
      limit: 0.99,
      bound: "at least",
      decimals: 4,
    },
    {
      what: `${server}, ms to accept 1000`,
      measured: results.slowestAcceptedMs(1000, server),
      limit: 200,
      bound: "at most",
      decimals: 1,
    },
  ];
  const cpu = (server: string): Limit[] => [
    ...[1, 64, 1000].map((connections) => cpuRatio(server, connections, BUN_LISTEN, 1, "below")),
    cpuRatio(server, 64, YARDSTICK, 1.15),
    cpuRatio(server, 1000, YARDSTICK, 1.3),
  ];
  return [
    ...cpu("plait-attached"),
    {
      what: `plait-attached, p50 / ${BUN_LISTEN}, at 1`,
      measured: results.samplesAt(1).ratio("plait-attached", BUN_LISTEN, "p50Us"),
      limit: 1.05,
      bound: "at most",
      decimals: 3,
    },
    ...ofMany("plait-attached"),
    ...cpu("plait-blocking"),
    ...ofMany("plait-blocking"),
  ];
}
