/** Reads and writes that block the thread. */

import { Direction, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { takeTlsNotices } from "../tls/notices.ts";
import { typeMistake } from "../values/checks.ts";
import { checkedDeadline, type Deadline, hasPassed, never } from "../values/deadlines.ts";
import { TimeoutError } from "../values/errors.ts";
import { byteLengthOf, isDetached } from "../values/views.ts";
import { bytesOf, emptyBuffer, viewOf } from "./buffers.ts";
import { callDetails, checkSocket, socketFailure } from "./socket_failures.ts";
import type { Stream } from "./stream.ts";

const encoder = new TextEncoder();

export function readBlocking(socket: Stream, buffer: ArrayBufferView, deadline?: number): number {
  const bytes = viewOf(buffer, "read");
  const length = byteLengthOf(bytes);
  if (length === 0) throw emptyBuffer(bytes);
  const until = checkedDeadline(deadline);
  checkSocket(socket, "read", until);
  if (socket.isReading) throw socketFailure(socket, Status.EALREADY, "read");
  for (;;) {
    const count = core.receive(socket.handle, bytes, length);
    if (count >= 0) {
      socket.received(count);
      takeTlsNotices();
      return count;
    }
    if (-count !== Status.wouldBlock) throw socketFailure(socket, -count, "read");
    if (hasPassed(until)) throw new TimeoutError(callDetails(socket, "read"));
    blockThread(socket, Direction.readable, until, "read");
  }
}

export function writeBlocking(
  socket: Stream,
  data: string | ArrayBufferView | ArrayBufferLike,
  deadline?: number,
): number {
  const bytes = typeof data === "string" ? encoder.encode(data) : bytesOf(data);
  const length = byteLengthOf(bytes);
  if (length === 0 && isDetached(bytes)) throw typeMistake("write: the buffer is detached");
  const until = checkedDeadline(deadline);
  checkSocket(socket, "write", until, 0);
  if (socket.isWriting) throw socketFailure(socket, Status.EALREADY, "write", 0);
  let taken = 0;
  let isBegun = false;
  try {
    while (taken < length) {
      const count = core.send(socket.handle, bytes, taken, length - taken);
      if (count > 0) taken += socket.sent(count);
      if (count >= 0) isBegun = true;
      else if (-count !== Status.wouldBlock) throw socketFailure(socket, -count, "write", taken);
      if (taken === length) break;
      if (hasPassed(until)) throw new TimeoutError(callDetails(socket, "write", taken));
      // Over TLS, 0 means that the write has begun, but no whole record was sent.
      if (count <= 0) blockThread(socket, Direction.writable, until, "write", taken);
    }
    return taken;
  } catch (error) {
    if (isBegun) core.breakOff(socket.handle);
    throw error;
  }
}

function blockThread(
  socket: Stream,
  direction: number,
  until: Deadline,
  syscall: string,
  bytesWritten?: number,
): void {
  const left = until === never ? -1 : Math.max(Math.ceil(until - core.now()), 0);
  const outcome = core.waitBlocking(socket.handle, direction, Math.min(left, 0x7fff_ffff));
  if (outcome < 0) throw socketFailure(socket, -outcome, syscall, bytesWritten);
}
