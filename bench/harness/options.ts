// The command line of `bun run bench`.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { ContestOptions } from "./contest.ts";

export interface BenchOptions extends ContestOptions {
  /** The suites to run; all if it is empty. */
  suites: string[];
  sizeBytes: number;
  connections: number[];
  /** The names of the servers to compare. */
  servers: string[] | "all";
  /** The loads of the TLS suite, by name, or all. */
  loads: string[] | "all";
  quick: boolean;
}

export const USAGE = `usage: bun run bench [echo] [memory] [import] [fibers] [readers] [redis] [proxy] [writes] [tls] [load] [options]

  --servers a,b          the servers to compare, by name (not of fibers)
  --quick                fewer and shorter rounds, for a first look
of the echo suite:
  --connections 1,64     connection counts
  --size BYTES           size of a request
of the tls suite:
  --loads echo,send      handshake, echo, send, receive, idle; the first four also as echo-defaults
of both:
  --generations N        how often every server is started afresh
  --rounds N             bursts of load on each server in a generation
  --seconds S            length of the measured window of a burst
  --warmup S             length of the part of a burst before the window
  --pin, --no-pin        bind the servers to core 0 and the load to core 1`;

function positive(text: string, name: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} needs a number above 0, not ${text}`);
}

export function parseOptions(commandLine: string[]): BenchOptions | "help" {
  const { values, positionals } = parseArgs({
    args: commandLine,
    allowPositionals: true,
    allowNegative: true,
    options: {
      generations: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      warmup: { type: "string" },
      size: { type: "string", default: "64" },
      connections: { type: "string", default: "1,64,1000" },
      servers: { type: "string" },
      loads: { type: "string" },
      pin: { type: "boolean", default: availableParallelism() > 1 },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { quick } = values;
  const numbers = (text: string, name: string): number[] =>
    text.split(",").map((part) => Math.round(positive(part, name)));
  const generations = values.generations ?? (quick ? "1" : "2");
  return {
    suites: positionals,
    generations: Math.round(positive(generations, "generations")),
    rounds: Math.round(positive(values.rounds ?? (quick ? "6" : "15"), "rounds")),
    windowSeconds: positive(values.seconds ?? "0.2", "seconds"),
    warmupSeconds: positive(values.warmup ?? "0.05", "warmup"),
    sizeBytes: Math.round(positive(values.size, "size")),
    connections: numbers(values.connections, "connections"),
    servers: values.servers?.split(",") ?? "all",
    loads: values.loads?.split(",") ?? "all",
    pin: values.pin,
    quick,
  };
}
