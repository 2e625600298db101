/** The module of worker threads, loaded when it is needed: that takes longer than all of plait. */

export function workerThreads(): typeof import("node:worker_threads") {
  return process.getBuiltinModule("node:worker_threads");
}
