/** A connection that requests go over, one after the other or several at a time. */

import type { WriteData } from "../net/buffers.ts";
import type { Socket } from "../net/socket.ts";
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
  #hasAnswered = false;
  #keepsAlive = true;
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
    return this.#hasAnswered;
  }

  /** Whether another request can be sent. */
  get isOpen(): boolean {
    return this.#keepsAlive && !this.socket.closed;
  }

  /** Whether a part of the answer has come that was read last. */
  get hasBegun(): boolean {
    return this.#reader.hasBegun;
  }

  /**
   * Sends a request, which is one piece of data, and reads its answer. When it fails, the connection must be closed.
   */
  async exchange(request: WriteData, how: Exchange, deadline: Deadline): Promise<Answer> {
    if (this.#reading !== undefined) {
      return await this.#exchangeInTurn(this.#reading, request, how, deadline);
    }
    await this.socket.write(request, deadline);
    const answer = await this.#reader.read(how.keep, how.isToHead, how.mostBody, deadline);
    this.#took(answer);
    return answer;
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
        this.#keepsAlive = false;
      }
    } catch (error) {
      if (!isInstance(error, SocketError)) throw error;
      failure = error;
      this.#keepsAlive = false;
    }
    try {
      const answer = await this.#reader.read(how.keep, how.isToHead, how.mostBody, deadline);
      this.#took(answer);
      return answer;
    } catch (error) {
      throw failure ?? error;
    }
  }

  /** HTTP/1.1 answers in the order of the requests (RFC 9112, section 9.3.2). */
  async #exchangeInTurn(
    reading: Mutex,
    request: WriteData,
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
    const answer = await this.#reader.read(how.keep, how.isToHead, how.mostBody, deadline);
    this.#took(answer);
    return answer;
  }

  #took(answer: Answer): void {
    this.#hasAnswered = true;
    if (!answer.keepsAlive) this.#keepsAlive = false;
    // Without a request under way, what is left is no answer to anything.
    else if (this.#reading === undefined && this.#reader.hasUnread) this.#keepsAlive = false;
  }

  close(): void {
    this.socket.close();
  }
}
