/** How a stream reports the end of its connection, and of each side of it. */

import { Duplex } from "node:stream";
import { nodeError } from "./errors.ts";
import type { Callback } from "./sender.ts";

/** The peer has ended its side. */
export function end(stream: Duplex): void {
  stream.push(null);
  // Notices the end of a stream that has no reader.
  stream.read(0);
}

/** The end of a stream that had no connection. */
export function emitClose(stream: Duplex): void {
  stream.emit("close");
}

/** The end of a connection, or of an attempt. `unsent` is the callback of a write that has waited for it. */
export function emitClosed(stream: Duplex, hadError: boolean, unsent: Callback | undefined): void {
  try {
    stream.emit("close", hadError);
  } finally {
    unsent?.(closedBeforeConnection());
  }
}

/** As `write`, after the peer has ended a connection that is not to be half open. */
function writeAfterEnd(
  this: Duplex,
  chunk: unknown,
  encoding?: BufferEncoding | Callback,
  callback?: Callback,
): boolean {
  // Until this side has ended too, which happens in the next tick, data still leaves.
  if (!this.writableEnded)
    return Reflect.apply(Duplex.prototype.write, this, [chunk, encoding, callback]);
  const told = typeof encoding === "function" ? encoding : callback;
  const error = nodeError("EPIPE", "This socket has been ended by the other party");
  if (typeof told === "function") process.nextTick(told, error);
  this.destroy(error);
  return false;
}

/** A listener of `end`. */
export function peerHasEnded(this: Duplex): void {
  if (!this.allowHalfOpen) Object.assign(this, { write: writeAfterEnd });
}

function closedBeforeConnection(): Error {
  const text = "Socket closed before the connection was established";
  return nodeError("ERR_SOCKET_CLOSED_BEFORE_CONNECTION", text);
}
