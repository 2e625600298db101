/** Waiting for descriptors that other libraries own. */

import { Direction } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { checkAdmission, endWith, type Operation, Wait } from "../runtime/wait.ts";
import { checkedInteger } from "../values/checks.ts";
import { checkedDeadline } from "../values/deadlines.ts";
import type { ErrorDetails } from "../values/errors.ts";

/** The readiness of a descriptor in one direction. */
class Watch implements Operation {
  readonly #fd: number;
  readonly #direction: number;

  constructor(fd: number, direction: number) {
    this.#fd = fd;
    this.#direction = direction;
  }

  get syscall(): string {
    return this.#direction === Direction.readable ? "waitReadable" : "waitWritable";
  }

  details(): ErrorDetails {
    return { syscall: this.syscall, address: `fd ${this.#fd}` };
  }

  get woken(): typeof endWith {
    return endWith;
  }
}

/**
 * Waits until reading from `fd` would not block: there is data, an end or an error, or, for a listening
 * socket, a connection. The descriptor still belongs to its owner, who must not close it meanwhile.
 *
 * @throws {SocketError} `EBADF` for a closed descriptor, `EEXIST` for one of plait's own sockets
 * @throws {TimeoutError} {CancelledError}
 */
export async function waitReadable(fd: number, deadline?: number): Promise<void> {
  return watch(fd, Direction.readable, deadline);
}

/** Waits until writing to `fd` would not block; otherwise like `waitReadable`. */
export async function waitWritable(fd: number, deadline?: number): Promise<void> {
  return watch(fd, Direction.writable, deadline);
}

async function watch(fd: number, direction: number, deadline: number | undefined): Promise<void> {
  checkedInteger(fd, "a descriptor", 0, 0x7fff_ffff);
  const until = checkedDeadline(deadline);
  const operation = new Watch(fd, direction);
  checkAdmission(operation, until);
  await new Wait<void>(operation).beginUnder(core.watch(fd, direction, until));
}
