// Collects the measurements of the bursts.

import type { LoadClient } from "../harness/load.ts";
import { rowHeader, Samples } from "../harness/samples.ts";
import type { ServerKind } from "../harness/servers.ts";
import { fixed } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { BUN_LISTEN, YARDSTICK } from "./servers.ts";

/** Figures that are measured once for each process, not in every burst. */
interface Generation {
  acceptedMs: number;
  fairness: number;
}

export class EchoResults {
  readonly #samples = new Map<number, Samples>();
  readonly #generations = new Map<string, Generation[]>();

  samplesAt(connections: number): Samples {
    const samples = this.#samples.get(connections) ?? new Samples();
    this.#samples.set(connections, samples);
    return samples;
  }

  addGeneration(connections: number): (server: string, client: LoadClient) => void {
    return (server, { acceptedMs, fairness }) => {
      const key = `${connections} ${server}`;
      const earlier = this.#generations.get(key) ?? [];
      this.#generations.set(key, [...earlier, { acceptedMs, fairness }]);
    };
  }

  /** The worst of the generations, since there are too few of them for a median. */
  slowestAcceptedMs(connections: number, server: string): number {
    const generations = this.#generations.get(`${connections} ${server}`) ?? [];
    return Math.max(...generations.map((each) => each.acceptedMs));
  }

  leastFairness(connections: number, server: string): number {
    const generations = this.#generations.get(`${connections} ${server}`) ?? [];
    return Math.min(...generations.map((each) => each.fairness));
  }

  print(connections: number, servers: ServerKind[]): void {
    console.log(`\n${connections} ${connections === 1 ? "connection" : "connections"}`);
    const samples = this.samplesAt(connections);
    const rows = servers
      .filter(({ name }) => samples.has(name))
      .map(({ name, title }) => [
        title,
        ...samples.row(name, YARDSTICK, BUN_LISTEN),
        fixed(this.leastFairness(connections, name), 4),
        fixed(this.slowestAcceptedMs(connections, name), 1),
      ]);
    const header = ["server", ...rowHeader("request", "Bun.listen"), "fairness", "accepted ms"];
    printTable(header, rows);
  }
}
