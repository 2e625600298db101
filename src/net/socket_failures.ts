/** The errors of calls of a socket. */

import { Status } from "../core/abi.ts";
import { refusalStatus, statusError } from "../runtime/wait.ts";
import { failureOf } from "../tls/errors.ts";
import type { Deadline } from "../values/deadlines.ts";
import type { ErrorDetails, SocketError } from "../values/errors.ts";
import type { Stream } from "./stream.ts";

/** The checks of every call before it does anything. */
export function checkSocket(
  socket: Stream,
  syscall: string,
  deadline: Deadline,
  bytesWritten?: number,
): void {
  const status = refusalStatus(deadline, socket.closed);
  if (status !== Status.ok) throw statusError(status, callDetails(socket, syscall, bytesWritten));
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
