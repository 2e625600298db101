/** The arguments of `connect` and `listen`, in all of their forms. */

import { isIP } from "node:net";
import { checkPath } from "../net/connect.ts";
import { nodeError, outOfRange, systemError, wrongType } from "./errors.ts";

/** The options and the callback that a list of arguments stands for. */
export interface Arguments {
  readonly options: Record<string, unknown>;
  readonly callback: (() => void) | undefined;
}

function isNumber(value: unknown): boolean {
  return Number(value) >= 0;
}

/** Text that is not a number is the path of a Unix socket. */
export function isPath(value: unknown): value is string {
  return typeof value === "string" && !isNumber(value);
}

/** Reads (options), (path), (port) and (port, host), each with a callback at the end. */
export function readArguments(given: readonly unknown[]): Arguments {
  const [first, second] = given;
  const last = given.at(-1);
  const callback = typeof last === "function" ? (last as () => void) : undefined;
  if (given.length === 0 || typeof first === "function") return { options: {}, callback };
  if (typeof first === "object" && first !== null) {
    return { options: first as Record<string, unknown>, callback };
  }
  if (isPath(first)) return { options: { path: first }, callback };
  const options: Record<string, unknown> = { port: first };
  if (typeof second === "string") options.host = second;
  return { options, callback };
}

/** The backlog in (port, host, backlog) or (port, backlog). */
export function backlogOf(given: readonly unknown[]): number | undefined {
  for (const value of given.slice(1, 3)) {
    if (value !== null && typeof value !== "function" && isNumber(value) && Number(value) > 0)
      return Number(value);
  }
  return undefined;
}

export function checkedPort(port: unknown, name: string, mayBeZero = true): number {
  const isText = typeof port === "string";
  if (typeof port !== "number" && !isText) throw wrongType(name, "of type number or string", port);
  const number = Number(port);
  const isPort = Number.isInteger(number) && number >= (mayBeZero ? 0 : 1) && number <= 65_535;
  if (!isPort || (isText && port.trim() === "")) {
    const shown = isText ? `'${port}'` : String(port);
    const text = `${name} should be ${mayBeZero ? ">=" : ">"} 0 and < 65536. Received type ${typeof port} (${shown}).`;
    throw nodeError("ERR_SOCKET_BAD_PORT", text, RangeError);
  }
  return number;
}

/** A path that a Unix socket can have. The system would refuse any other one. */
export function checkedPath(path: string, syscall: string): string {
  try {
    return checkPath(path);
  } catch {
    throw systemError("EINVAL", syscall, { address: path });
  }
}

export function checkCallback(value: unknown, name: string): asserts value is () => void {
  if (typeof value !== "function") throw wrongType(name, "of type function", value);
}

/** A duration in milliseconds, of at most 2^31 - 1. */
export function checkedDuration(value: unknown, name: string): number {
  if (typeof value !== "number") throw wrongType(name, "of type number", value);
  if (!(value >= 0) || value === Number.POSITIVE_INFINITY) {
    throw outOfRange(name, "a non-negative finite number", value);
  }
  return Math.min(value, 0x7fff_ffff);
}

/** Node's name of the family of an address. */
export function familyName(address: string | undefined): "IPv4" | "IPv6" | undefined {
  const version = address === undefined ? 0 : isIP(address);
  if (version === 0) return undefined;
  return version === 6 ? "IPv6" : "IPv4";
}
