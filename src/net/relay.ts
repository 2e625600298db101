/**
 * One way of a pipe: what one socket receives is sent to another one. It is a transfer that waits to receive.
 * It ends only when the stream ends or the other socket takes no more. So data that keeps flowing wakes no
 * fiber, and a way that waits for data holds no memory for it.
 *
 * A portion passes through memory, or through a pipe of the kernel (splice(2)), which costs less for long portions
 * and more for short ones. The portion before decides.
 */

import { Limits, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { running, type WaitOwner } from "../runtime/wait.ts";
import { closeKernelPipe, giveBackKernelPipe, takeKernelPipe } from "./kernel_pipes.ts";
import { blocked, type Transfer, unfinished } from "./lane.ts";
import { countTaken, Send, SendBytes } from "./sending.ts";
import { socketFailure } from "./socket_failures.ts";
import type { Stream } from "./stream.ts";
import { SocketTransfer } from "./transfers.ts";

/** The socket that data is sent to. */
export interface Target extends Stream {
  /** Whether a write, or the end of the stream, waits. */
  readonly isWriting: boolean;
  sendRest(transfer: Send): Promise<number>;
}

/** The most bytes that are received before they are sent. */
const portionBytes = Limits.kernelPipeBytes;

/** Data is here from a receive to the send that follows at once. */
const scratch = new Uint8Array(portionBytes);

/** After a portion of so many bytes the next one passes through the kernel's pipe. */
const longPortionBytes = 32_768;

/** The end of the stream, or the write of data that the target did not take at once. */
export type Relayed = "end" | Promise<number>;

export class Relay extends SocketTransfer<Relayed> implements Transfer<Relayed> {
  readonly #target: Target;
  /** The fiber of the way. A write waits in its name, so that its cancellation ends the write. */
  readonly #owner: WaitOwner | undefined = running.getStore();
  /** Whether long portions pass through a pipe of the kernel. */
  #mayPipe = true;
  /** The length of the last portion. */
  #last = 0;
  /** Bytes that the target has taken at once. */
  sent = 0;

  constructor(socket: Stream, target: Target) {
    super(socket);
    this.#target = target;
  }

  get syscall(): string {
    return "read";
  }

  attempt(): Relayed | typeof blocked | typeof unfinished {
    for (let moved = 0; moved < Limits.transferBytes; moved += this.#last) {
      const outcome = this.#last >= longPortionBytes && this.#mayPipe ? this.#pipe() : this.#copy();
      if (outcome !== undefined) return outcome;
    }
    return unfinished;
  }

  /** Moves a portion through memory. Undefined if the target has taken all of it. */
  #copy(): Relayed | typeof blocked | undefined {
    const count = core.receive(this.socket.handle, scratch, portionBytes);
    if (count < 0) return this.#notReceived(-count);
    if (this.socket.received(count) === 0) return "end";
    this.#last = count;
    const target = this.#target;
    const sent = this.#countSent(
      target.isWriting ? 0 : core.send(target.handle, scratch, 0, count),
    );
    if (sent === count) return undefined;
    const rest = SendBytes.of(target, scratch.slice(sent, count), count - sent);
    return this.#sendRest(sent > 0 ? rest.followsPart() : rest);
  }

  /** Moves a portion through a pipe of the kernel. Undefined if the target has taken all of it. */
  #pipe(): Relayed | typeof blocked | undefined {
    const kernelPipe = takeKernelPipe();
    if (kernelPipe < 0) return this.#copyFromNowOn();
    const target = this.#target;
    const count = core.receivePiped(this.socket.handle, target.handle, kernelPipe);
    if (count <= 0) {
      giveBackKernelPipe(kernelPipe);
      return count < 0 ? this.#notReceived(-count) : this.#copyFromNowOn();
    }
    this.socket.received(count);
    this.#last = count;
    let sent = 0;
    try {
      sent = this.#countSent(target.isWriting ? 0 : core.sendPiped(target.handle, kernelPipe));
    } catch (error) {
      closeKernelPipe(kernelPipe);
      throw error;
    }
    if (sent < count) return this.#sendRest(new SendPiped(target, kernelPipe, count - sent));
    giveBackKernelPipe(kernelPipe);
    return undefined;
  }

  #copyFromNowOn(): Relayed | typeof blocked | undefined {
    this.#mayPipe = false;
    return this.#copy();
  }

  #notReceived(status: number): typeof blocked {
    if (status === Status.wouldBlock) return blocked;
    throw socketFailure(this.socket, status, "read");
  }

  /** Counts what the target has taken, from the outcome of a send. */
  #countSent(outcome: number): number {
    const count = countTaken(this.#target, outcome);
    this.sent += count;
    return count;
  }

  /** Begins at once: over TLS nothing else may be sent before the rest. */
  #sendRest(rest: Send): Promise<number> {
    const owner = this.#owner;
    if (owner === undefined) return this.#target.sendRest(rest);
    return running.run(owner, () => this.#target.sendRest(rest));
  }
}

/** Sends what a pipe of the kernel holds, and gives the pipe back. */
class SendPiped extends Send {
  readonly #kernelPipe: number;
  #remaining: number;

  constructor(socket: Stream, kernelPipe: number, length: number) {
    super(socket);
    this.#kernelPipe = kernelPipe;
    this.#remaining = length;
  }

  protected override get remaining(): number {
    return this.#remaining;
  }

  protected override transfer(): number {
    return core.sendPiped(this.socket.handle, this.#kernelPipe);
  }

  protected override advance(count: number): void {
    super.advance(count);
    this.#remaining -= count;
  }

  release(): void {
    giveBackKernelPipe(this.#kernelPipe);
  }

  override failed(): void {
    super.failed();
    closeKernelPipe(this.#kernelPipe);
  }
}
