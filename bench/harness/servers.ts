// The servers that are compared, and how each is started.

import { join, resolve } from "node:path";
import { BENCH_FOLDER } from "./paths.ts";
import { type Core, Program } from "./processes.ts";

const START_LIMIT_MS = 10_000;

export interface ServerKind {
  name: string;
  title: string;
  command: string[];
  /** The server that the others are compared with. Without it there is no comparison. */
  isYardstick?: boolean;
}

export interface RunningServer {
  program: Program;
  port: number;
}

/**
 * Returns the servers that are named, or the usual ones. `name@folder` is the same server of another
 * checkout, which `bun run setup` has built there. So one run measures what a change costs.
 */
export function selectServers(
  usual: ServerKind[],
  further: ServerKind[],
  names: string[] | "all",
): ServerKind[] {
  if (names === "all") return usual;
  const known = [...usual, ...further];
  return names.map((name) => {
    const [own, checkout] = name.split("@", 2);
    const kind = known.find((candidate) => candidate.name === own);
    if (kind !== undefined) return checkout === undefined ? kind : elsewhere(kind, checkout);
    throw new Error(`no server ${name}; there are ${known.map((each) => each.name).join(", ")}`);
  });
}

function elsewhere({ title, command, name }: ServerKind, checkout: string): ServerKind {
  const folder = join(resolve(checkout), "bench");
  return {
    name: `${name}@${checkout}`,
    title: `${title} @`,
    command: command.map((part) => part.replace(BENCH_FOLDER, folder)),
  };
}

export async function startServer(kind: ServerKind, core: Core): Promise<RunningServer> {
  const program = new Program(kind.name, kind.command, core);
  try {
    const line = await program.line(START_LIMIT_MS);
    const port = Number(/^PORT (\d+)$/.exec(line)?.[1]);
    if (!Number.isInteger(port)) throw new Error(`${kind.name} printed ${line} and not its port`);
    return { program, port };
  } catch (error) {
    await program.kill();
    throw error;
  }
}
