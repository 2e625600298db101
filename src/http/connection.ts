/** A connection that requests go over, one after the other or several at a time. */

import { SendBytes, sendNow } from "../net/sending.ts";
import type { Socket } from "../net/socket.ts";
import { checkSocket } from "../net/socket_failures.ts";
import { rejected } from "../runtime/wait.ts";
import { Mutex } from "../sync/mutex.ts";
import { typeMistake } from "../values/checks.ts";
import type { Deadline } from "../values/deadlines.ts";
import { SocketError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import type { Answer, Keep } from "./answer.ts";
import { AnswerReader } from "./answer_reader.ts";
import type { Body } from "./body.ts";
import { sendExpecting } from "./expect.ts";

/** What the client knows of a request, so that it can read the answer. */
export interface Exchange {
  /** Whether it is a HEAD request, whose answer has no body. */
  readonly isToHead: boolean;
  /** What is kept of the answer. */
  readonly keep: Keep;
  /** The most bytes of a body that is kept. */
  readonly mostBody: number;
}

/** A request with a body, which is sent in several pieces. */
export interface RequestWithBody {
  readonly head: Uint8Array;
  readonly body: Body;
  /** Whether the body waits until the server asks for it: the head has `Expect: 100-continue`. */
  readonly expectsContinue: boolean;
}

export class HttpConnection {
  readonly socket: Socket;
  readonly #reader: AnswerReader;
  /** Whether it was given up: a body was not sent whole. */
  #isSpoiled = false;
  /** Who may read, with several requests at a time: each in the order in which it was sent. */
  readonly #reading: Mutex | undefined;

  /** @param isPipelined whether requests may be sent while others wait for their answers */
  constructor(socket: Socket, isPipelined = false) {
    this.socket = socket;
    this.#reader = new AnswerReader(socket);
    this.#reading = isPipelined ? new Mutex() : undefined;
  }

  /** Whether an answer has come on it. */
  get hasAnswered(): boolean {
    return this.#reader.answers > 0;
  }

  /** Whether another request can be sent. */
  get isOpen(): boolean {
    const reader = this.#reader;
    if (this.socket.closed || this.#isSpoiled || !reader.keepsAlive) return false;
    // Without a request under way, what is left is no answer to anything.
    return this.#reading !== undefined || !reader.hasUnread;
  }

  /** Whether a part of the answer has come that was read last. */
  get hasBegun(): boolean {
    return this.#reader.hasBegun;
  }

  /**
   * Sends a request, which is one piece of data, and reads its answer. When it fails, the connection must be closed.
   */
  exchange(request: Uint8Array, how: Exchange, deadline: Deadline): Promise<Answer> {
    if (this.#reading !== undefined) {
      return this.#exchangeInTurn(this.#reading, request, how, deadline);
    }
    try {
      checkSocket(this.socket, "write", deadline, 0);
      // Mostly the kernel takes it at once. Then the caller waits for the answer alone.
      const taken = sendNow(this.socket, request);
      if (taken < request.length) return this.#exchangeRest(request, taken, how, deadline);
    } catch (error) {
      return rejected(error, "write");
    }
    return this.#read(how, deadline);
  }

  async #exchangeRest(
    request: Uint8Array,
    taken: number,
    how: Exchange,
    deadline: Deadline,
  ): Promise<Answer> {
    const { socket } = this;
    if (taken === 0) await socket.write(request, deadline);
    else {
      const rest = request.subarray(taken);
      await socket.sendRest(SendBytes.of(socket, rest, rest.length).followsPart(), deadline);
    }
    return await this.#read(how, deadline);
  }

  /**
   * The same for a request with a body. A server may answer before it has read all of it, and close: then its answer
   * counts, if it has come.
   */
  async exchangeBody(request: RequestWithBody, how: Exchange, deadline: Deadline): Promise<Answer> {
    if (this.#reading !== undefined) {
      throw typeMistake("a body that is sent in pieces has no meaning with pipelining");
    }
    const { head, body, expectsContinue } = request;
    const { socket } = this;
    let failure: unknown;
    try {
      if (!expectsContinue) await body.send(socket, head, deadline);
      else if (!(await sendExpecting(socket, this.#reader, head, body, deadline))) {
        this.#isSpoiled = true;
      }
    } catch (error) {
      if (!isInstance(error, SocketError)) throw error;
      failure = error;
      this.#isSpoiled = true;
    }
    try {
      return await this.#read(how, deadline);
    } catch (error) {
      throw failure ?? error;
    }
  }

  /** HTTP/1.1 answers in the order of the requests (RFC 9112, section 9.3.2). */
  async #exchangeInTurn(
    reading: Mutex,
    request: Uint8Array,
    how: Exchange,
    deadline: Deadline,
  ): Promise<Answer> {
    const turn = reading.lock(deadline);
    try {
      await this.socket.write(request, deadline);
    } catch (error) {
      // Those behind it must not wait for ever.
      turn.then(
        (lock) => lock.unlock(),
        () => undefined,
      );
      throw error;
    }
    using _ = await turn;
    return await this.#read(how, deadline);
  }

  #read({ keep, isToHead, mostBody }: Exchange, deadline: Deadline): Promise<Answer> {
    return this.#reader.read(keep, isToHead, mostBody, deadline);
  }

  close(): void {
    this.socket.close();
  }
}
