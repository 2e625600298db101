/**
 * What a connection receives, and the calls that wait for it: messages, pongs, and the server's Close frame.
 *
 * A call of `receive` reads by itself. While no such call waits, but a ping or a close does, a transfer without a
 * caller reads in their place: the drive. It keeps the messages that come meanwhile for later calls of `receive`.
 */

import { Limits, Status } from "../core/abi.ts";
import { type blocked, unfinished } from "../net/lane.ts";
import type { Socket } from "../net/socket.ts";
import { callDetails, checkSocket } from "../net/socket_failures.ts";
import { SocketTransfer } from "../net/transfers.ts";
import {
  checkAdmission,
  immediate,
  type Operation,
  outsideOfFibers,
  Wait,
} from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { type Deadline, never } from "../values/deadlines.ts";
import { CancelledError, type ErrorDetails, SocketError } from "../values/errors.ts";
import { abnormalClosure, closePayload, noCode, readClose } from "./close_codes.ts";
import { WebSocketClosedError, WebSocketError } from "./errors.ts";
import { Opcode } from "./frames.ts";
import { type Message, MessageReader, stopped } from "./message_reader.ts";
import type { Outgoing } from "./outgoing.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";

/** Messages that are kept for `receive` while a ping or a close waits. */
const mostKeptMessages = 1024;

/** A ping that waits for its pong. */
class Ping implements Operation {
  readonly syscall = "ping";
  readonly payload: Uint8Array;
  readonly #incoming: Incoming;
  hasEnded = false;
  error: unknown = undefined;
  wait: Wait<void> | undefined = undefined;

  constructor(incoming: Incoming, payload: Uint8Array) {
    this.#incoming = incoming;
    this.payload = payload;
  }

  get isExternal(): true {
    return true;
  }

  details(): ErrorDetails {
    return callDetails(this.#incoming.socket, this.syscall);
  }

  failed(): void {
    this.#incoming.forget(this);
  }

  /** The pong has come, or never will. */
  end(error?: unknown): void {
    this.hasEnded = true;
    this.error = error;
    if (error === undefined) this.wait?.succeed(undefined);
    else this.wait?.fail(error);
  }
}

/** Receives a message for a call. It has no state of its own, so that one serves all calls. */
class ReceiveMessage extends SocketTransfer<Message | null> {
  readonly #incoming: Incoming;

  constructor(incoming: Incoming) {
    super(incoming.socket);
    this.#incoming = incoming;
  }

  get syscall(): string {
    return "read";
  }

  attempt(isLast: boolean): Message | null | typeof blocked | typeof unfinished {
    return this.#incoming.attemptMessage(isLast);
  }

  failed(): void {
    this.#incoming.receiverLeaves();
  }

  /** A connection that has broken the protocol is closed by plait itself. */
  errorOf(status: number): Error | undefined {
    return status === Status.closed ? this.#incoming.failure : undefined;
  }
}

/** Reads for pings and closes. */
class Drive extends SocketTransfer<undefined> {
  readonly #incoming: Incoming;

  constructor(incoming: Incoming) {
    super(incoming.socket);
    this.#incoming = incoming;
  }

  get syscall(): string {
    return "read";
  }

  attempt(isLast: boolean): undefined | typeof blocked | typeof unfinished {
    return this.#incoming.attemptDrive(isLast);
  }
}

export class Incoming {
  readonly socket: Socket;
  readonly #outgoing: Outgoing;
  readonly #buffer: ReceiveBuffer;
  readonly #reader: MessageReader;
  readonly #mostBytes: number;
  readonly #receive: ReceiveMessage;
  /** The first failure of a read. It stays. */
  failure: Error | undefined = undefined;
  /** Ends when the socket of a connection that has broken the protocol is closed. */
  failing: Promise<void> | undefined = undefined;
  closeReceived = false;
  closeCode: number | undefined = undefined;
  closeReason = "";
  /** Calls of `receive` that wait. */
  #receivers = 0;
  /** Messages that came while no `receive` waited, and their bytes. */
  readonly #kept: Message[] = [];
  #keptBytes = 0;
  #pings: Ping[] = [];
  /** Calls that wait for the server's Close frame, and for the end of the stream behind it. */
  readonly #closing = new WaitQueue<void>();
  readonly #ending = new WaitQueue<void>();
  #drive: Drive | undefined = undefined;
  #isDriving = false;
  /** Whether the drive attempts: then it finds out by itself that nothing waits for it any more. */
  #isInDrive = false;

