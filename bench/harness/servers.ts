// The echo servers that are compared, and how each is started.

import { join } from "node:path";
import { BENCH_FOLDER, nativeProgram } from "./paths.ts";
import { type Core, Program } from "./processes.ts";

const START_LIMIT_MS = 10_000;

export interface ServerKind {
  name: string;
  title: string;
  command: string[];
}

export interface RunningServer {
  program: Program;
  port: number;
}

function script(file: string, ...rest: string[]): string[] {
  return [process.execPath, join(BENCH_FOLDER, "echo", file), ...rest];
}

export const YARDSTICK = "epoll-server";
export const BUN_LISTEN = "bun-listen";

export const DEFAULT_SERVERS: ServerKind[] = [
  { name: YARDSTICK, title: "C epoll loop", command: [nativeProgram("epoll-server")] },
  { name: BUN_LISTEN, title: "Bun.listen", command: script("bun-listen.ts") },
  { name: "node-net", title: "node:net on Bun", command: script("node-net.ts") },
  { name: "plait-attached", title: "plait attached", command: script("plait-attached.ts") },
  { name: "plait-blocking", title: "plait blocking", command: script("plait-blocking.ts") },
];

/** Measured only when asked for by name. */
const FURTHER_SERVERS: ServerKind[] = [
  // The yardstick under another name: its ratio to itself shows what a ratio is worth.
  {
    name: "epoll-server-again",
    title: "C epoll loop again",
    command: [nativeProgram("epoll-server")],
  },
  {
    name: "plait-attached-read",
    title: "plait attached, read()",
    command: script("plait-attached.ts", "read"),
  },
  {
    name: "plait-blocking-read",
    title: "plait blocking, read()",
    command: script("plait-blocking.ts", "read"),
  },
];

export function serversByName(names: string[]): ServerKind[] {
  const known = [...DEFAULT_SERVERS, ...FURTHER_SERVERS];
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
