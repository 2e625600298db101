/** Calling with mistakes. */

import { expect } from "bun:test";
import { type Failure, failureOf } from "./failure.ts";

export type MistakeKind = typeof TypeError | typeof RangeError;

/** The mistake that a call rejects with; it must not throw by itself. */
export async function mistakeIn(call: () => Promise<unknown>): Promise<Failure> {
  let promise: Promise<unknown>;
  try {
    promise = call();
  } catch (error) {
    throw new Error(`it threw instead of rejecting: ${String(error)}`);
  }
  return await failureOf(promise);
}

/** Checks that an error is a mistake of the caller's, and says what about. */
export function expectMistake(error: Failure, kind: MistakeKind, about: RegExp): void {
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toMatch(about);
}
