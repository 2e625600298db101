// Gathers the bursts of load and reduces them to medians over the rounds.

import type { Burst } from "../harness/load.ts";
import { BUN_LISTEN, type ServerKind, YARDSTICK } from "../harness/servers.ts";
import { fixed, median, quantile } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";

interface Sample {
  requestsPerSecond: number;
  p50Us: number;
  p99Us: number;
  /** CPU time of the server per request. */
  cpuUs: number;
  serverBusy: number;
  loadBusy: number;
  userTicks: number;
  systemTicks: number;
}

/** What is measured once for each process and not in every burst. */
interface Generation {
  acceptedMs: number;
  fairness: number;
}

type Quantity = keyof Sample;

function toSample(burst: Burst): Sample {
  return {
    requestsPerSecond: burst.requests / burst.seconds,
    p50Us: burst.p50Us,
    p99Us: burst.p99Us,
    cpuUs: (burst.serverCpuSeconds / burst.burstRequests) * 1e6,
    serverBusy: burst.serverCpuSeconds / burst.burstSeconds,
    loadBusy: burst.loadCpuSeconds / burst.burstSeconds,
    userTicks: burst.serverUserTicks,
    systemTicks: burst.serverSystemTicks,
  };
}

const HEADER = [
  "server",
  "requests/s",
  "p50 us",
  "p99 us",
  "CPU us/req",
  "user",
  "system",
  "CPU / C",
  "(half)",
  "/ Bun.listen",
  "server busy",
  "load busy",
  "fairness",
  "accepted ms",
];

export class EchoResults {
  /** The samples by connection count and server name, and then by round. */
  readonly #samples = new Map<string, Map<number, Sample>>();
  readonly #generations = new Map<string, Generation[]>();

  #of(connections: number, server: string): Map<number, Sample> {
    return this.#samples.get(`${connections} ${server}`) ?? new Map();
  }

  /** Rounds are numbered through, over all the processes of a server. */
  addBurst(connections: number, server: string, round: number, burst: Burst): void {
    const samples = this.#of(connections, server).set(round, toSample(burst));
    this.#samples.set(`${connections} ${server}`, samples);
  }

  addGeneration(connections: number, server: string, generation: Generation): void {
    const key = `${connections} ${server}`;
    this.#generations.set(key, [...(this.#generations.get(key) ?? []), generation]);
  }

  /** The worst of the generations, as these are too few for a median. */
  slowestAcceptedMs(connections: number, server: string): number {
    const generations = this.#generations.get(`${connections} ${server}`) ?? [];
    return Math.max(...generations.map((each) => each.acceptedMs));
  }

  leastFairness(connections: number, server: string): number {
    const generations = this.#generations.get(`${connections} ${server}`) ?? [];
    return Math.min(...generations.map((each) => each.fairness));
  }

  median(connections: number, server: string, quantity: Quantity): number {
    const samples = [...this.#of(connections, server).values()];
    return median(samples.map((sample) => sample[quantity]));
  }

  /** One burst has too few ticks of the kernel's timer, so those of all rounds are added up. */
  #userShare(connections: number, server: string): number {
    let user = 0;
    let total = 0;
    for (const { userTicks, systemTicks } of this.#of(connections, server).values()) {
      user += userTicks;
      total += userTicks + systemTicks;
    }
    return user / total;
  }

  /** The ratios of the rounds in which both were measured. */
  #ratios(connections: number, server: string, base: string, quantity: Quantity): number[] {
    const bases = this.#of(connections, base);
    return [...this.#of(connections, server)].flatMap(([round, sample]) => {
      const other = bases.get(round);
      return other === undefined ? [] : [sample[quantity] / other[quantity]];
    });
  }

  /** The median of the ratios, which is steadier than the ratio of the medians. */
  ratio(connections: number, server: string, base: string, quantity: Quantity): number {
    return median(this.#ratios(connections, server, base, quantity));
  }

  /** The range that holds the middle half of the ratios, which tells how noisy they are. */
  #middleHalf(connections: number, server: string, base: string): string {
    const ratios = this.#ratios(connections, server, base, "cpuUs");
    return `${fixed(quantile(ratios, 0.25), 2)}-${fixed(quantile(ratios, 0.75), 2)}`;
  }

  print(connections: number, servers: ServerKind[]): void {
    console.log(`\n${connections} ${connections === 1 ? "connection" : "connections"}`);
    const measured = servers.filter((kind) => this.#of(connections, kind.name).size > 0);
    const rows = measured.map(({ name, title }) => {
      const value = (quantity: Quantity, decimals: number): string =>
        fixed(this.median(connections, name, quantity), decimals);
      const ratio = (base: string): string =>
        fixed(this.ratio(connections, name, base, "cpuUs"), 3);
      const cpuUs = this.median(connections, name, "cpuUs");
      const userShare = this.#userShare(connections, name);
      return [
        title,
        value("requestsPerSecond", 0),
        value("p50Us", 1),
        value("p99Us", 1),
        fixed(cpuUs, 2),
        fixed(cpuUs * userShare, 2),
        fixed(cpuUs * (1 - userShare), 2),
        ratio(YARDSTICK),
        this.#middleHalf(connections, name, YARDSTICK),
        ratio(BUN_LISTEN),
        value("serverBusy", 2),
        value("loadBusy", 2),
        fixed(this.leastFairness(connections, name), 4),
        fixed(this.slowestAcceptedMs(connections, name), 1),
      ];
    });
    printTable(HEADER, rows);
  }
}
