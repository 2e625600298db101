/** The asynchronous contexts in which listeners run. */

import { AsyncLocalStorage } from "node:async_hooks";
import { running } from "../runtime/wait.ts";

/** Runs a function in an asynchronous context. */
export type Context = <Parameters extends unknown[], Result>(
  call: (...args: Parameters) => Result,
  ...args: Parameters
) => Result;

/** The asynchronous context of the caller, without its fiber. */
export function currentContext(): Context {
  return outsideOfFibers(AsyncLocalStorage.snapshot) as Context;
}

/** Calls a function outside of the fiber that runs, if there is one. */
export function outsideOfFibers<Result>(call: () => Result): Result {
  return running.getStore() === undefined ? call() : running.exit(call);
}
