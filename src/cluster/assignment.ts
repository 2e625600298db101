/** The assignment of a thread that is a worker of a cluster. */

import { givenToWorker } from "../core/threads.ts";
import type { Assignment } from "./messages.ts";

/** The name in `workerData` under which a worker finds its assignment. */
export const assignmentKey = "plaitCluster";

/** Undefined in other threads. */
export const assignment = givenToWorker(assignmentKey) as Assignment | undefined;
