/** What a connection sends: messages in their turn, and control frames, which may come between fragments. */

import type { Socket } from "../net/socket.ts";
import { callDetails } from "../net/socket_failures.ts";
import { type Operation, outsideOfFibers, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { typeMistake } from "../values/checks.ts";
import { after, type Deadline, never } from "../values/deadlines.ts";
import { type ErrorDetails, SocketError } from "../values/errors.ts";
import { Opcode } from "./frames.ts";
import { type FrameOwner, SendFrame } from "./sending.ts";

/** Milliseconds that a Close frame which nothing waits for may take to be sent. */
const unattendedMilliseconds = 1000;

const noBytes: Uint8Array = new Uint8Array(0);

/** The parts of a message. */
export type Fragments =
  | Iterable<string>
  | AsyncIterable<string>
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>;

type Part = string | Uint8Array;

export class Outgoing implements FrameOwner, Operation {
  readonly socket: Socket;
  readonly #checkOpen: () => void;
  /** Whether a Close frame was sent, or is being sent: nothing may follow it. */
  closeSent = false;
  /** Why no message can be sent: a frame, or a message, was sent in part. */
  #cutBy: SocketError | undefined = undefined;
  #isFrameCut = false;
  /** Whether a message of several frames is being sent, and the messages behind it. */
  #isInMessage = false;
  #queue: WaitQueue | undefined = undefined;
  /** Whether a pong is being sent, and the payload of the latest ping that came meanwhile. */
  #isPongUnderWay = false;
  #nextPong: Uint8Array | undefined = undefined;

  /** `checkOpen` throws the error of a message that may not be sent. */
  constructor(socket: Socket, checkOpen: () => void) {
    this.socket = socket;
    this.#checkOpen = checkOpen;
  }

  get syscall(): string {
    return "write";
  }

  details(): ErrorDetails {
    return callDetails(this.socket, this.syscall);
  }

  frameFailed(taken: number, wasAttempted: boolean): void {
    // Over TLS a part may have been encrypted that counts as taken only when the kernel has it.
    if (taken === 0 && !(wasAttempted && this.socket.secure)) return;
    this.#isFrameCut = true;
    this.#cut("a frame was sent in part");
  }

  #cut(reason: string): void {
    this.#cutBy ??= new SocketError("ERR_WEBSOCKET_CUT", { ...this.details(), reason });
  }

  /** The error of every message, once one was sent in part. */
  get failure(): SocketError | undefined {
    return this.#cutBy;
  }

  /** Sends a message in one frame, behind messages that are being sent in fragments. */
  send(data: Part, until: Deadline): Promise<number> {
    const opcode = typeof data === "string" ? Opcode.text : Opcode.binary;
    if (!this.#isInMessage) return this.#sendFrame(opcode, true, data, until);
    return this.#inTurn(until, () => {
      this.#checkOpen();
      return this.#sendFrame(opcode, true, data, until);
    });
  }

  /**
   * Sends a message in a frame for each part. The parts of an `Iterable` are read one ahead, so that the last one
   * ends the message. Those of an `AsyncIterable` are sent as they come, and an empty frame ends the message.
   */
  sendFragments(parts: Fragments, until: Deadline): Promise<number> {
    return this.#inTurn(until, async () => {
      const message = new FragmentedMessage((opcode, isFinal, part) => {
        this.#checkOpen();
        return this.#sendFrame(opcode, isFinal, part, until);
      });
      try {
        if (Symbol.iterator in parts) {
          let before: Part | undefined;
          for (const part of parts) {
            if (before !== undefined) await message.send(before, false);
            before = checkedPart(part);
          }
          if (before === undefined) throw typeMistake("a message has at least one fragment");
          await message.send(before, true);
        } else {
          for await (const part of parts) await message.send(checkedPart(part), false);
          await message.end();
        }
      } catch (error) {
        if (message.hasBegun) this.#cut("a message was sent in part");
        throw error;
      }
      return message.bytesSent;
    });
  }

  /** Sends a message when those before it were sent. */
  async #inTurn<T>(until: Deadline, action: () => Promise<T>): Promise<T> {
    if (this.#isInMessage) {
      this.#queue ??= new WaitQueue();
      await new Wait(this).begin(until, this.#queue);
    }
    this.#isInMessage = true;
    try {
      return await action();
    } finally {
      const next = this.#queue?.shift();
      if (next === undefined) this.#isInMessage = false;
      else next.finish(undefined);
    }
  }

  #sendFrame(opcode: number, isFinal: boolean, data: Part, until: Deadline): Promise<number> {
    return this.socket.sendRest(SendFrame.of(this, opcode, isFinal, data), until);
  }

  /** Sends a control frame behind the frames that are being sent. */
  async control(opcode: number, payload: Uint8Array, until: Deadline): Promise<void> {
    if (this.#isFrameCut) throw this.#cutBy;
    await this.#sendFrame(opcode, true, payload, until);
  }

  /**
   * Answers a ping. While one answer waits to be sent, only the latest ping behind it is answered, as RFC 6455,
   * section 5.5.3, allows: so a server that sends pings and reads nothing takes no memory.
   */
  pong(payload: Uint8Array): void {
    if (this.closeSent || this.#isFrameCut) return;
    if (this.#isPongUnderWay) {
      this.#nextPong = payload.slice();
      return;
    }
    const sending = this.#unattended(Opcode.pong, payload, never);
    if (Bun.peek.status(sending) !== "pending") return;
    this.#isPongUnderWay = true;
    sending.then(() => {
      this.#isPongUnderWay = false;
      const next = this.#nextPong;
      this.#nextPong = undefined;
      if (next !== undefined) this.pong(next);
    });
  }

  /** Sends a Close frame that a caller waits for. */
  async close(payload: Uint8Array, until: Deadline): Promise<void> {
    this.closeSent = true;
    await this.control(Opcode.close, payload, until);
  }

  /** Sends a Close frame that nothing waits for. The promise is fulfilled at the end, however it comes. */
  closeUnattended(payload = noBytes): Promise<void> {
    this.closeSent = true;
    return this.#unattended(Opcode.close, payload, after(unattendedMilliseconds));
  }

  /** It outlives the call that has caused it. Its failure shows in the next call of the socket. */
  #unattended(opcode: number, payload: Uint8Array, until: Deadline): Promise<void> {
    if (this.#isFrameCut || this.socket.closed) return Promise.resolve();
    const sending = outsideOfFibers(() => this.#sendFrame(opcode, true, payload, until));
    if (Bun.peek.status(sending) === "fulfilled") return Promise.resolve();
    return sending.then(ignore, ignore);
  }
}

/** The frames of a message. */
class FragmentedMessage {
  bytesSent = 0;
  hasBegun = false;
  #isText = false;
  /** The first half of a character that two parts share. */
  #half = "";
  readonly #sendFrame: (opcode: number, isFinal: boolean, part: Part) => Promise<number>;

  constructor(sendFrame: (opcode: number, isFinal: boolean, part: Part) => Promise<number>) {
    this.#sendFrame = sendFrame;
  }

  async send(part: Part, isFinal: boolean): Promise<void> {
    let opcode: number = Opcode.continuation;
    if (!this.hasBegun) {
      this.#isText = typeof part === "string";
      opcode = this.#isText ? Opcode.text : Opcode.binary;
    } else if ((typeof part === "string") !== this.#isText) {
      throw typeMistake("the fragments of a message are all strings, or all bytes");
    }
    const data = typeof part === "string" ? this.#whole(part, isFinal) : part;
    this.bytesSent += await this.#sendFrame(opcode, isFinal, data);
    this.hasBegun = true;
  }

  /** @throws {TypeError} for a message without a part */
  async end(): Promise<void> {
    if (!this.hasBegun) throw typeMistake("a message has at least one fragment");
    await this.send(this.#isText ? "" : noBytes, true);
  }

  #whole(part: string, isFinal: boolean): string {
    const text = this.#half + part;
    const last = text.charCodeAt(text.length - 1);
    const isCut = !isFinal && last >= 0xd800 && last < 0xdc00;
    this.#half = isCut ? text.slice(-1) : "";
    return isCut ? text.slice(0, -1) : text;
  }
}

function checkedPart(part: unknown): Part {
  if (typeof part === "string" || part instanceof Uint8Array) return part;
  throw typeMistake("a fragment is a string or a Uint8Array");
}

function ignore(): void {}
