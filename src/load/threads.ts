/** The threads of a run, as the main thread has them. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { workerThreads } from "../core/threads.ts";
import { type ErrorReport, errorOf } from "../process/error_reports.ts";
import { assignmentKey, type LoadAssignment, type ScenarioSource } from "./assignment.ts";
import type { Scenario } from "./context.ts";
import { loadExtras } from "./extras.ts";
import { Meter, MeterReader } from "./memory.ts";
import type { Plan } from "./plan.ts";
import type { FailureExample, Outcome } from "./report.ts";
import { LoadThread, type ThreadEnd, type ThreadReady } from "./thread.ts";

/** A message from a Worker. */
export type ThreadMessage =
  | { kind: "ready"; ready: ThreadReady }
  | { kind: "failure"; outcome: Outcome; example: FailureExample }
  | { kind: "end"; end: ThreadEnd }
  | { kind: "error"; error: ErrorReport };

type Failed = (outcome: Outcome, example: FailureExample) => void;

/** A thread has ended before its time: its scenario has called `process.exit`. */
export class EndedError extends Error {
  override readonly name = "EndedError";

  constructor(thread: number, code: number) {
    super(`thread ${thread} has ended with ${code}: a scenario must not call process.exit`);
  }
}

/** A thread of a run. Its promises are rejected when it fails. */
export interface ThreadHandle {
  readonly reader: MeterReader;
  readonly ready: Promise<ThreadReady>;
  readonly ended: Promise<ThreadEnd>;
  /** Ends it, whether it has ended or not. */
  kill(): void;
}

/** Runs a thread's part in the thread that calls this. */
export function runHere(plan: Plan, scenario: Scenario | undefined, failed: Failed): ThreadHandle {
  const reader = new MeterReader();
  const ready = Promise.withResolvers<ThreadReady>();
  const host = { ready: ready.resolve, failed };
  const run = async (): Promise<ThreadEnd> => {
    const extras = await loadExtras(plan);
    return await new LoadThread(plan, 0, new Meter(reader.memory), scenario, extras, host).run();
  };
  const ended = run();
  ended.catch(ready.reject);
  return { reader, ready: ready.promise, ended, kill: () => undefined };
}

/** The script of the Workers. A bundle has no file of this name: there it is the module itself. */
function workerScript(): URL | undefined {
  const extension = /^threads(\.[jt]s)$/.exec(import.meta.file)?.[1];
  if (extension === undefined) return undefined;
  const path = join(import.meta.dir, `worker${extension}`);
  return existsSync(path) ? Bun.pathToFileURL(path) : undefined;
}

/** In a bundle the module that imports all this: that of the scenario, or the main one. */
function bundledScript(source: ScenarioSource): URL {
  return source.kind === "none" ? Bun.pathToFileURL(Bun.main) : new URL(source.module);
}

/** Starts a Worker for a thread's part. */
export function startWorker(
  plan: Plan,
  thread: number,
  source: ScenarioSource,
  failed: Failed,
): ThreadHandle {
  const reader = new MeterReader();
  const ready = Promise.withResolvers<ThreadReady>();
  const ended = Promise.withResolvers<ThreadEnd>();
  // One who waits for `ready` hears of a failure there.
  ended.promise.catch(() => undefined);
  const fail = (error: unknown): void => {
    ready.reject(error);
    ended.reject(error);
  };
  const threads = workerThreads();
  const { port1, port2 } = new threads.MessageChannel();
  const script = workerScript() ?? bundledScript(source);
  const given: LoadAssignment = {
    ...{ plan, thread, memory: reader.memory, port: port2, source, isTaken: false },
  };
  const worker: Worker = new threads.Worker(script, {
    workerData: { [assignmentKey]: given },
    // The main module may look at its arguments before it calls `load`.
    argv: process.argv.slice(2),
    transferList: [port2],
  });
  port1.on("message", (message: ThreadMessage) => {
    if (message.kind === "ready") ready.resolve(message.ready);
    else if (message.kind === "failure") failed(message.outcome, message.example);
    else if (message.kind === "end") ended.resolve(message.end);
    else fail(errorOf(message.error));
  });
  worker.on("error", fail);
  worker.on("exit", (code: number) => fail(new EndedError(thread, code)));
  let isKilled = false;
  const kill = (): void => {
    if (isKilled) return;
    isKilled = true;
    port1.close();
    void worker.terminate();
  };
  return { reader, ready: ready.promise, ended: ended.promise, kill };
}
