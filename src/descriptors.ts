/** Waiting for descriptors that other libraries own. */

import { WaitKind } from "./abi.ts";
import { checkedDeadline, checkedInteger } from "./checks.ts";
import { type ErrorDetails, TimeoutError } from "./errors.ts";
import { core } from "./native.ts";
import { cancellation, StatusWait } from "./wait.ts";

class DescriptorWait extends StatusWait {
  readonly #fd: number;
  readonly #kind: number;

  constructor(fd: number, kind: number) {
    super();
    this.#fd = fd;
    this.#kind = kind;
  }

  override get syscall(): string {
    return this.#kind === WaitKind.readable ? "waitReadable" : "waitWritable";
  }

  override details(): ErrorDetails {
    return { syscall: this.syscall, address: `fd ${this.#fd}` };
  }
}

/**
 * Waits until reading from `fd` would not block: data, an end or an error is there, or for a socket
 * that listens, a connection. The descriptor stays its owner's, who must not close it meanwhile.
 *
 * @throws {SocketError} `EBADF` for a closed descriptor, `EEXIST` for one of plait's own sockets
 * @throws {TimeoutError} {CancelledError}
 */
export async function waitReadable(fd: number, deadline?: number): Promise<void> {
  return watch(fd, WaitKind.readable, deadline);
}

/** Waits until writing to `fd` would not block; otherwise like `waitReadable`. */
export async function waitWritable(fd: number, deadline?: number): Promise<void> {
  return watch(fd, WaitKind.writable, deadline);
}

async function watch(fd: number, kind: number, deadline: number | undefined): Promise<void> {
  checkedInteger(fd, "a descriptor", 0, 0x7fff_ffff);
  const until = checkedDeadline(deadline);
  const wait = new DescriptorWait(fd, kind);
  const cancelled = cancellation(wait.syscall);
  if (cancelled) throw cancelled;
  if (until !== 0 && until <= core.now()) throw new TimeoutError(wait.details());
  return wait.park(core.watch(fd, kind, until));
}
