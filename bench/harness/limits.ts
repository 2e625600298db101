// Compares the measurements with plait's limits.

import { fixed } from "./statistics.ts";
import { printTable } from "./table.ts";

export interface Limit {
  what: string;
  /** NaN when it was not measured. */
  measured: number;
  limit: number;
  bound: "at most" | "at least" | "below";
  decimals: number;
}

function isKept({ measured, limit, bound }: Limit): boolean {
  if (bound === "at least") return measured >= limit;
  return bound === "below" ? measured < limit : measured <= limit;
}

export function printLimits(limits: Limit[]): void {
  const measured = limits.filter((limit) => Number.isFinite(limit.measured));
  if (measured.length === 0) return;
  console.log("\nLimits");
  printTable(
    ["", "measured", "limit", ""],
    measured.map((limit) => [
      limit.what,
      fixed(limit.measured, limit.decimals),
      `${limit.bound} ${fixed(limit.limit, limit.decimals)}`,
      isKept(limit) ? "kept" : "EXCEEDED",
    ]),
  );
}
