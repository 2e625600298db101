/** The errors that calls fail with, and the core's status codes as their codes. */

import { Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { isInstance, propertyOf } from "./foreign_values.ts";

/** What an error says about the call that failed, as far as it applies. */
export interface ErrorDetails {
  /** The system call, or the step, that failed. */
  syscall?: string | undefined;
  /** The address of the peer, or the one to listen at. */
  address?: string | undefined;
  port?: number | undefined;
  /** Bytes of the write that the kernel had taken before it failed. */
  bytesWritten?: number | undefined;
  /** The reason in words; the meaning of the code if not given. */
  reason?: string | undefined;
  cause?: unknown;
}

/** One of the details. What `Object.prototype` has under that name does not count. */
export function detail<Name extends keyof ErrorDetails>(
  details: ErrorDetails,
  name: Name,
): ErrorDetails[Name] {
  return Object.hasOwn(details, name) ? details[name] : undefined;
}

/** The call that failed, as far as it applies. */
abstract class CallError extends Error {
  readonly code: string;
  readonly syscall: string | undefined;
  readonly address: string | undefined;
  readonly port: number | undefined;
  readonly bytesWritten: number | undefined;

  constructor(code: string, details: ErrorDetails = {}) {
    super(describe(code, details), { cause: detail(details, "cause") });
    this.code = code;
    this.syscall = detail(details, "syscall");
    this.address = detail(details, "address");
    this.port = detail(details, "port");
    this.bytesWritten = detail(details, "bytesWritten");
  }
}

/** A socket operation failed. `code` has Node's name for the reason, such as `ECONNREFUSED`. */
export class SocketError extends CallError {
  override readonly name: string = "SocketError";
}

/** A deadline has passed. */
export class TimeoutError extends CallError {
  override readonly name = "TimeoutError";
  declare readonly code: "ETIMEDOUT";

  constructor(details: ErrorDetails = {}) {
    const reason = detail(details, "reason") ?? "the deadline has passed";
    super("ETIMEDOUT", { ...details, reason });
  }
}

/** The fiber was cancelled, or the operation's signal was aborted; `cause` is the reason given. */
export class CancelledError extends CallError {
  override readonly name = "CancelledError";
  declare readonly code: "ECANCELED";

  constructor(reason?: unknown, details: ErrorDetails = {}) {
    super("ECANCELED", { ...details, reason: cancelledBecause(reason), cause: reason });
  }
}

/** The words of a reason, for the message, if it has some. */
function cancelledBecause(reason: unknown): string | undefined {
  const words = isInstance(reason, Error) ? propertyOf(reason, "message") : reason;
  return typeof words === "string" && words !== "" ? `cancelled: ${words}` : undefined;
}

/** An item cannot be sent: the channel is closed. */
export class ChannelClosedError extends Error {
  override readonly name = "ChannelClosedError";
  readonly code = "ERR_CHANNEL_CLOSED";
  /** The call that failed. */
  readonly syscall: string;

  constructor(syscall: string) {
    super(describe("ERR_CHANNEL_CLOSED", { syscall }));
    this.syscall = syscall;
  }
}

/** The stream ended within a unit, such as a line, that a `BufferedReader` was to return. */
export class UnexpectedEndError extends SocketError {
  override readonly name = "UnexpectedEndError";
  /** The bytes of the unit that have come. */
  readonly partial: Uint8Array<ArrayBuffer>;

  constructor(syscall: string, partial: Uint8Array<ArrayBuffer>) {
    super("ERR_UNEXPECTED_END", {
      syscall,
      reason: `the stream ended within a unit, after ${partial.length} bytes of it`,
    });
    this.partial = partial;
  }
}

/** A unit, such as a line, is longer than a `BufferedReader` may return. */
export class MessageTooLongError extends SocketError {
  override readonly name = "MessageTooLongError";
  /** The limit in bytes. */
  readonly maxLength: number;

  constructor(syscall: string, maxLength: number) {
    super("EMSGSIZE", { syscall, reason: `longer than ${maxLength} bytes` });
    this.maxLength = maxLength;
  }
}

/** The way of a `pipe` from its first socket to its second one, or the other way. */
export type PipeWay = "forth" | "back";

/** One way of a `pipe` has failed. `code`, `address` and `port` are those of its `cause`. */
export class PipeError extends SocketError {
  override readonly name = "PipeError";
  /** The way that has failed. */
  readonly way: PipeWay;
  /** Bytes from the first socket that the kernel has taken for the second one. */
  readonly forth: number;
  /** The same for the other way. */
  readonly back: number;
  /** The error of the read, the write or the shutdown. */
  declare readonly cause: SocketError;

  constructor(way: PipeWay, forth: number, back: number, cause: SocketError) {
    const { code, address, port, message } = cause;
    super(code, {
      syscall: "pipe",
      address,
      port,
      reason: `${way}, after ${forth} bytes forth and ${back} back: ${message}`,
      cause,
    });
    this.way = way;
    this.forth = forth;
    this.back = back;
  }
}

function describe(code: string, details: ErrorDetails): string {
  const address = detail(details, "address");
  const bytesWritten = detail(details, "bytesWritten");
  let text = `${detail(details, "syscall") ?? "wait"} ${code}`;
  const meaning = detail(details, "reason") ?? meanings.get(code);
  if (meaning) text += ` (${meaning})`;
  if (address !== undefined && address !== "")
    text += ` ${endpoint(address, detail(details, "port"))}`;
  if (bytesWritten !== undefined) text += `, after ${bytesWritten} bytes`;
  return text;
}

const meanings: ReadonlyMap<string, string> = new Map([
  ["EADDRINUSE", "the address is in use"],
  ["EBADF", "no such descriptor, or it is closed"],
  ["ECANCELED", "cancelled"],
  ["ECONNREFUSED", "nothing listens there"],
  ["ECONNRESET", "reset by the peer"],
  ["EMFILE", "no descriptors are left"],
  ["ENOTFOUND", "no such host"],
  ["EPIPE", "the connection is closed for writing"],
  ["ERR_CHANNEL_CLOSED", "the channel is closed"],
  ["ERR_SOCKET_CLOSED", "the socket is closed"],
  ["ETIMEDOUT", "the peer does not answer"],
]);

/** `host:port` as it is usually written: an IPv6 address in brackets, a path alone. */
export function endpoint(address: string, port: number | undefined): string {
  const shown = address.startsWith("\0") ? `@${address.slice(1)}` : address;
  if (port === undefined) return shown;
  return shown.includes(":") ? `[${shown}]:${port}` : `${shown}:${port}`;
}

const namesByStatus: string[] = [];
for (const [name, status] of Object.entries(Status)) namesByStatus[status] = name;

/** Node's code for a status of the core that means failure. */
export function codeOf(status: number): string {
  switch (status) {
    case Status.closed:
    case Status.staleHandle:
      return "ERR_SOCKET_CLOSED";
    case Status.exhausted:
      return "ERR_LIMIT_REACHED";
    case Status.badAddress:
      return "EINVAL";
    case Status.timedOut:
      return "ETIMEDOUT";
    case Status.cancelled:
      return "ECANCELED";
    case Status.other:
      return `errno ${core.lastErrno()}`;
    default:
      return namesByStatus[status] ?? `status ${status}`;
  }
}
