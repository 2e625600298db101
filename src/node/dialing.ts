/** The fiber that connects a stream, and does the handshake of TLS if there is one. */

import { Socket as PlaitSocket } from "../net/socket.ts";
import { type Fiber, spawn } from "../runtime/fiber.ts";
import { running } from "../runtime/wait.ts";
import { type HandshakeSetup, handshake } from "../tls/handshake.ts";
import { never } from "../values/deadlines.ts";
import { type DialEvents, dial, type Target } from "./dial.ts";

/** The stream that is connected. Except for `prepare`, its functions run outside of the fiber. */
export interface DialedStream extends DialEvents {
  /** Comes before the connection is reported. */
  prepare(plait: PlaitSocket): Promise<void> | undefined;
  connected(plait: PlaitSocket): void;
  encrypted(): void;
  failed(error: Error): void;
  /** The fiber begins. */
  begun(): void;
  /** The fiber has ended, in any way. */
  ended(dialing: Dialing): void;
}

export class Dialing {
  readonly #target: Target;
  readonly #setup: HandshakeSetup | undefined;
  readonly #stream: DialedStream;
  #fiber: Fiber<void> | undefined = undefined;
  #isCancelled = false;

  constructor(target: Target, setup: HandshakeSetup | undefined, stream: DialedStream) {
    this.#target = target;
    this.#setup = setup;
    this.#stream = stream;
  }

  start(): void {
    if (this.#isCancelled) return;
    this.#stream.begun();
    this.#fiber = spawn(() => this.#run());
  }

  /** Ends the attempt. Its stream hears no more of it than that it has ended. */
  cancel(): void {
    this.#isCancelled = true;
    this.#fiber?.cancel();
  }

  async #run(): Promise<void> {
    const stream = this.#stream;
    try {
      await this.#connect();
    } catch (error) {
      if (!this.#isCancelled) running.exit(() => stream.failed(error as Error));
    } finally {
      stream.ended(this);
    }
  }

  async #connect(): Promise<void> {
    const stream = this.#stream;
    // Until `spawn` has returned, a listener could not cancel the fiber.
    await undefined;
    if (this.#isCancelled) return;
    const { host } = this.#target;
    const plait = new PlaitSocket(await dial(this.#target, this.#events), host || undefined);
    try {
      if (!this.#isCancelled) await stream.prepare(plait);
    } catch (error) {
      plait.close();
      throw error;
    }
    if (this.#isCancelled) {
      plait.close();
      return;
    }
    // From here on the stream owns it.
    running.exit(() => stream.connected(plait));
    if (this.#setup === undefined || this.#isCancelled) return;
    await handshake(plait, this.#setup, never);
    if (!this.#isCancelled) running.exit(() => stream.encrypted());
  }

  get #events(): DialEvents {
    const stream = this.#stream;
    const report = (tell: () => void): void => {
      if (!this.#isCancelled) running.exit(tell);
    };
    return {
      lookedUp: (...found) => report(() => stream.lookedUp(...found)),
      attempted: (...attempt) => report(() => stream.attempted(...attempt)),
      attemptFailed: (...failure) => report(() => stream.attemptFailed(...failure)),
    };
  }
}
