/** The assignment of a Worker that is a thread of a run. */

import type { MessagePort } from "node:worker_threads";
import { givenToWorker } from "../core/threads.ts";
import type { Scenario } from "./context.ts";
import type { Plan } from "./plan.ts";

export interface LoadAssignment {
  readonly plan: Plan;
  /** From 0 on. */
  readonly thread: number;
  readonly memory: SharedArrayBuffer;
  readonly port: MessagePort;
  /** Where the scenario comes from: the default export of a module, a call of `load` by the main module, or nowhere. */
  readonly source: ScenarioSource;
  /** Set by the first instance of plait in the thread that finds the assignment. */
  isTaken: boolean;
}

export type ScenarioSource =
  | { readonly kind: "none" }
  | { readonly kind: "module"; readonly module: string }
  /** The main module is run again, and this call of `load`, from 1 on, hands over its function. */
  | { readonly kind: "call"; readonly module: string; readonly call: number };

/** The name in `workerData` under which a thread finds its assignment. */
export const assignmentKey = "plaitLoad";

/** Undefined in other threads. */
export const assignment = givenToWorker(assignmentKey) as LoadAssignment | undefined;

/** Calls of `load` in this thread so far. */
let calls = 0;

export function nextCall(): number {
  return ++calls;
}

const handed = Promise.withResolvers<Scenario>();

/** The function that the main module hands over in a Worker. */
export const handedScenario: Promise<Scenario> = handed.promise;

export function handOver(scenario: Scenario): void {
  handed.resolve(scenario);
}
