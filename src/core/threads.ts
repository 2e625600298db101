/** `node:worker_threads`, loaded on first use: loading it takes longer than loading all of plait. */

export function workerThreads(): typeof import("node:worker_threads") {
  return process.getBuiltinModule("node:worker_threads");
}
