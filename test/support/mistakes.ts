/** Calls with wrong arguments. */

import { expect } from "bun:test";
import { type Failure, failureOf } from "./failure.ts";

export type MistakeKind = typeof TypeError | typeof RangeError;

/** The error that a call rejects with. The call must not throw synchronously. */
export async function mistakeIn(call: () => Promise<unknown>): Promise<Failure> {
  let promise: Promise<unknown>;
  try {
    promise = call();
  } catch (error) {
    throw new Error(`it threw instead of rejecting: ${String(error)}`);
  }
  return await failureOf(promise);
}

/** Checks that an error is that of a caller's mistake, and what it is about. */
export function expectMistake(error: Failure, kind: MistakeKind, about: RegExp): void {
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toMatch(about);
}
