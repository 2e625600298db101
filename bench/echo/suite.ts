// Echo under load. All servers of a generation stand ready at once, and short bursts of load go to
// one after the other, round after round: what disturbs the machine then disturbs all of them
// alike, and the ratio within one round leaves it out.

import { printLimits } from "../harness/limits.ts";
import { LoadClient } from "../harness/load.ts";
import type { BenchOptions } from "../harness/options.ts";
import { Outcome } from "../harness/outcome.ts";
import { type RunningServer, type ServerKind, startServer } from "../harness/servers.ts";
import { echoLimits } from "./limits.ts";
import { EchoResults } from "./results.ts";

const SERVER_CORE = 0;
const LOAD_CORE = 1;
// The first burst lets the just-in-time compiler finish and is not counted.
const FIRST_BURST_SECONDS = 0.7;

interface Contestant {
  kind: ServerKind;
  server: RunningServer;
  client: LoadClient;
}

async function end({ server, client }: Contestant): Promise<void> {
  await client.kill();
  await server.program.kill();
}

class EchoBench {
  readonly #options: BenchOptions;
  readonly #outcome = new Outcome();
  readonly results = new EchoResults();

  constructor(options: BenchOptions) {
    this.#options = options;
  }

  async #start(kind: ServerKind, connections: number): Promise<Contestant> {
    const { pin, sizeBytes } = this.#options;
    const server = await startServer(kind, pin ? SERVER_CORE : "any");
    let client: LoadClient | null = null;
    try {
      client = await LoadClient.connect(server, connections, sizeBytes, pin ? LOAD_CORE : "any");
      await client.burst(0, FIRST_BURST_SECONDS);
      return { kind, server, client };
    } catch (error) {
      await client?.kill();
      await server.program.kill();
      throw error;
    }
  }

  async #burst(contestant: Contestant, connections: number, round: number): Promise<void> {
    const { warmupSeconds, windowSeconds } = this.#options;
    try {
      const burst = await contestant.client.burst(warmupSeconds, windowSeconds);
      this.results.addBurst(connections, contestant.kind.name, round, burst);
    } catch (error) {
      // Whatever a failed server still does must not disturb the others.
      await end(contestant);
      throw error;
    }
  }

  /** One set of fresh processes; the memory layout of a single one may be lucky or unlucky. */
  async generation(connections: number, firstRound: number, rounds: number): Promise<void> {
    const contestants: Contestant[] = [];
    try {
      for (const kind of this.#options.servers) {
        await this.#outcome.attempt(kind, async () => {
          contestants.push(await this.#start(kind, connections));
        });
      }
      for (let round = firstRound; round < firstRound + rounds; round++) {
        for (let turn = 0; turn < contestants.length; turn++) {
          // Every round starts with another server, so that none always follows the same one.
          const contestant = contestants[(turn + round) % contestants.length];
          if (contestant === undefined) continue;
          await this.#outcome.attempt(contestant.kind, () =>
            this.#burst(contestant, connections, round),
          );
        }
      }
      for (const { kind, client } of contestants) {
        const { acceptedMs, fairness } = client;
        this.results.addGeneration(connections, kind.name, { acceptedMs, fairness });
      }
    } finally {
      for (const contestant of contestants) await end(contestant);
    }
  }
}

export async function runEcho(options: BenchOptions): Promise<void> {
  const { generations, rounds, windowSeconds, pin } = options;
  console.log(
    `\nEcho of ${options.sizeBytes} bytes: ${generations} x ${rounds} rounds of ` +
      `${windowSeconds} s, ` +
      (pin ? `servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}` : "on any core"),
  );
  const bench = new EchoBench(options);
  for (const connections of options.connections) {
    for (let generation = 0; generation < generations; generation++) {
      await bench.generation(connections, generation * rounds, rounds);
    }
    bench.results.print(connections, options.servers);
  }
  printLimits(echoLimits(bench.results));
}
