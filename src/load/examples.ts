/** The first failure of a kind, as the report shows it. */

import { isInstance, propertyOf, textOf } from "../values/foreign_values.ts";
import type { FailureExample } from "./report.ts";

/** A longer message is cut off. */
const mostLength = 500;

/** What an error, or a message, says. */
export function exampleOf(error: unknown, at: number, iteration: number): FailureExample {
  const isObject = typeof error === "object" && error !== null;
  const text = (name: string): string | undefined => {
    const value = isObject ? propertyOf(error, name) : undefined;
    return typeof value === "string" ? value.slice(0, mostLength) : undefined;
  };
  const message = isInstance(error, Error) ? text("message") : undefined;
  return {
    message: message ?? textOf(error).slice(0, mostLength),
    code: text("code"),
    phase: text("syscall"),
    at,
    iteration,
  };
}
