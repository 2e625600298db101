// Servers under bursts of load. All servers of a generation run at the same time. Short bursts go to one
// server after the other, round after round. So a disturbance of the machine affects all servers alike,
// and ratios within one round are free of it.

import type { Burst, LoadClient } from "./load.ts";
import { Outcome } from "./outcome.ts";
import type { Core } from "./processes.ts";
import { type RunningServer, type ServerKind, startServer } from "./servers.ts";

const SERVER_CORE = 0;
const LOAD_CORE = 1;
// The first burst is for the just-in-time compiler, and does not count.
const FIRST_BURST_SECONDS = 3;

export interface ContestOptions {
  /** How often fresh processes of the servers are started. */
  generations: number;
  /** Bursts for each server in a generation. */
  rounds: number;
  windowSeconds: number;
  warmupSeconds: number;
  /** Whether the servers run on core 0 and the load clients on core 1. */
  pin: boolean;
}

export interface Contest {
  servers: ServerKind[];
  connect(server: RunningServer, core: Core): Promise<LoadClient>;
  /** Rounds are numbered through, over all the processes of a server. */
  onBurst(server: string, round: number, burst: Burst): void;
  onGeneration?(server: string, client: LoadClient): void;
}

interface Contestant {
  kind: ServerKind;
  server: RunningServer;
  client: LoadClient;
}

async function end({ server, client }: Contestant): Promise<void> {
  await client.kill();
  await server.program.kill();
}

export function describeContest(options: ContestOptions): string {
  const { generations, rounds, windowSeconds, pin } = options;
  const cores = pin ? `servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}` : "on any core";
  return `${generations} x ${rounds} rounds of ${windowSeconds} s, ${cores}`;
}

/** Runs all generations. A server that fails is left out from then on. */
export async function runContest(
  options: ContestOptions,
  contest: Contest,
  outcome = new Outcome(),
): Promise<void> {
  for (let generation = 0; generation < options.generations; generation++) {
    await runGeneration(options, contest, outcome, generation * options.rounds);
  }
}

/** One set of fresh processes. The memory layout of a single process may be lucky or unlucky. */
async function runGeneration(
  options: ContestOptions,
  contest: Contest,
  outcome: Outcome,
  firstRound: number,
): Promise<void> {
  const contestants: Contestant[] = [];
  try {
    for (const kind of contest.servers) {
      await outcome.attempt(kind, async () => {
        contestants.push(await start(options, contest, kind));
      });
    }
    for (let round = firstRound; round < firstRound + options.rounds; round++) {
      for (let turn = 0; turn < contestants.length; turn++) {
        // Every round starts with another server, so that no server always has the same predecessor.
        const contestant = contestants[(turn + round) % contestants.length];
        if (contestant === undefined) continue;
        await outcome.attempt(contestant.kind, () => burst(options, contest, contestant, round));
      }
    }
    for (const { kind, client } of contestants) contest.onGeneration?.(kind.name, client);
  } finally {
    for (const contestant of contestants) await end(contestant);
  }
}

async function start(
  { pin }: ContestOptions,
  contest: Contest,
  kind: ServerKind,
): Promise<Contestant> {
  const server = await startServer(kind, pin ? SERVER_CORE : "any");
  let client: LoadClient | null = null;
  try {
    client = await contest.connect(server, pin ? LOAD_CORE : "any");
    await client.burst(0, FIRST_BURST_SECONDS);
    return { kind, server, client };
  } catch (error) {
    await client?.kill();
    await server.program.kill();
    throw error;
  }
}

async function burst(
  { warmupSeconds, windowSeconds }: ContestOptions,
  contest: Contest,
  contestant: Contestant,
  round: number,
): Promise<void> {
  try {
    const result = await contestant.client.burst(warmupSeconds, windowSeconds);
    contest.onBurst(contestant.kind.name, round, result);
  } catch (error) {
    // A failed server may still run, and must not disturb the others.
    await end(contestant);
    throw error;
  }
}
