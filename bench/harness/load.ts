// Drives the load clients in C.

import { type NativeProgram, nativeProgram } from "./paths.ts";
import { type Core, Program } from "./processes.ts";
import type { RunningServer } from "./servers.ts";

/** The measurements of one burst, under the names that the client prints. */
export interface Burst {
  fairness: number;
  /** Within the window of the burst, as the latencies are. */
  requests: number;
  seconds: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  maximumUs: number;
  /** In the whole burst, as the CPU times are. */
  burstRequests: number;
  burstSeconds: number;
  serverCpuSeconds: number;
  serverUserTicks: number;
  serverSystemTicks: number;
  loadCpuSeconds: number;
}

// The client has time limits of its own. These are for a client that hangs.
const CONNECT_LIMIT_MS = 25_000;
const BURST_LIMIT_MS = 15_000;
const HOLD_LIMIT_SECONDS = 90;

/** The flags of a load client. A boolean flag has no value. */
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
  /** The time from the first connect until every connection has had its first answer. */
  readonly acceptedMs: number;
  /** Jain's index over the connections, for the windows of all bursts so far. */
  fairness = Number.NaN;

  private constructor(program: Program, acceptedMs: number) {
    this.#program = program;
    this.acceptedMs = acceptedMs;
  }

  /** Opens the connections. They are idle until a burst. */
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

/** Returns a function that connects a load client to a server. */
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
