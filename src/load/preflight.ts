/** What a run needs of this machine, looked at before it starts: descriptors and ports. */

import { readFileSync } from "node:fs";
import { rangeMistake } from "../values/checks.ts";
import type { Plan } from "./plan.ts";

/** Descriptors that a process has beside those of connections. */
const otherDescriptors = 64;

/**
 * Checks that there can be as many connections as the plan wants at most. Where the system does not say (it is asked
 * through /proc), a run finds out by itself.
 *
 * @param addresses how many addresses the target has; 0 for a path
 * @throws {RangeError} with what is lacking and what helps
 */
export function checkMachine(plan: Plan, addresses: number): void {
  const { overload, connections, mostConnections, shape } = plan;
  const grows = overload === "grow" && shape.kind !== "closed";
  const wanted = grows ? mostConnections : connections;
  const descriptors = descriptorLimit();
  if (descriptors !== undefined && wanted + otherDescriptors > descriptors) {
    throw rangeMistake(
      `${wanted} connections need as many descriptors, and this process may have ${descriptors}: raise it (ulimit -n)`,
    );
  }
  const ports = portsOfAddress();
  if (ports === undefined || addresses === 0) return;
  // A connection is told by both addresses and ports (tcp(7)).
  const pairs = addresses * Math.max(plan.localAddresses.length, 1);
  if (wanted > ports * pairs) {
    throw rangeMistake(
      `${wanted} connections need as many ports, and this machine has ${ports} for each pair of addresses: give more localAddresses`,
    );
  }
}

/** The most descriptors of this process. */
function descriptorLimit(): number | undefined {
  const [, limit] = /^Max open files\s+(\d+)/m.exec(textOf("/proc/self/limits")) ?? [];
  return limit === undefined ? undefined : Number(limit);
}

/** How many ports the system chooses from. */
function portsOfAddress(): number | undefined {
  const text = textOf("/proc/sys/net/ipv4/ip_local_port_range");
  const [, first, last] = /^(\d+)\s+(\d+)/.exec(text) ?? [];
  return first === undefined ? undefined : Number(last) - Number(first) + 1;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
