/** The module that the workers of the cluster tests run. Each line is a command. */

import { existsSync, writeFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import {
  all,
  connect,
  deadline,
  type Socket,
  shield,
  sleep,
  type WorkerContext,
} from "../../index.ts";
import { linesOf } from "./lines.ts";

export interface ModuleData {
  /** While a file of this name exists, workers cannot start. */
  obstacle?: string;
  /**
   * While a file of this name exists, a worker that starts waits, and creates `${gate}.reached`.
   */
  gate?: string;
  /** A worker that has drained writes its number here. */
  drained?: string;
  /** Milliseconds that this takes. */
  drainedAfter?: number;
}

let context: WorkerContext;

export async function setup(given: WorkerContext): Promise<() => Promise<void>> {
  context = given;
  const { obstacle, gate, drained, drainedAfter } = (given.data ?? {}) as ModuleData;
  if (obstacle !== undefined && existsSync(obstacle)) throw new RangeError("there is an obstacle");
  if (gate !== undefined && existsSync(gate)) writeFileSync(`${gate}.reached`, "");
  while (gate !== undefined && existsSync(gate)) await sleep(5);
  return async () => {
    if (drainedAfter !== undefined) await sleep(drainedAfter);
    if (drained !== undefined) await Bun.write(`${drained}.${given.worker}`, "drained");
  };
}

async function fail(error: Error): Promise<never> {
  // The other one has not ended by then either.
  await sleep(1).catch(() => {});
  throw error;
}

function named(name: string): Error {
  return Object.assign(new Error("strange"), { name });
}

export default async function serve(socket: Socket): Promise<void> {
  for await (const line of linesOf(socket)) await obey(line, socket);
}

async function obey(command: string, socket: Socket): Promise<void> {
  switch (command) {
    case "who":
      await socket.write(`${context.worker} of ${context.workers}, thread ${threadId}\n`);
      return;
    case "exit":
      process.exit(5);
      return;
    case "uncaught":
      setTimeout(() => {
        throw new RangeError("thrown by a timer");
      });
      return;
    case "unhandled":
      void Promise.reject(new RangeError("nobody's rejection"));
      return;
    case "throw":
      throw new RangeError("thrown by a handler");
    case "throw strange names":
      throw new AggregateError([named("constructor"), named("__proto__"), named("toString")]);
    case "refused":
      // Port 1 has no listener, and the error has the port.
      await connect({ host: "127.0.0.1", port: 1 });
      return;
    case "refused twice":
      await connect({ host: "localhost", port: 1 });
      return;
    case "suppressed":
      await all([() => fail(new RangeError("first")), () => fail(new TypeError("second"))]);
      return;
    case "much":
      await socket.write(new Uint8Array(4_000_000));
      socket.close();
      return;
    case "leave":
      // Some of it stays in the kernel until the client reads.
      socket.setLinger(60);
      await socket.write(new Uint8Array(500_000));
      socket.close();
      return;
    case "goodbye":
      await socket.write("waiting\n");
      try {
        await sleep(60_000);
      } catch (error) {
        const { name, message } = (error as Error).cause as Error;
        await shield(() => socket.write(`goodbye: ${name} ${message}\n`), deadline(5000));
      }
      return;
    case "sleep":
      await socket.write("asleep\n");
      await sleep(60_000);
      return;
    case "compute":
      await socket.write("computing\n");
      for (;;);
    default:
      await socket.write(`${command}\n`);
  }
}
