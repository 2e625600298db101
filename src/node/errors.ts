/** Errors in Node's shape: its codes, its messages, `errno`, `syscall`, `address` and `port`. */

import { constants } from "node:os";
import { getSystemErrorMap, inspect } from "node:util";
import { TlsError } from "../tls/errors.ts";
import { CancelledError, SocketError, TimeoutError } from "../values/errors.ts";

/** What is known of the call that failed. */
interface Place {
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly hostname?: string | undefined;
}

/** Codes of getaddrinfo(3), with the numbers that libuv gives them. */
const lookUpNumbers: Readonly<Record<string, number>> = {
  ENOTFOUND: -3008,
  EAI_AGAIN: -3001,
  EAI_FAIL: -3004,
  EAI_MEMORY: -3006,
};

function numberOf(code: string): number | undefined {
  const number = (constants.errno as Readonly<Record<string, number>>)[code];
  return number === undefined ? lookUpNumbers[code] : -number;
}

/** An error of a system call. `meaning` is put behind the code, as Node does it for `listen`. */
export function systemError(
  code: string,
  syscall: string,
  place: Place = {},
  meaning = "",
): NodeJS.ErrnoException {
  const { address, port, hostname } = place;
  let text = `${syscall} ${code}${meaning === "" ? "" : `: ${meaning}`}`;
  if (hostname !== undefined) text += ` ${hostname}`;
  else if (address !== undefined) text += ` ${address}${port ? `:${port}` : ""}`;
  const error = new Error(text);
  const known = { errno: numberOf(code), code, syscall, address, port, hostname };
  for (const [name, value] of Object.entries(known)) {
    if (value !== undefined) Reflect.set(error, name, value);
  }
  return error;
}

/** The meaning of a code in the words of libuv. */
export function meaningOf(code: string): string {
  const number = numberOf(code);
  return (number === undefined ? undefined : getSystemErrorMap().get(number)?.[1]) ?? "";
}

/** An error of Node's own. */
export function nodeError(
  code: string,
  message: string,
  kind: ErrorConstructor = Error,
): NodeJS.ErrnoException {
  return Object.assign(new kind(message), { code });
}

/** Something that plait/net does not do. */
export function unsupported(what: string): NodeJS.ErrnoException {
  return nodeError("ERR_NOT_SUPPORTED", `plait/net: ${what} is not supported`);
}

/** An error of plait's as `read`, `write` and `shutdown` of Node report it. */
export function transferError(error: unknown, syscall: string): Error {
  if (error instanceof TlsError) return error;
  if (error instanceof SocketError) {
    if (error.code === "ERR_SOCKET_CLOSED") return socketClosed();
    if (numberOf(error.code) === undefined) return error;
    return systemError(error.code, syscall);
  }
  return error as Error;
}

/** The end of this machine, if `connect` was given both. */
export interface LocalEnd {
  readonly localAddress: string | undefined;
  readonly localPort: number;
}

/** An error of plait's as a connect of Node reports it. */
export function connectError(error: unknown, local?: LocalEnd): Error {
  if (error instanceof TlsError || error instanceof CancelledError) return error;
  if (!(error instanceof SocketError) && !(error instanceof TimeoutError)) return error as Error;
  const { code, syscall, address, port, cause } = error;
  if (syscall === "getaddrinfo") return systemError(code, syscall, { hostname: address });
  if (syscall !== "connect") return transferError(error, syscall ?? "connect");
  if (cause instanceof AggregateError) {
    const errors = cause.errors.map((each) => connectError(each, local));
    return Object.assign(new AggregateError(errors, ""), { code });
  }
  const failure = systemError(code, syscall, { address, port });
  if (!local?.localAddress || local.localPort === 0) return failure;
  const { localAddress, localPort } = local;
  failure.message += ` - Local (${localAddress}:${localPort})`;
  return Object.assign(failure, { localAddress, localPort });
}

export function socketClosed(): NodeJS.ErrnoException {
  return nodeError("ERR_SOCKET_CLOSED", "Socket is closed");
}

/** Throws an error where no caller can catch it, as an exception of a listener. */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** Calls a callback of a stream. What the program's code throws in it is uncaught. */
export function callBack(callback: (error?: Error | null) => void, error?: Error | null): void {
  try {
    callback(error);
  } catch (thrown) {
    throwUncaught(thrown);
  }
}

/** A value as Node's messages show what was received. */
function received(value: unknown): string {
  if (value === null || value === undefined) return ` Received ${value}`;
  if (typeof value === "function") return ` Received function ${value.name}`;
  if (typeof value === "object") {
    const name = value.constructor?.name;
    return name ? ` Received an instance of ${name}` : ` Received ${inspect(value, { depth: -1 })}`;
  }
  const shown = typeof value === "string" ? `'${value}'` : String(value);
  return ` Received type ${typeof value} (${shown})`;
}

function argument(name: string): string {
  return name.includes(".") ? `"${name}" property` : `"${name}" argument`;
}

/** An argument of the wrong type. `expected` is such as "of type string". */
export function wrongType(name: string, expected: string, value: unknown): NodeJS.ErrnoException {
  const text = `The ${argument(name)} must be ${expected}.${received(value)}`;
  return nodeError("ERR_INVALID_ARG_TYPE", text, TypeError);
}

export function wrongValue(name: string, value: unknown, reason: string): NodeJS.ErrnoException {
  const kind = name.includes(".") ? "property" : "argument";
  const text = `The ${kind} '${name}' ${reason}. Received ${inspect(value, { breakLength: Number.POSITIVE_INFINITY })}`;
  return nodeError("ERR_INVALID_ARG_VALUE", text, TypeError);
}

export function outOfRange(name: string, range: string, value: unknown): NodeJS.ErrnoException {
  const text = `The value of "${name}" is out of range. It must be ${range}. Received ${String(value)}`;
  return nodeError("ERR_OUT_OF_RANGE", text, RangeError);
}
