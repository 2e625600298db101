/** The errors of WebSocket connections. */

import type { Answer } from "../http/answer.ts";
import { SocketError } from "../values/errors.ts";

/**
 * The server has broken the protocol, or has sent a message that is too long. The connection has failed (RFC
 * 6455, section 7.1.7): the server is sent `closeCode`, and then the socket is closed.
 */
export class WebSocketError extends SocketError {
  override readonly name = "WebSocketError";
  /** The close code that the server is sent: 1002, 1007 or 1009 (RFC 6455, section 7.4.1). */
  readonly closeCode: number;
  /** What is wrong, in words. */
  readonly reason: string;

  constructor(closeCode: number, reason: string) {
    super("ERR_WEBSOCKET_PROTOCOL", { syscall: "read", reason: `${reason}: ${closeCode}` });
    this.closeCode = closeCode;
    this.reason = reason;
  }
}

/** The server has answered the opening handshake with another status than 101. The socket is closed. */
export class WebSocketRefusedError extends SocketError {
  override readonly name = "WebSocketRefusedError";
  /** The status of the answer. */
  readonly status: number;
  /** The answer, with its fields and without its body. */
  readonly answer: Answer;

  constructor(answer: Answer) {
    super("ERR_WEBSOCKET_REFUSED", {
      syscall: "handshake",
      reason: `the server answers with the status ${answer.status}, not 101`,
    });
    this.status = answer.status;
    this.answer = answer;
  }
}

/** A message or a ping cannot be sent: one of the two sides has closed. */
export class WebSocketClosedError extends SocketError {
  override readonly name = "WebSocketClosedError";
  /** The close code of the server; undefined if it has sent none. */
  readonly closeCode: number | undefined;
  /** The reason that the server gave; empty without one. */
  readonly closeReason: string;

  constructor(syscall: string, closeCode: number | undefined, closeReason: string) {
    const code = closeCode === undefined ? "" : `: ${closeCode} ${closeReason}`.trimEnd();
    super("ERR_WEBSOCKET_CLOSED", { syscall, reason: `the WebSocket is closed${code}` });
    this.closeCode = closeCode;
    this.closeReason = closeReason;
  }
}
