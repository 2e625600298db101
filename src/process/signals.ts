/** Waiting for the process's signals. */

import { immediate, type Operation, refusal, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { checkedDeadline } from "../values/checks.ts";
import {
  checkedSignals,
  ignoreSignal,
  listenToSignal,
  type SignalListener,
  type SignalName,
} from "./signal_line.ts";

const syscall = "signal";

/** Signals that are caught, as `signals` returns them. */
export class Signals implements AsyncIterable<SignalName>, Disposable, SignalListener {
  readonly names: readonly SignalName[];
  /** Those that have come and that nobody has heard of, in the order in which they came first. */
  readonly #unheard = new Set<SignalName>();
  readonly #waiting = new WaitQueue<SignalName | null>();
  readonly #next: Operation = {
    syscall,
    isExternal: true,
    place: () => this.names.join(" "),
  };
  #isClosed = false;

  /** @internal They come from `signals`. */
  constructor(names: readonly SignalName[]) {
    this.names = names;
    try {
      for (const name of names) listenToSignal(name, this);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get closed(): boolean {
    return this.#isClosed;
  }

  /**
   * Waits for the next signal. Several of the same name that nobody has waited for are one. Null when it
   * is closed.
   *
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  async next(deadline?: number): Promise<SignalName | null> {
    const until = checkedDeadline(deadline);
    const refused = refusal(syscall, until);
    if (refused !== undefined) throw refused;
    for (const name of this.#unheard) {
      this.#unheard.delete(name);
      return await immediate(name, syscall);
    }
    if (this.#isClosed) return await immediate(null, syscall);
    return await new Wait<SignalName | null>(this.#next).begin(until, this.#waiting);
  }

  /** The signals as they come, until it is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SignalName, void, undefined> {
    for (let name: SignalName | null; (name = await this.next()) !== null; ) yield name;
  }

  /** Catches the signals no more: they do what they did before. Whoever waits gets null. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const name of this.names) ignoreSignal(name, this);
    for (let wait = this.#waiting.shift(); wait; wait = this.#waiting.shift()) wait.finish(null);
  }

  /** Closes. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  signalled(signal: SignalName): void {
    const wait = this.#waiting.shift();
    if (wait === undefined) this.#unheard.add(signal);
    else wait.finish(signal);
  }
}

/**
 * Catches signals of the process until it is closed: meanwhile they do not do what they do by default,
 * which is to end the process for most. It works under both drivers, and in Workers; under `block`, the
 * handlers of `process.on` rest. Each that is open is told of every signal. The process stays alive while
 * a fiber waits for one.
 *
 *     using interrupts = signals("SIGINT", "SIGTERM");
 *     await race([serve, () => interrupts.next()]);
 *
 * Handlers of `process.on` are called as before. Where only a Worker catches a signal, a first listener of
 * `process.on` that the main thread adds later takes its place; and when the main thread removes its last
 * one meanwhile, the signal does nothing any more once the Worker has closed.
 *
 * @throws {TypeError} {RangeError} for what is no signal's name, or none that can be caught
 * @throws {SocketError} `EMFILE` when no descriptors are left
 */
export function signals(...names: SignalName[]): Signals {
  return new Signals(checkedSignals(names));
}
