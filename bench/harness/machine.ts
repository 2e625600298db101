// Prints what a reader must know about the machine to judge the figures.

import { cpus, loadavg, release, type as systemType, totalmem } from "node:os";

export function printMachine(): void {
  const processors = cpus();
  const load = loadavg()[0] ?? 0;
  console.log(`date      ${new Date().toISOString()}`);
  console.log(`kernel    ${systemType()} ${release()}`);
  console.log(`processor ${processors[0]?.model ?? "unknown"}, ${processors.length} cores`);
  console.log(`memory    ${(totalmem() / 2 ** 30).toFixed(1)} GiB`);
  console.log(`Bun       ${Bun.version} (${Bun.revision.slice(0, 9)})`);
  console.log(`load      ${load.toFixed(2)} before the start`);
}