  constructor(socket: Socket, outgoing: Outgoing, buffer: ReceiveBuffer, mostBytes: number) {
    this.socket = socket;
    this.#outgoing = outgoing;
    this.#buffer = buffer;
    this.#mostBytes = mostBytes;
    this.#reader = new MessageReader(buffer, mostBytes, (opcode, bytes, start, end) =>
      this.#onControl(opcode, bytes, start, end),
    );
    this.#receive = new ReceiveMessage(this);
  }

  /** The next message; null behind the server's Close frame. */
  receive(until: Deadline): Promise<Message | null> {
    const isKnown = this.#kept.length > 0 || this.failure !== undefined || this.closeReceived;
    if (isKnown && this.#receivers === 0) {
      checkAdmission(this.#receive, until);
      const kept = this.#takeKept();
      if (kept === undefined && this.failure !== undefined) throw this.failure;
      return immediate(kept ?? null, "read");
    }
    checkSocket(this.socket, "read", until);
    this.#receivers++;
    return this.socket.receive(this.#receive, until);
  }

  attemptMessage(isLast: boolean): Message | null | typeof blocked | typeof unfinished {
    for (;;) {
      const item = this.#takeKept() ?? this.#next(isLast);
      if (item === stopped) continue;
      if (typeof item !== "symbol") this.receiverLeaves();
      return item;
    }
  }

  /** A call of `receive` has ended. */
  receiverLeaves(): void {
    this.#receivers--;
    if (this.#wantsReading) queueMicrotask(() => this.#startDrive());
  }

  /** Reads the next message, null when the server has closed. A failure stays. */
  #next(isLast: boolean): Message | null | typeof stopped | typeof blocked | typeof unfinished {
    if (this.failure !== undefined) throw this.failure;
    if (this.closeReceived) return null;
    try {
      const item = this.#reader.read(this.socket, isLast);
      return item === stopped && this.closeReceived ? null : item;
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    }
  }

  #fail(error: Error): void {
    this.failure = error;
    this.closeCode ??= abnormalClosure;
    if (!(error instanceof WebSocketError)) return;
    const payload = closePayload(error.closeCode, error.reason);
    const { socket } = this;
    const sent = this.#outgoing.closeSent
      ? Promise.resolve()
      : this.#outgoing.closeUnattended(payload);
    this.failing = sent.then(() => socket.close());
  }

  #onControl(opcode: number, bytes: Uint8Array, start: number, end: number): boolean {
    switch (opcode) {
      case Opcode.ping:
        this.#outgoing.pong(bytes.subarray(start, end));
        return false;
      case Opcode.pong:
        this.#onPong(bytes, start, end);
        return false;
      default:
        this.#onClose(bytes, start, end);
        return true;
    }
  }

  /** A pong ends the ping with its payload, and those before it: a peer may answer the latest one alone. */
  #onPong(bytes: Uint8Array, start: number, end: number): void {
    const payload = bytes.subarray(start, end);
    const index = this.#pings.findIndex((ping) => Buffer.compare(ping.payload, payload) === 0);
    for (const ping of this.#pings.splice(0, index + 1)) ping.end();
  }

