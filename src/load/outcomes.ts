/** How iterations and requests end: `ok`, or a kind of failure. */

import { BadAnswerError } from "../http/bad_answer.ts";
import { BadContentError } from "../http/decoding.ts";
import { RedirectError } from "../http/redirects.ts";
import { TlsError } from "../tls/errors.ts";
import {
  MessageTooLongError,
  SocketError,
  TimeoutError,
  UnexpectedEndError,
} from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import {
  WebSocketClosedError,
  WebSocketError,
  WebSocketRefusedError,
} from "../websocket/errors.ts";
import { DataExhaustedError } from "./data/feeder.ts";
import type { Outcome } from "./report.ts";

export const ok = "ok";
/** The scenario has failed a check. */
export const checkFailed = "check failed";
/** The scenario has thrown what is no error of a connection. */
export const scenarioFailed = "scenario error";
/** A feeder has no more rows: the run ends. */
export const dataExhausted = "data exhausted";
/**
 * A connection that was kept open has ended after a request was sent on it, and before the first byte of an
 * answer. The server may have closed it before the request came. The request is not sent again.
 */
export const keptConnectionClosed = "kept connection closed";
/** This machine lacks descriptors or ports: the fault is the generator's. */
export const generatorShort = "generator out of";

/** A connection that was kept open has ended before the first byte of an answer. */
export class KeptConnectionClosedError extends SocketError {
  override readonly name = "KeptConnectionClosedError";

  constructor(cause: unknown) {
    super("ERR_KEPT_CONNECTION_CLOSED", {
      syscall: "read",
      reason: "the server closed the kept connection before it answered",
      cause,
    });
  }
}

const connecting: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect refused",
  EHOSTUNREACH: "connect unreachable",
  ENETUNREACH: "connect unreachable",
  ETIMEDOUT: "connect timeout",
  ENOTFOUND: "name not found",
  ENOENT: "connect refused",
  EAGAIN: "connect refused",
};

const shortages: Readonly<Record<string, string>> = {
  EMFILE: `${generatorShort} descriptors`,
  ENFILE: `${generatorShort} descriptors`,
  ERR_LIMIT_REACHED: `${generatorShort} descriptors`,
  EADDRNOTAVAIL: `${generatorShort} ports`,
  ENOBUFS: `${generatorShort} memory`,
  ENOMEM: `${generatorShort} memory`,
};

/** Every kind of failure; `tls`, `connect` and `socket` with a code that is no kind of its own. */
export const failureKinds: readonly string[] = [
  ...new Set(Object.values(connecting)),
  ...["connect", "tls", "reset", "early close", keptConnectionClosed, "bad http", "timeout"],
  ...[
    "answer too long",
    "bad content",
    "bad redirect",
    "bad websocket",
    "websocket refused",
    "websocket closed",
    "socket",
  ],
  ...["status 1xx", "status 2xx", "status 3xx", "status 4xx", "status 5xx"],
  ...[checkFailed, scenarioFailed, dataExhausted],
  ...new Set(Object.values(shortages)),
];

/** The outcome of an iteration or a request that an error has ended. */
export function outcomeOf(error: unknown): Outcome {
  if (isInstance(error, TimeoutError)) {
    return isConnecting(error.syscall) ? "connect timeout" : "timeout";
  }
  if (isInstance(error, DataExhaustedError)) return dataExhausted;
  if (!isInstance(error, SocketError)) return scenarioFailed;
  const { code, syscall } = error;
  if (isInstance(error, WebSocketError)) return "bad websocket";
  if (isInstance(error, WebSocketRefusedError)) return "websocket refused";
  if (isInstance(error, WebSocketClosedError)) return "websocket closed";
  if (isInstance(error, KeptConnectionClosedError)) return keptConnectionClosed;
  if (isInstance(error, BadAnswerError)) return "bad http";
  if (isInstance(error, BadContentError)) return "bad content";
  if (isInstance(error, RedirectError)) return "bad redirect";
  if (isInstance(error, UnexpectedEndError)) return "early close";
  if (isInstance(error, MessageTooLongError)) return "answer too long";
  if (isInstance(error, TlsError)) {
    const isTruncated = code === "ERR_TLS_TRUNCATED" && syscall !== "handshake";
    return isTruncated ? "early close" : `tls ${code}`;
  }
  const shortage = shortages[code];
  if (shortage !== undefined) return shortage;
  if (isConnecting(syscall)) return connecting[code] ?? `connect ${code}`;
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ECONNABORTED") return "reset";
  return `socket ${code}`;
}

function isConnecting(syscall: string | undefined): boolean {
  return syscall === "connect" || syscall === "handshake" || syscall === "getaddrinfo";
}

const classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/** The outcome of a request whose status is not one that was expected. */
export function statusOutcome(status: number): Outcome {
  return `status ${classes[Math.floor(status / 100) - 1] ?? status}`;
}
