// Load generators: the command of each, and how many requests its output says that it made.

import { join } from "node:path";
import { root } from "../../scripts/build.ts";
import { BENCH_FOLDER } from "../harness/paths.ts";

export interface Generator {
  readonly name: string;
  /** @param ca the certificate to trust, for a generator that checks */
  command(url: string, connections: number, seconds: number, ca: string): string[];
  /** The requests that were answered. */
  requests(output: string): number;
}

const plait = (scenario: string | undefined): Generator => ({
  name: scenario === undefined ? "plait load" : "plait load, a scenario with a check",
  command: (url, connections, seconds, ca) => [
    ...[process.execPath, join(root, "src", "command", "plait.ts"), "load"],
    ...(scenario === undefined ? [] : [join(BENCH_FOLDER, "load", scenario)]),
    ...[url, "-c", `${connections}`, "-d", `${seconds}s`, "--quiet", "--json", "-"],
    ...(url.startsWith("https:") ? ["--ca", ca] : []),
  ],
  requests: (output) => JSON.parse(output).requests.outcomes.ok,
});

function found(output: string, pattern: RegExp): number {
  const match = pattern.exec(output);
  if (match === null) throw new Error(`no number of requests in: ${output}`);
  return Number(match[1]);
}

export const wrk: Generator = {
  name: "wrk",
  command: (url, connections, seconds) => ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, url],
  requests: (output) => found(output, /(\d+) requests in/),
};

export const generators: readonly Generator[] = [
  wrk,
  plait(undefined),
  plait("scenario.ts"),
  {
    name: "autocannon",
    command: (url, connections, seconds) => [
      ...["node", join(root, "node_modules", "autocannon", "autocannon.js")],
      ...["-c", `${connections}`, "-d", `${seconds}`, "--json", url],
    ],
    requests: (output) => JSON.parse(output)["2xx"],
  },
  {
    name: "h2load, HTTP/1.1",
    command: (url, connections, seconds) => [
      ...["h2load", "--h1", "-t1", "-c", `${connections}`, "-D", `${seconds}`, url],
    ],
    requests: (output) => found(output, /status codes: (\d+) 2xx/),
  },
];
