// Measures the CPU time that a way of reading takes, and prints it in nanoseconds for each unit.

import { type UnitName, unitNames, units } from "./units.ts";

/** Asks the feeder for a stream, reads it to its end, and returns the number of units. */
export type Way = (port: number, request: Uint8Array, unit: UnitName) => Promise<number>;

const WARMUP_STREAMS = 1;

export async function measure(ways: Readonly<Record<string, Way>>): Promise<void> {
  const [name = "", unitName = "", port = ""] = process.argv.slice(2);
  const way = ways[name];
  const index = unitNames.indexOf(unitName as UnitName);
  if (way === undefined || index < 0) throw new Error(`no way ${name} to read ${unitName}`);
  const unit = unitNames[index]!;
  const once = async (): Promise<void> => {
    const count = await way(Number(port), new Uint8Array([index]), unit);
    if (count !== units[unit].count) throw new Error(`${name} has read ${count} of ${unitName}`);
  };
  for (let stream = 0; stream < WARMUP_STREAMS; stream++) await once();
  const before = process.cpuUsage();
  await once();
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ ns: ((user + system) * 1000) / units[unit].count }));
  process.exit();
}
