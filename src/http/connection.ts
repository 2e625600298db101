/** A connection that requests go over, one after the other or several at a time. */

import type { WriteData } from "../net/buffers.ts";
import type { Socket } from "../net/socket.ts";
import { Mutex } from "../sync/mutex.ts";
import type { Deadline } from "../values/deadlines.ts";
import type { Answer, Keep } from "./answer.ts";
import { AnswerReader } from "./answer_reader.ts";

/** What the client knows of a request, so that it can read the answer. */
export interface Exchange {
  /** Whether it is a HEAD request, whose answer has no body. */
  readonly isToHead: boolean;
  /** What is kept of the answer. */
  readonly keep: Keep;
  /** The most bytes of a body that is kept. */
  readonly mostBody: number;
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
