/** Reads and writes that block the thread. */

import { Direction, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { failureOf } from "../tls/errors.ts";
import { takeTlsNotices } from "../tls/notices.ts";
import { checkedDeadline, type Deadline, hasPassed, never } from "../values/deadlines.ts";
import { TimeoutError } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import { emptyBuffer, viewOf, type WriteData } from "./buffers.ts";
import { blocked, type Transfer, unfinished } from "./lane.ts";
import { sendOf } from "./sending.ts";
import { checkSocket, socketFailure } from "./socket_failures.ts";
import type { Stream } from "./stream.ts";
import { Read, type SocketTransfer } from "./transfers.ts";

/** `isBusy` says that another read waits. */
export function readBlocking(
  socket: Stream,
  buffer: ArrayBufferView,
  deadline: number | undefined,
  isBusy: boolean,
): number {
  const bytes = viewOf(buffer, "read");
  if (byteLengthOf(bytes) === 0) throw emptyBuffer(bytes);
  const until = checkedDeadline(deadline);
  checkSocket(socket, "read", until);
  if (isBusy) throw socketFailure(socket, Status.EALREADY, "read");
  const count = runBlocking(Read.of(socket, bytes), Direction.readable, until);
  takeTlsNotices();
  return count;
}

/** `isBusy` says that another write waits. */
export function writeBlocking(
  socket: Stream,
  data: WriteData,
  deadline: number | undefined,
  isBusy: boolean,
): number {
  const until = checkedDeadline(deadline);
  checkSocket(socket, "write", until, 0);
  if (isBusy) throw socketFailure(socket, Status.EALREADY, "write", 0);
  const transfer = sendOf(socket, data);
  return transfer === undefined ? 0 : runBlocking(transfer, Direction.writable, until);
}

/** Attempts a transfer until it has ended. In between the thread waits for the socket. */
function runBlocking<T>(
  transfer: SocketTransfer<T> & Transfer<T>,
  direction: number,
  until: Deadline,
): T {
  try {
    for (;;) {
      const result = transfer.attempt(false);
      if (result !== blocked && result !== unfinished) {
        transfer.release?.();
        return result as T;
      }
      if (hasPassed(until)) throw new TimeoutError(transfer.details());
      if (result === blocked) blockThread(transfer, direction, until);
    }
  } catch (error) {
    transfer.failed?.();
    throw error;
  }
}

function blockThread<T>(transfer: SocketTransfer<T>, direction: number, until: Deadline): void {
  const { handle } = transfer.socket;
  const left = until === never ? -1 : Math.max(Math.ceil(until - core.now()), 0);
  const outcome = core.waitBlocking(handle, direction, Math.min(left, 0x7fff_ffff));
  if (outcome < 0) throw failureOf(handle, -outcome, transfer.details());
}
