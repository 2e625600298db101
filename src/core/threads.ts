/** `node:worker_threads`, loaded on first use: loading it takes longer than loading all of plait. */

export function workerThreads(): typeof import("node:worker_threads") {
  return process.getBuiltinModule("node:worker_threads");
}

/** What the thread that has started this Worker has given it under a name; undefined in other threads. */
export function givenToWorker(name: string): unknown {
  if (Bun.isMainThread) return undefined;
  const { workerData } = workerThreads();
  if (typeof workerData !== "object" || workerData === null) return undefined;
  return Object.hasOwn(workerData, name)
    ? (workerData as Record<string, unknown>)[name]
    : undefined;
}
