/** Errors on their way from a worker to the main thread. */

import { expect, test } from "bun:test";
import { SocketError } from "../../index.ts";
import { errorOf, reportOf } from "../../src/process/error_reports.ts";

/** What the main thread gets of an error in a worker. */
const arrived = (error: unknown): unknown => errorOf(structuredClone(reportOf(error)));

test("an error arrives with its class, its stack and its details", () => {
  const error = new SocketError("EPIPE", { syscall: "write", bytesWritten: 7 });
  const copy = arrived(error) as SocketError;
  expect(copy).toBeInstanceOf(SocketError);
  expect(copy.stack).toBe(error.stack!);
  expect(String(copy)).toBe(String(error));
  expect(copy).toMatchObject({ code: "EPIPE", syscall: "write", bytesWritten: 7 });
});

test("an error of the program's own class arrives as an error with its name", () => {
  class Refusal extends RangeError {
    override readonly name = "Refusal";
    readonly seat = 7;
  }
  const copy = arrived(new Refusal("no")) as Refusal;
  expect(copy).toBeInstanceOf(Error);
  expect([String(copy), copy.seat]).toEqual(["Refusal: no", 7]);
});

test("errors that lead back to each other arrive, cut to a bounded depth", () => {
  const inner = new TypeError("inner");
  const outer = new AggregateError([inner, "text", inner], "outer", { cause: inner });
  inner.cause = outer;
  const copy = arrived(outer) as AggregateError;
  expect(copy).toBeInstanceOf(AggregateError);
  expect(copy.cause).toBeInstanceOf(TypeError);
  expect(copy.errors.map(String)).toEqual([String(inner), "text", String(inner)]);
});

test("a value that is not an error arrives as a clone, or else as text", () => {
  expect(arrived({ code: 7 })).toEqual({ code: 7 });
  expect(arrived(undefined)).toBeUndefined();
  expect(arrived(Symbol("why"))).toBe("Symbol(why)");
});

test("the message and the stack of an error arrive as text, also when they are something else", () => {
  const error = Object.assign(new Error(), { message: { a: 1 }, stack: [new Error("inner")] });
  const { message, stack } = arrived(error) as Error;
  expect([message, stack]).toEqual(["[object Object]", "Error: inner"]);
});
