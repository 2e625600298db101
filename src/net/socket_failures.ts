/** The errors of calls of a socket. */

import { core } from "../core/native.ts";
import { cancellation } from "../runtime/wait.ts";
import { failureOf } from "../tls/errors.ts";
import { type ErrorDetails, SocketError, TimeoutError } from "../values/errors.ts";
import type { Stream } from "./stream.ts";

/** The checks of every call before it does anything. */
export function checkSocket(
  socket: Stream,
  syscall: string,
  deadline: number,
  bytesWritten?: number,
): void {
  if (socket.closed) {
    throw new SocketError("ERR_SOCKET_CLOSED", callDetails(socket, syscall, bytesWritten));
  }
  const cancelled = cancellation(syscall);
  if (cancelled) throw cancelled;
  if (deadline !== 0 && deadline <= core.now()) {
    throw new TimeoutError(callDetails(socket, syscall, bytesWritten));
  }
}

/** The error of a status of the core. */
export function socketFailure(
  socket: Stream,
  status: number,
  syscall: string,
  bytesWritten?: number,
): SocketError {
  return failureOf(socket.handle, status, callDetails(socket, syscall, bytesWritten));
}

/** The details of an error: the call and the peer. */
export function callDetails(socket: Stream, syscall: string, bytesWritten?: number): ErrorDetails {
  const { remoteAddress: address, remotePort: port } = socket;
  return { syscall, bytesWritten, address, port };
}