  #onClose(bytes: Uint8Array, start: number, end: number): void {
    const { code, reason } = readClose(bytes, start, end);
    this.closeReceived = true;
    this.closeCode = code;
    this.closeReason = reason;
    if (!this.#outgoing.closeSent) {
      this.#outgoing.closeUnattended(code === noCode ? undefined : closePayload(code, ""));
    }
    this.#endPings(this.closedError("ping"));
    for (let wait = this.#closing.shift(); wait !== undefined; wait = this.#closing.shift()) {
      wait.succeed();
    }
  }

  closedError(syscall: string): WebSocketClosedError {
    return new WebSocketClosedError(syscall, this.closeCode, this.closeReason);
  }

  // -- Pings and closes

  /** Takes note of a ping before it is sent: its pong may come before the sending fiber goes on. */
  expectPong(payload: Uint8Array): Ping {
    if (this.#isFull && this.#receivers === 0) throw tooManyKept();
    const ping = new Ping(this, payload);
    this.#pings.push(ping);
    return ping;
  }

  /** Waits for the pong of a ping that was sent. */
  async pong(ping: Ping, until: Deadline): Promise<void> {
    if (!ping.hasEnded) {
      checkAdmission(ping, until);
      ping.wait = new Wait<void>(ping);
      const ended = ping.wait.begin(until);
      this.#startDrive();
      await ended;
    } else if (ping.error !== undefined) throw ping.error;
  }

  /** A ping does not wait any more. */
  forget(ping: Ping): void {
    ping.hasEnded = true;
    this.#pings = this.#pings.filter((other) => other !== ping);
    this.#stopDrive();
  }

  #endPings(error: unknown): void {
    for (const ping of this.#pings.splice(0)) ping.end(error);
  }

  /** Waits for the server's Close frame. */
  async waitForClose(until: Deadline): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    if (!this.closeReceived) await this.#waitIn(this.#closing, until);
  }

  /** Waits for the end of the stream, when the server has closed. */
  async waitForEnd(until: Deadline): Promise<void> {
    if (!this.socket.eof) await this.#waitIn(this.#ending, until);
  }

  /** A close that fails closes the socket, which ends the drive. */
  async #waitIn(queue: WaitQueue<void>, until: Deadline): Promise<void> {
    const operation: Operation = {
      syscall: "close",
      isExternal: true,
      details: () => callDetails(this.socket, "close"),
    };
    checkAdmission(operation, until);
    const ended = new Wait<void>(operation).begin(until, queue);
    this.#startDrive();
    await ended;
  }

  // -- The drive

  get #wantsReading(): boolean {
    return (
      this.#pings.length > 0 ||
      this.#closing.first !== undefined ||
      this.#ending.first !== undefined
    );
  }

  #startDrive(): void {
    if (this.#isDriving || this.#receivers > 0 || !this.#wantsReading) return;
    this.#isDriving = true;
    this.#drive ??= new Drive(this);
    const drive = this.#drive;
    const ended = (error?: unknown): void => {
      this.#isDriving = false;
      // The calls that it read for have ended.
      if (error !== undefined && !(error instanceof CancelledError)) this.#endWaits(error);
      this.#startDrive();
    };
    outsideOfFibers(() => this.socket.receive(drive, never)).then(() => ended(), ended);
  }

  #stopDrive(): void {
    if (this.#isDriving && !this.#isInDrive && !this.#wantsReading)
      this.socket.withdraw(this.#drive!);
  }

  #endWaits(error: unknown): void {
    this.#endPings(error);
    for (const queue of [this.#closing, this.#ending]) {
      for (let wait = queue.shift(); wait !== undefined; wait = queue.shift()) wait.fail(error);
    }
  }

  attemptDrive(isLast: boolean): undefined | typeof blocked | typeof unfinished {
    this.#isInDrive = true;
    try {
      while (this.#wantsReading) {
        if (this.closeReceived) return this.#discard(isLast);
        const item = this.#next(isLast);
        if (item === stopped || item === null) continue;
        if (typeof item === "symbol") return item;
        this.#keep(item);
        if (this.#receivers > 0) return undefined;
      }
      return undefined;
    } finally {
      this.#isInDrive = false;
    }
  }

  /** Throws away what comes behind the server's Close frame, up to the end of the stream. */
  #discard(isLast: boolean): undefined | typeof blocked | typeof unfinished {
    const buffer = this.#buffer;
    for (let share = Limits.transferBytes; share > 0; ) {
      buffer.start = buffer.at = buffer.end;
      buffer.giveBackIfEmpty();
      const count = buffer.receive(this.socket, isLast, 0);
      if (typeof count === "symbol") return count;
      share -= count;
      if (count > 0) continue;
      buffer.giveBackIfEmpty();
      for (let wait = this.#ending.shift(); wait !== undefined; wait = this.#ending.shift()) {
        wait.succeed();
      }
      return undefined;
    }
    return unfinished;
  }

  #keep(message: Message): void {
    // A caller that closes may receive no more.
    if (this.#isFull && this.#outgoing.closeSent) return;
    this.#kept.push(message);
    this.#keptBytes += message.length;
    if (this.#isFull && this.#receivers === 0) this.#endPings(tooManyKept());
  }

  get #isFull(): boolean {
    return this.#kept.length >= mostKeptMessages || this.#keptBytes >= this.#mostBytes;
  }

  #takeKept(): Message | undefined {
    const message = this.#kept.shift();
    if (message !== undefined) this.#keptBytes -= message.length;
    return message;
  }
}

function tooManyKept(): SocketError {
  const reason = "more messages have come before the pong than are kept for `receive`";
  return new SocketError("ENOBUFS", { syscall: "ping", reason });
}
