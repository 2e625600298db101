/** The asynchronous contexts in which listeners run. */

import { AsyncLocalStorage } from "node:async_hooks";
import { outsideOfFibers } from "../runtime/wait.ts";

/** Runs a function in an asynchronous context. */
export type Context = <Parameters extends unknown[], Result>(
  call: (...args: Parameters) => Result,
  ...args: Parameters
) => Result;

/** The asynchronous context of the caller, without its fiber. */
export function currentContext(): Context {
  return outsideOfFibers(AsyncLocalStorage.snapshot) as Context;
}
