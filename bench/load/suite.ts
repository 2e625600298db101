// Load generators against one nginx worker: their own CPU time for each request. A run has a fixed cost, its start and
// its report. So each generator makes a short run and a long one, and what counts is the difference of both.

import { type Limit, printLimits } from "../harness/limits.ts";
import type { BenchOptions } from "../harness/options.ts";
import { fixed, median } from "../harness/statistics.ts";
import { printTable } from "../harness/table.ts";
import { type Generator, generators, wrk } from "./generators.ts";
import { type BenchServer, startServer } from "./nginx.ts";

const SERVER_CORE = 1;
const GENERATOR_CORE = 0;
const CONNECTIONS = 64;

/** The CPU time of a process, and what it made. */
interface Run {
  readonly userUs: number;
  readonly systemUs: number;
  readonly requests: number;
}

interface Sample {
  /** For each request of the difference. */
  readonly userUs: number;
  readonly systemUs: number;
  /** For each request of the long run, with all that the process used. */
  readonly wholeUs: number;
  readonly perSecond: number;
}

const cpuOf = ({ userUs, systemUs }: Sample): number => userUs + systemUs;

async function run(
  generator: Generator,
  url: string,
  server: BenchServer,
  seconds: number,
  pin: boolean,
): Promise<Run> {
  const pinned = pin ? ["taskset", "-c", `${GENERATOR_CORE}`] : [];
  const command = generator.command(url, CONNECTIONS, seconds, server.ca);
  const program = Bun.spawn([...pinned, ...command], { stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([
    new Response(program.stdout).text(),
    new Response(program.stderr).text(),
  ]);
  await program.exited;
  const requests = generator.requests(output);
  const { cpuTime } = program.resourceUsage()!;
  if (!(requests > 0)) throw new Error(`${generator.name} made no request: ${errors}`);
  return { userUs: Number(cpuTime.user), systemUs: Number(cpuTime.system), requests };
}

async function sample(
  generator: Generator,
  url: string,
  server: BenchServer,
  seconds: number,
  pin: boolean,
): Promise<Sample> {
  const short = await run(generator, url, server, Math.ceil(seconds / 5), pin);
  const long = await run(generator, url, server, seconds, pin);
  const requests = long.requests - short.requests;
  return {
    userUs: (long.userUs - short.userUs) / requests,
    systemUs: (long.systemUs - short.systemUs) / requests,
    wholeUs: (long.userUs + long.systemUs) / long.requests,
    perSecond: long.requests / seconds,
  };
}

/** The generators that are installed; the others with a printed reason. */
function installed(): Generator[] {
  return generators.filter((generator) => {
    const [program] = generator.command("http://", 1, 1, "");
    if (Bun.which(program!) !== null) return true;
    console.log(`left out: ${generator.name} is not installed`);
    return false;
  });
}

async function compare(
  title: string,
  url: string,
  server: BenchServer,
  options: BenchOptions,
): Promise<Limit[]> {
  const rounds = options.quick ? 2 : 5;
  const seconds = options.quick ? 10 : 20;
  const all = installed();
  const samples = new Map<Generator, Sample[]>(all.map((generator) => [generator, []]));
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another one: what comes first finds a cooler machine.
    for (let turn = 0; turn < all.length; turn++) {
      const generator = all[(turn + round) % all.length]!;
      samples.get(generator)!.push(await sample(generator, url, server, seconds, options.pin));
    }
  }
  const ratio = (one: Generator, other: Generator | undefined): number => {
    const others = other && samples.get(other);
    if (others === undefined) return Number.NaN;
    return median(samples.get(one)!.map((each, round) => cpuOf(each) / cpuOf(others[round]!)));
  };
  console.log(
    `\n${title}: CPU of the generator for each request, ${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s`,
  );
  printTable(
    ["", "us", "user", "system", "of wrk's", "whole run", "requests/s"],
    all.map((generator) => {
      const own = samples.get(generator)!;
      return [
        generator.name,
        fixed(median(own.map(cpuOf)), 2),
        fixed(median(own.map(({ userUs }) => userUs)), 2),
        fixed(median(own.map(({ systemUs }) => systemUs)), 2),
        fixed(ratio(generator, wrk), 2),
        fixed(median(own.map(({ wholeUs }) => wholeUs)), 2),
        fixed(median(own.map(({ perSecond }) => perSecond)), 0),
      ];
    }),
  );
  const [, plain, scenario, autocannon] = generators as [
    Generator,
    Generator,
    Generator,
    Generator,
  ];
  const limit = (what: string, measured: number, most: number): Limit => ({
    ...{ what: `${title}: ${what}`, measured, limit: most, bound: "at most", decimals: 2 },
  });
  return [
    limit("plait load over wrk", ratio(plain, wrk), 1.15),
    limit("plait load over autocannon", ratio(plain, autocannon), 0.6),
    limit("a scenario over wrk", ratio(scenario, wrk), 1.4),
  ];
}

export async function runLoad(options: BenchOptions): Promise<void> {
  await using server = await startServer(options.pin ? SERVER_CORE : undefined);
  const limits = [
    ...(await compare("plain", server.plain, server, options)),
    ...(await compare("TLS", server.secure, server, options)),
  ];
  printLimits(limits);
}
