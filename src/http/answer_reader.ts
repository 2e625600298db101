/** Reading the answers of a connection: one transfer for each answer, which ends when the answer is whole. */

import { Limits, Status } from "../core/abi.ts";
import { addressOf, core } from "../core/native.ts";
import { blocked, unfinished } from "../net/lane.ts";
import type { Socket } from "../net/socket.ts";
import { socketFailure } from "../net/socket_failures.ts";
import { SocketTransfer } from "../net/transfers.ts";
import type { Deadline } from "../values/deadlines.ts";
import { MessageTooLongError, UnexpectedEndError } from "../values/errors.ts";
import { Answer, type Keep } from "./answer.ts";
import { BadAnswerError } from "./bad_answer.ts";
import { Chunks } from "./chunks.ts";
import { Head, incomplete } from "./head.ts";

/** Bytes of a buffer that a connection takes when an answer begins to come. */
const bufferBytes = 32_768;
/** A body that is not kept is received into the room behind the head, if that is not less. */
const leastRoom = 8192;
const mostSpares = 64;
/** An answer's head and its interim answers, and a chunked body's extensions and trailers, are not longer. */
export const mostHeadBytes = 65_536;
/** An answer has no more interim answers before it. */
export const mostInterim = 100;

const noBytes = new Uint8Array(0);
/** Buffers that no connection holds. */
const spares: Uint8Array<ArrayBuffer>[] = [];

/** What ends the wait for 100 (Continue). */
const isContinue = new Answer(100, true, 0);
const isFinal = new Answer(200, true, 0);

type Framing = "head" | "length" | "chunks" | "close";

export class AnswerReader extends SocketTransfer<Answer> {
  readonly #head = new Head(mostHeadBytes);
  #chunks: Chunks | undefined = undefined;
  #buffer: Uint8Array<ArrayBuffer> = noBytes;
  /** Where the answer begins, where its body does, what was read of it, and what has come. */
  #start = 0;
  #body = 0;
  #at = 0;
  #end = 0;
  #framing: Framing = "head";
  /** Bytes of the body so far. */
  #bodyLength = 0;
  #interim = 0;
  #isToHead = false;
  #keep: Keep = "body";
  #mostBody = 0;
  #awaitsContinue = false;
  /** Answers that have come. */
  answers = 0;

  get syscall(): string {
    return "read";
  }

  /**
   * Reads the next answer.
   *
   * @param isToHead whether it answers HEAD, so that it has no body
   * @param mostBody the most bytes of a body that is kept
   * @throws {BadAnswerError} {MessageTooLongError}
   * @throws {UnexpectedEndError} when the connection ended before the answer's end. `hasBegun` says whether
   *   a byte of it had come
   * @throws {SocketError} {TimeoutError} {CancelledError} as `Socket.read`
   */
  read(keep: Keep, isToHead: boolean, mostBody: number, deadline: Deadline): Promise<Answer> {
    this.#keep = keep;
    this.#isToHead = isToHead;
    this.#mostBody = mostBody;
    this.#awaitsContinue = false;
    this.#begin();
    return (this.socket as Socket).receive(this, deadline);
  }

  /**
   * Waits for 100 (Continue), or for the head of a final answer, which the next `read` returns.
   *
   * @returns whether it was 100, so that the body of the request is to be sent
   * @throws as `read`. After a `TimeoutError` either method can be called.
   */
  async readContinue(deadline: Deadline): Promise<boolean> {
    this.#awaitsContinue = true;
    this.#begin();
    return (await (this.socket as Socket).receive(this, deadline)) === isContinue;
  }

