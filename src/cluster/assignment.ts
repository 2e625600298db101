/** The assignment of a thread that is a worker of a cluster. */

import { workerThreads } from "../core/threads.ts";
import type { Assignment } from "./messages.ts";

/** The name in `workerData` under which a worker finds its assignment. */
export const assignmentKey = "plaitCluster";

/** Undefined in other threads. */
export const assignment: Assignment | undefined = foundAssignment();

function foundAssignment(): Assignment | undefined {
  if (Bun.isMainThread) return undefined;
  const { workerData } = workerThreads();
  if (typeof workerData !== "object" || workerData === null) return undefined;
  if (!Object.hasOwn(workerData, assignmentKey)) return undefined;
  return (workerData as { [assignmentKey]: Assignment })[assignmentKey];
}
