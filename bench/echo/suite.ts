// Echo under load.

import { describeContest, runContest } from "../harness/contest.ts";
import { printLimits } from "../harness/limits.ts";
import { connectLoad } from "../harness/load.ts";
import type { BenchOptions } from "../harness/options.ts";
import { Outcome } from "../harness/outcome.ts";
import { echoLimits } from "./limits.ts";
import { EchoResults } from "./results.ts";
import { selectedEchoServers } from "./servers.ts";

export async function runEcho(options: BenchOptions): Promise<void> {
  const { sizeBytes } = options;
  const servers = selectedEchoServers(options.servers);
  console.log(`\nEcho of ${sizeBytes} bytes: ${describeContest(options)}`);
  const results = new EchoResults();
  const outcome = new Outcome();
  for (const connections of options.connections) {
    const contest = {
      servers,
      connect: connectLoad("load", { connections, size: sizeBytes }),
      onBurst: results.samplesAt(connections).add,
      onGeneration: results.addGeneration(connections),
    };
    await runContest(options, contest, outcome);
    results.print(connections, servers);
  }
  printLimits(echoLimits(results));
}
