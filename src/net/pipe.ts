/** Joining two sockets, as a proxy does: what each of them receives is sent to the other one. */

import { runScope, Scope } from "../runtime/scope.ts";
import { checkedSwitch, ownOptions, typeMistake } from "../values/checks.ts";
import { never } from "../values/deadlines.ts";
import { CancelledError, PipeError, type PipeWay, SocketError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import { countRelays } from "./kernel_pipes.ts";
import { Relay } from "./relay.ts";
import { Socket } from "./socket.ts";
import { checkSocket } from "./socket_failures.ts";

/** The bytes that each way has carried. */
export interface PipedBytes {
  /** From the first socket to the second one. */
  readonly forth: number;
  /** From the second socket to the first one. */
  readonly back: number;
}

/** Options of `pipe`. */
export interface PipeOptions {
  /**
   * Whether a way goes on when the other one has ended. True if not given: the end of one stream is passed on
   * as a half close.
   */
  halfClose?: boolean | undefined;
  /** Ends both ways with a `TimeoutError`. */
  deadline?: number | undefined;
  /** Ends both ways with a `CancelledError`. */
  signal?: AbortSignal | undefined;
}

const pipeOptions: ReadonlySet<string> = new Set(["halfClose", "deadline", "signal"]);

class Way {
  readonly name: PipeWay;
  readonly #from: Socket;
  readonly #to: Socket;
  #relay: Relay | undefined = undefined;
  #isStopped = false;
  /** Bytes of writes that had to wait. */
  #written = 0;

  constructor(name: PipeWay, from: Socket, to: Socket) {
    this.name = name;
    this.#from = from;
    this.#to = to;
  }

  /** Bytes that the kernel has taken for the other socket. */
  get bytes(): number {
    return this.#written + (this.#relay?.sent ?? 0);
  }

  /** Moves the data up to the end of the stream, and then ends the other stream. */
  async run(): Promise<void> {
    await this.#move();
    await this.#to.shutdown();
  }

  async #move(): Promise<void> {
    countRelays(1);
    try {
      await this.#relayUntilEnd();
    } finally {
      countRelays(-1);
    }
  }

  async #relayUntilEnd(): Promise<void> {
    this.#relay = new Relay(this.#from, this.#to);
    while (!this.#isStopped) {
      try {
        checkSocket(this.#from, "read", never);
        const moved = await this.#from.receive(this.#relay, never);
        if (moved === "end") return;
        this.#written += moved;
      } catch (error) {
        this.#written += (error as Partial<SocketError>).bytesWritten ?? 0;
        // `stop` has taken the read out.
        if (this.#isStopped && isInstance(error, CancelledError)) return;
        throw error;
      }
    }
  }

  /** Ends the way when it has sent what it has received. */
  stop(): void {
    this.#isStopped = true;
    if (this.#relay !== undefined) this.#from.withdraw(this.#relay);
  }
}

/**
 * Sends what each of two sockets receives to the other one, until both streams have ended: for proxies. Each
 * way ends by itself. The end of one stream becomes the end of the other (half close), and the other way goes
 * on. With `halfClose: false` both ways end when one stream has ended; what was received by then is still sent.
 *
 * A socket is read only as fast as the other one takes the data. Nothing is held in memory for a way that waits
 * for data. Either socket may be plain or TLS. Reads and writes of other fibers queue with those of the pipe.
 *
 * The sockets stay open, for the caller to close. After an error, reset both: with `close` a peer could take
 * a part of the data for all of it, and what was received and not sent is lost.
 *
 * @returns the bytes that each way has carried
 * @throws {PipeError} when a socket fails, or is closed: the other way is cancelled. It says which way has
 *   failed and what each one had carried. Its `cause` is the error of the read or the write. A way that waits to
 *   send notices only after that what has become of the socket that it reads from.
 * @throws {TimeoutError} {CancelledError} when the deadline has passed, the signal was aborted, or the caller's
 *   fiber was cancelled
 * @throws {TypeError} {RangeError} for a wrong argument, before anything happens
 */
export async function pipe(
  first: Socket,
  second: Socket,
  options: PipeOptions = {},
): Promise<PipedBytes> {
  const { halfClose: given, deadline, signal } = ownOptions(options, pipeOptions, "pipe");
  if (!isInstance(first, Socket) || !isInstance(second, Socket) || first === second) {
    throw typeMistake("pipe takes two sockets");
  }
  const halfClose = checkedSwitch(given, "halfClose", true);
  const forth = new Way("forth", first, second);
  const back = new Way("back", second, first);
  let failed: Way | undefined;
  let failure: unknown;
  const run = async (way: Way, other: Way): Promise<void> => {
    try {
      await way.run();
    } catch (error) {
      if (failed === undefined && isInstance(error, SocketError)) {
        failed = way;
        failure = error;
      }
      throw error;
    }
    if (!halfClose) other.stop();
  };
  try {
    await runScope(
      new Scope("pipe", ""),
      (scope) => {
        scope.spawn(() => run(forth, back), { name: "pipe forth" });
        scope.spawn(() => run(back, forth), { name: "pipe back" });
      },
      { deadline, signal },
    );
  } catch (error) {
    // The counts are those of now, when the other way has ended too.
    if (failed === undefined || error !== failure) throw error;
    throw new PipeError(failed.name, forth.bytes, back.bytes, failure as SocketError);
  }
  return { forth: forth.bytes, back: back.bytes };
}