  #begin(): void {
    this.#framing = "head";
    this.#bodyLength = 0;
    this.#interim = 0;
    this.#head.begin();
  }

  /** Whether bytes have come that belong to no answer that was asked for. */
  get hasUnread(): boolean {
    return this.#at < this.#end;
  }

  /**
   * Looks at a connection on which no answer is expected, without waiting. What has come unasked would be taken
   * for the answer to the next request.
   *
   * @returns `open` when nothing has come, `ended` at the end of the stream, `unasked` for bytes
   * @throws {SocketError} such as `ECONNRESET`
   */
  idleState(): "open" | "ended" | "unasked" {
    if (this.#at < this.#end) return "unasked";
    this.#makeRoom();
    const count = this.#receive(true);
    if (count > 0) {
      this.#end += count;
      this.socket.received(count);
      return "unasked";
    }
    this.#giveBack();
    if (count === 0) return "ended";
    if (-count !== Status.wouldBlock) throw socketFailure(this.socket, -count, this.syscall);
    return "open";
  }

  /** Whether a byte of the answer that is read has come, be it of an interim answer. */
  get hasBegun(): boolean {
    return this.#interim > 0 || this.#framing !== "head" || this.#start < this.#end;
  }

  attempt(isLast: boolean): Answer | typeof blocked | typeof unfinished {
    let share = 0;
    for (;;) {
      const answer = this.#at < this.#end ? this.#proceed() : undefined;
      if (answer !== undefined) return answer;
      // The sender may be faster: then there is always more.
      if (share >= Limits.transferBytes) return unfinished;
      this.#makeRoom();
      const count = this.#receive(isLast);
      if (count === 0) return this.#endOfStream();
      if (count > 0) {
        this.#end += count;
        share += count;
        this.socket.received(count);
      } else {
        if (-count !== Status.wouldBlock) throw socketFailure(this.socket, -count, this.syscall);
        if (this.#start === this.#end) this.#giveBack();
        return blocked;
      }
    }
  }

  #receive(isLast: boolean): number {
    const buffer = this.#buffer;
    const address = (addressOf(buffer) + this.#end) as Parameters<typeof core.receive>[1];
    const room = buffer.length - this.#end;
    return isLast
      ? core.tryReceive(this.socket.handle, address, room)
      : core.receive(this.socket.handle, address, room);
  }

  /** Reads what has come. Undefined if the answer needs more. */
  #proceed(): Answer | undefined {
    while (this.#framing === "head") {
      const length = this.#head.read(this.#buffer, this.#start, this.#end);
      if (length === incomplete) {
        this.#at = this.#end;
        return undefined;
      }
      this.#body = this.#at = this.#start + length;
      const { status } = this.#head;
      if (status >= 200) return this.#awaitsContinue ? this.#leaveHead() : this.#beginBody();
      this.#skipInterim();
      if (status === 100 && this.#awaitsContinue) return isContinue;
      if (this.#at === this.#end) return undefined;
    }
    return this.#readBody();
  }

  /** Leaves a head for the next read. */
  #leaveHead(): Answer {
    this.#at = this.#start;
    return isFinal;
  }

  /** An interim answer comes before the one that counts (RFC 9110, section 15.2). */
  #skipInterim(): void {
    if (this.#head.status === 101) throw new BadAnswerError("it changes the protocol unasked");
    if (++this.#interim > mostInterim) throw new BadAnswerError("it has too many interim answers");
    this.#start = this.#at;
    this.#head.begin();
  }

  /** The framing of the body, in the order of RFC 9112, section 6.3. */
  #beginBody(): Answer | undefined {
    const { status, isChunked, contentLength } = this.#head;
    const hasNoBody = this.#isToHead || status === 204 || status === 304;
    if (hasNoBody) return this.#finish();
    if (isChunked) {
      this.#framing = "chunks";
      this.#chunks ??= new Chunks(mostHeadBytes);
      this.#chunks.begin();
    } else if (contentLength >= 0) {
      this.#framing = "length";
      this.#checkLength(contentLength);
    } else this.#framing = "close";
    return this.#readBody();
  }

  #readBody(): Answer | undefined {
    if (this.#framing === "chunks") return this.#readChunks();
    const { contentLength } = this.#head;
    let count = this.#end - this.#at;
    if (this.#framing === "length") count = Math.min(count, contentLength - this.#bodyLength);
    else this.#checkLength(this.#bodyLength + count);
    this.#at += count;
    this.#bodyLength += count;
    if (this.#framing === "length" && this.#bodyLength === contentLength) return this.#finish();
    if (this.#keep !== "body") this.#at = this.#end = this.#body;
    return undefined;
  }

  #readChunks(): Answer | undefined {
    const chunks = this.#chunks!;
    const isKept = this.#keep === "body";
    this.#at = chunks.read(this.#buffer, this.#at, this.#end, isKept ? this.#body : undefined);
    this.#bodyLength = chunks.length;
    this.#checkLength(chunks.length);
    if (chunks.hasEnded) return this.#finish();
    this.#at = this.#end = isKept ? this.#body + this.#keptChunks() : this.#body;
    return undefined;
  }

  /** Bytes of the chunked body that are kept: its data, and the lines of the trailers. */
  #keptChunks(): number {
    return this.#chunks!.length + this.#chunks!.trailersLength;
  }

  #checkLength(length: number): void {
    if (this.#keep === "body" && length > this.#mostBody) {
      throw new MessageTooLongError(this.syscall, this.#mostBody);
    }
  }

  #endOfStream(): Answer {
    if (this.#framing === "close") {
      this.#head.keepsAlive = false;
      return this.#finish();
    }
    throw new UnexpectedEndError(this.syscall, this.#buffer.slice(this.#start, this.#end));
  }

  /** Whether the last answer left the connection open. */
  get keepsAlive(): boolean {
    return this.#head.keepsAlive;
  }

  #finish(): Answer {
    this.answers++;
    const { status, keepsAlive } = this.#head;
    const body = this.#body;
    let answer: Answer;
    if (this.#keep === "status") answer = new Answer(status, keepsAlive, this.#bodyLength);
    else {
      const kept = this.#framing === "chunks" ? this.#keptChunks() : this.#bodyLength;
      const end = this.#keep === "head" ? body : body + kept;
      const bytes = this.#buffer.slice(this.#start, end);
      answer = new Answer(status, keepsAlive, this.#bodyLength, bytes, body - this.#start);
    }
    this.#start = this.#at;
    if (this.#at === this.#end) this.#giveBack();
    return answer;
  }

  /** Whether it reads a body that is not kept, so that the room stays as it is. */
  get #isDropped(): boolean {
    return this.#keep !== "body" && this.#framing !== "head";
  }

  #makeRoom(): void {
    const { length } = this.#buffer;
    if (length === 0) {
      this.#buffer = spares.pop() ?? new Uint8Array(bufferBytes);
    } else if (length - this.#end < (this.#isDropped ? leastRoom : 1)) {
      // The answers before this one have left their room.
      if (this.#start > 0) this.#moveTo(this.#buffer);
      else {
        const missing = this.#framing === "length" ? this.#head.contentLength + this.#body : 0;
        this.#moveTo(new Uint8Array(Math.max(Math.min(missing, 4 * length), 2 * length)));
      }
    }
  }

  #moveTo(buffer: Uint8Array<ArrayBuffer>): void {
    const start = this.#start;
    buffer.set(this.#buffer.subarray(start, this.#end));
    this.#buffer = buffer;
    this.#start = 0;
    this.#body -= start;
    this.#at -= start;
    this.#end -= start;
  }

  #giveBack(): void {
    const buffer = this.#buffer;
    if (buffer.length === bufferBytes && spares.length < mostSpares) spares.push(buffer);
    this.#buffer = noBytes;
    this.#start = this.#at = this.#end = 0;
  }
}
