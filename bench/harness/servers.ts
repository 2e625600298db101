// The servers that are compared, and how each is started.

import { type Core, Program } from "./processes.ts";

const START_LIMIT_MS = 10_000;

export interface ServerKind {
  name: string;
  title: string;
  command: string[];
  /** What the others are compared with: without it there is nothing to compare. */
  isYardstick?: boolean;
}

export interface RunningServer {
  program: Program;
  port: number;
}

/** The servers that are named, or those that are measured unless others are named. */
export function selectServers(
  usual: ServerKind[],
  further: ServerKind[],
  names: string[] | "all",
): ServerKind[] {
  if (names === "all") return usual;
  const known = [...usual, ...further];
  return names.map((name) => {
    const kind = known.find((candidate) => candidate.name === name);
    if (kind !== undefined) return kind;
    throw new Error(`no server ${name}; there are ${known.map((each) => each.name).join(", ")}`);
  });
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
