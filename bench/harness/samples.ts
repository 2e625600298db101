// The measurements of the bursts for each server, and their medians over the rounds.

import type { Burst } from "./load.ts";
import { fixed, median, quantile } from "./statistics.ts";

export interface Sample {
  requestsPerSecond: number;
  p50Us: number;
  p99Us: number;
  /** CPU time of the server per request, or per other unit that the load client counts. */
  cpuUs: number;
  serverBusy: number;
  loadBusy: number;
  userTicks: number;
  systemTicks: number;
}

export type Quantity = keyof Sample;

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

/** The samples of one kind of load. */
export class Samples {
  /** By server, and then by round. */
  readonly #servers = new Map<string, Map<number, Sample>>();

  #of(server: string): Map<number, Sample> {
    return this.#servers.get(server) ?? new Map();
  }

  /** Rounds are numbered through, over all the processes of a server. */
  readonly add = (server: string, round: number, burst: Burst): void => {
    this.#servers.set(server, this.#of(server).set(round, toSample(burst)));
  };

  has(server: string): boolean {
    return this.#of(server).size > 0;
  }

  median(server: string, quantity: Quantity): number {
    return median([...this.#of(server).values()].map((sample) => sample[quantity]));
  }

  /** One burst has too few ticks of the kernel's timer, so the ticks of all rounds are added up. */
  userShare(server: string): number {
    let user = 0;
    let total = 0;
    for (const { userTicks, systemTicks } of this.#of(server).values()) {
      user += userTicks;
      total += userTicks + systemTicks;
    }
    return user / total;
  }

  /** The ratios of the rounds in which both were measured. */
  #ratios(server: string, base: string, quantity: Quantity): number[] {
    const bases = this.#of(base);
    return [...this.#of(server)].flatMap(([round, sample]) => {
      const other = bases.get(round);
      return other === undefined ? [] : [sample[quantity] / other[quantity]];
    });
  }

  /** The median of the ratios, which is steadier than the ratio of the medians. */
  ratio(server: string, base: string, quantity: Quantity): number {
    return median(this.#ratios(server, base, quantity));
  }

  /** The range of the middle half of the ratios, which shows how noisy they are. */
  middleHalf(server: string, base: string): string {
    const ratios = this.#ratios(server, base, "cpuUs");
    return `${fixed(quantile(ratios, 0.25), 2)}-${fixed(quantile(ratios, 0.75), 2)}`;
  }

  /** The columns that every kind of load has, as text. */
  row(server: string, yardstick: string, rival: string): string[] {
    const value = (quantity: Quantity, decimals: number): string =>
      fixed(this.median(server, quantity), decimals);
    const ratio = (base: string): string => fixed(this.ratio(server, base, "cpuUs"), 3);
    const cpuUs = this.median(server, "cpuUs");
    const userShare = this.userShare(server);
    return [
      value("requestsPerSecond", 0),
      value("p50Us", 1),
      value("p99Us", 1),
      fixed(cpuUs, 2),
      fixed(cpuUs * userShare, 2),
      fixed(cpuUs * (1 - userShare), 2),
      ratio(yardstick),
      this.middleHalf(server, yardstick),
      ratio(rival),
      value("serverBusy", 2),
      value("loadBusy", 2),
    ];
  }
}

/** The heads of those columns; `unit` is what the load client counts, such as "request". */
export function rowHeader(unit: string, rival: string): string[] {
  return [
    `${unit}s/s`,
    "p50 us",
    "p99 us",
    `CPU us/${unit}`,
    "user",
    "system",
    "CPU / C",
    "(half)",
    `/ ${rival}`,
    "server busy",
    "load busy",
  ];
}
