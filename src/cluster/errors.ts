/** The error for a worker of a cluster that has died. */

import { textOf } from "../values/foreign_values.ts";

/** A worker has died. `cause` is the exception that ended it, if there was one. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  /** The number of the worker, from 1 on. */
  readonly worker: number;
  /** The exit code of the worker. */
  readonly exitCode: number;

  /** @internal */
  constructor(
    worker: number,
    exitCode: number,
    failure: { error: unknown } | undefined,
    place = "",
  ) {
    const how = failure === undefined ? `ended with exit code ${exitCode}` : "died";
    const why = failure === undefined ? "" : `: ${textOf(failure.error)}`;
    super(`worker ${worker} has ${how} ${place}`.trimEnd() + why, { cause: failure?.error });
    this.worker = worker;
    this.exitCode = exitCode;
  }
}
