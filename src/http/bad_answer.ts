/** The error of an answer that is not HTTP/1.1. */

import { SocketError } from "../values/errors.ts";

/** The server's answer is not what RFC 9112 allows. The connection cannot be used any more. */
export class BadAnswerError extends SocketError {
  override readonly name = "BadAnswerError";
  /** What is wrong with it, in words. */
  readonly reason: string;

  constructor(reason: string) {
    super("ERR_HTTP_BAD_ANSWER", { syscall: "read", reason });
    this.reason = reason;
  }
}
