/** Waiting for the process's signals. */

import { checkAdmission, immediate, type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { checkedDeadline } from "../values/deadlines.ts";
import { checkedSignals, ignoreSignal, listenToSignal, type SignalName } from "./signal_line.ts";

const syscall = "signal";

/** Signals that a program catches, as `signals` returns them. */
export class Signals implements AsyncIterable<SignalName>, Disposable {
  /** The signals that are caught. */
  readonly names: readonly SignalName[];
  /** Signals that have come while no fiber waited, in the order in which each came first. */
  readonly #unheard = new Set<SignalName>();
  readonly #waiting = new WaitQueue<SignalName | null>();
  readonly #signalled = (signal: SignalName): void => {
    const wait = this.#waiting.shift();
    if (wait === undefined) this.#unheard.add(signal);
    else wait.finish(signal);
  };
  readonly #next: Operation = {
    syscall,
    isExternal: true,
    place: () => this.names.join(" "),
  };
  #isClosed = false;

  /** @internal Made by `signals`. */
  constructor(names: readonly SignalName[]) {
    this.names = names;
    try {
      for (const name of names) listenToSignal(name, this.#signalled);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /**
   * Waits for the next signal. A signal that comes several times while no fiber waits counts once.
   * Returns null when this is closed.
   *
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  async next(deadline?: number): Promise<SignalName | null> {
    const until = checkedDeadline(deadline);
    checkAdmission(this.#next, until);
    for (const name of this.#unheard) {
      this.#unheard.delete(name);
      return await immediate(name, syscall);
    }
    if (this.#isClosed) return await immediate(null, syscall);
    return await new Wait<SignalName | null>(this.#next).begin(until, this.#waiting);
  }

  /** The signals in the order in which they come, until this is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SignalName, void, undefined> {
    for (let name: SignalName | null; (name = await this.next()) !== null; ) yield name;
  }

  /** Stops catching the signals: they do what they did before. Fibers that wait get null. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const name of this.names) ignoreSignal(name, this.#signalled);
    for (let wait = this.#waiting.shift(); wait; wait = this.#waiting.shift()) wait.finish(null);
  }

  /** Closes. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Catches signals of the process until it is closed. Meanwhile their default action, which for most
 * is to end the process, does not happen. It works under both drivers, and in Workers; under
 * `block`, the handlers of `process.on` rest. Several that are open get every signal. The process
 * stays alive while a fiber waits for a signal.
 *
 *     using interrupts = signals("SIGINT", "SIGTERM");
 *     await race([serve, () => interrupts.next()]);
 *
 * Handlers of `process.on` are called as before. If only a Worker catches a signal, and the main
 * thread then adds its first listener of `process.on` for it, that listener replaces the Worker's.
 * If the main thread removes its last listener while a Worker catches the signal, the signal does
 * nothing once the Worker has closed.
 *
 * @throws {TypeError} {RangeError} for a value that is not the name of a signal that can be caught
 * @throws {SocketError} `EMFILE` when no descriptors are left
 */
export function signals(...names: SignalName[]): Signals {
  return new Signals(checkedSignals(names));
}
