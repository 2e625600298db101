// Drives the load clients in C.

import { type NativeProgram, nativeProgram } from "./paths.ts";
import { type Core, Program } from "./processes.ts";
import type { RunningServer } from "./servers.ts";

/** What one burst of load measured; the names are those the client prints. */
export interface Burst {
  fairness: number;
  /** Of the window inside the burst, as are the latencies. */
  requests: number;
  seconds: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  maximumUs: number;
  /** Of the whole burst, as are the CPU times. */
  burstRequests: number;
  burstSeconds: number;
  serverCpuSeconds: number;
  serverUserTicks: number;
  serverSystemTicks: number;
  loadCpuSeconds: number;
}

// The client has limits of its own; these are for a client that is itself stuck.
const CONNECT_LIMIT_MS = 25_000;
const BURST_LIMIT_MS = 15_000;
const HOLD_LIMIT_SECONDS = 90;

/** The flags of a load client; those that are true or false have no value. */
export type LoadSettings = Record<string, number | string | boolean>;

function startClient(name: NativeProgram, settings: LoadSettings, core: Core): Program {
  const flags = Object.entries(settings).flatMap(([flag, value]) => {
    if (typeof value === "boolean") return value ? [`--${flag}`] : [];
    return [`--${flag}`, String(value)];
  });
  return new Program(name, [nativeProgram(name), ...flags], core);
}

export class LoadClient {
  readonly #program: Program;
  /** From the first connect until every connection had its first answer. */
  readonly acceptedMs: number;
  /** Jain's index over the connections, for the windows of all bursts so far. */
  fairness = Number.NaN;

  private constructor(program: Program, acceptedMs: number) {
    this.#program = program;
    this.acceptedMs = acceptedMs;
  }

  /** Opens the connections, which then stay idle until there is a burst. */
  static async connect(
    name: NativeProgram,
    settings: LoadSettings,
    { port, program: { pid } }: RunningServer,
    core: Core,
  ): Promise<LoadClient> {
    const program = startClient(name, { ...settings, port, pid }, core);
    try {
      const { acceptedMs } = JSON.parse(await program.line(CONNECT_LIMIT_MS));
      return new LoadClient(program, Number(acceptedMs));
    } catch (error) {
      await program.kill();
      throw error;
    }
  }

  async burst(warmupSeconds: number, windowSeconds: number): Promise<Burst> {
    await this.#program.writeLine(`burst ${warmupSeconds} ${windowSeconds}`);
    const limitMs = (warmupSeconds + windowSeconds) * 1000 + BURST_LIMIT_MS;
    const burst = JSON.parse(await this.#program.line(limitMs)) as Burst;
    this.fairness = burst.fairness;
    return burst;
  }

  async kill(): Promise<void> {
    await this.#program.kill();
  }
}

/** What connects a load client to any server. */
export function connectLoad(
  name: NativeProgram,
  settings: LoadSettings,
): (server: RunningServer, core: Core) => Promise<LoadClient> {
  return (server, core) => LoadClient.connect(name, settings, server, core);
}

/** Opens connections, echoes once on each, and keeps them until the callback has ended. */
export async function holdConnections(
  name: NativeProgram,
  settings: LoadSettings & { connections: number },
  { port }: RunningServer,
  whileHeld: () => Promise<void>,
): Promise<void> {
  const client = startClient(name, { ...settings, port, hold: HOLD_LIMIT_SECONDS }, "any");
  try {
    const line = await client.line(CONNECT_LIMIT_MS);
    if (line !== `held ${settings.connections}`) throw new Error(`${name} printed ${line}`);
    await whileHeld();
    if (client.hasEnded) throw new Error("an idle connection did not stay open");
    await client.finish();
  } finally {
    await client.kill();
  }
}
