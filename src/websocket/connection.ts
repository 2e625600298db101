/** WebSocket connections of a client (RFC 6455). */

import type { Answer } from "../http/answer.ts";
import { bytesOf } from "../net/buffers.ts";
import { Socket } from "../net/socket.ts";
import { checkSocket } from "../net/socket_failures.ts";
import { rejected } from "../runtime/wait.ts";
import { waitFor } from "../runtime/wait_for.ts";
import { rangeMistake, typeMistake } from "../values/checks.ts";
import { after, checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import { isInstance } from "../values/foreign_values.ts";
import { byteLengthOf, isDetached } from "../values/views.ts";
import { abnormalClosure, checkedClose, normalClosure } from "./close_codes.ts";
import { mostControlBytes, Opcode } from "./frames.ts";
import { Incoming } from "./incoming.ts";
import type { Message } from "./message_reader.ts";
import { checkedAnswer, checkedOpening, ReadOpening, type WebSocketOptions } from "./opening.ts";
import { type Fragments, Outgoing } from "./outgoing.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** Milliseconds that the server has to end the stream behind both Close frames, before the client does. */
const endMilliseconds = 1000;
/** Milliseconds that the closing handshake may take when a connection is disposed of. */
const disposalMilliseconds = 5000;

const encoder = new TextEncoder();

/** What a connection was opened with. */
interface Opened {
  readonly answer: Answer;
  readonly protocol: string;
  readonly buffer: ReceiveBuffer;
  readonly mostBytes: number;
}

/**
 * A WebSocket on a connected socket, plain or over TLS. `openWebSocket` makes it.
 *
 * Frames are read while `receive`, `ping` or `close` waits. Meanwhile pings of the server are answered. So a server
 * that expects pongs in time needs a fiber that receives. Messages of several fibers are sent in order, and their
 * frames never mix; so are calls of `receive` served.
 *
 * When the server breaks the protocol, the call that has read it fails with a `WebSocketError`, the server is sent
 * a Close frame with the right code, and the socket is closed. Every later call fails with the same error.
 */
export class WebSocketConnection implements AsyncDisposable, AsyncIterable<Message> {
  /** The socket. While the WebSocket is in use, only settings and figures of it are of use. */
  readonly socket: Socket;
  /** The server's answer to the opening handshake, with its fields. */
  readonly answer: Answer;
  /** The subprotocol that the server has chosen; empty without one. */
  readonly protocol: string;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  #pings = 0;

  /** @internal */
  constructor(socket: Socket, { answer, protocol, buffer, mostBytes }: Opened) {
    this.socket = socket;
    this.answer = answer;
    this.protocol = protocol;
    this.#outgoing = new Outgoing(socket, () => this.#checkOpen("write"));
    this.#incoming = new Incoming(socket, this.#outgoing, buffer, mostBytes);
  }

  /**
   * The code of the server's Close frame; 1005 if that had none, 1006 if the connection has ended without such a
   * frame. Undefined before.
   */
  get closeCode(): number | undefined {
    return this.#incoming.closeCode;
  }

  /** The reason in the server's Close frame; empty without one. */
  get closeReason(): string {
    return this.#incoming.closeReason;
  }

  /**
   * Sends a message in one frame: a string as text, bytes as a binary one. The promise is fulfilled when the kernel
   * has taken every byte. Bytes must not change until then.
   *
   * @returns the number of bytes of the frame
   * @throws {WebSocketClosedError} when a side has closed
   * @throws {SocketError} {TimeoutError} {CancelledError} as `Socket.write`. If a part of the frame was sent, nothing
   *   can follow it: later messages fail with `ERR_WEBSOCKET_CUT`.
   */
  send(data: string | ArrayBufferView | ArrayBufferLike, deadline?: number): Promise<number> {
    try {
      const part = typeof data === "string" ? data : messageBytes(data);
      const until = deadline === undefined ? never : checkedDeadline(deadline);
      this.#checkOpen("write");
      checkSocket(this.socket, "write", until, 0);
      return this.#outgoing.send(part, until);
    } catch (error) {
      return rejected(error, "write");
    }
  }

  /**
   * Sends a message in fragments, a frame for each part: all strings, or all bytes. An `Iterable` is read one part
   * ahead, so that its last part ends the message. The parts of an `AsyncIterable` are sent as they come, and an
   * empty frame ends the message. Other messages wait for the end; pings and pongs come between.
   *
   * @returns the number of bytes of the frames
   * @throws {TypeError} for another part, and without one
   * @throws as `send`. If a part of the message was sent, later messages fail with `ERR_WEBSOCKET_CUT`.
   */
  async sendFragments(parts: Fragments, deadline?: number): Promise<number> {
    const isList = typeof parts === "object" && parts !== null && !ArrayBuffer.isView(parts);
    if (!isList || !(Symbol.iterator in parts || Symbol.asyncIterator in parts)) {
      throw typeMistake("sendFragments takes an iterable of strings or of bytes");
    }
    const until = checkedDeadline(deadline);
    this.#checkOpen("write");
    checkSocket(this.socket, "write", until, 0);
    return await this.#outgoing.sendFragments(parts, until);
  }

  /**
   * The next message, its fragments put together: a string, or bytes of the caller's own. Null when the server has
   * closed, and on every later call; `closeCode` and `closeReason` say why. The socket is open until `close`.
   *
   * @throws {WebSocketError} when the server has broken the protocol
   * @throws {UnexpectedEndError} when the connection has ended without a Close frame
   * @throws {SocketError} {TimeoutError} {CancelledError} as `Socket.read`. After the last two, the next call goes
   *   on where this one has stopped.
   */
  receive(deadline?: number): Promise<Message | null> {
    try {
      return this.#incoming.receive(deadline === undefined ? never : checkedDeadline(deadline));
    } catch (error) {
      return rejected(error, "read");
    }
  }

  /** The messages up to the server's Close frame. Leaving the loop early does not close. */
  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    return {
      next: async (): Promise<IteratorResult<Message, undefined>> => {
        const value = await this.receive();
        return value === null ? { done: true, value: undefined } : { done: false, value };
      },
    };
  }

  /**
   * Sends a ping, and waits for its pong. Messages that come before it are kept for `receive`: up to 1,024, and
   * about as many bytes as a message may have.
   *
   * @param data at most 125 bytes; a number that differs each time if not given
   * @throws {RangeError} for more
   * @throws {WebSocketClosedError} when a side has closed, also while it waits
   * @throws {SocketError} `ENOBUFS` when more messages have come than are kept; as `receive` otherwise
   */
  async ping(data?: string | ArrayBufferView | ArrayBufferLike, deadline?: number): Promise<void> {
    const payload = this.#pingPayload(data);
    const until = checkedDeadline(deadline);
    this.#checkOpen("ping");
    checkSocket(this.socket, "ping", until);
    const ping = this.#incoming.expectPong(payload);
    try {
      await this.#outgoing.control(Opcode.ping, payload, until);
      await this.#incoming.pong(ping, until);
    } finally {
      this.#incoming.forget(ping);
    }
  }

  #pingPayload(data: string | ArrayBufferView | ArrayBufferLike | undefined): Uint8Array {
    if (data === undefined) return encoder.encode(`plait ${++this.#pings}`);
    // A copy: the pong is compared with it.
    const bytes =
      typeof data === "string" ? encoder.encode(data) : new Uint8Array(messageBytes(data));
    if (byteLengthOf(bytes) > mostControlBytes) {
      throw rangeMistake(`a ping has at most ${mostControlBytes} bytes`);
    }
    return bytes;
  }

  /**
   * Does the closing handshake, and closes the socket: sends a Close frame, waits for the server's, and then up to
   * one second for the end of the stream. Messages that still come can be received, also afterwards; above the limits
   * of `ping` they are thrown away. The socket is closed in any case, also when this throws. Closing twice does
   * nothing.
   *
   * @param code 1000 to 1003, 1007 to 1014, or 3000 to 4999 (RFC 6455, section 7.4)
   * @param reason at most 123 bytes
   * @throws {TypeError} {RangeError} for another code or a longer reason; the socket stays open then
   * @throws {UnexpectedEndError} when the connection ends without the server's Close frame
   * @throws {TimeoutError} {CancelledError} {SocketError} {WebSocketError}
   */
  async close(code: number = normalClosure, reason = "", deadline?: number): Promise<void> {
    const payload = checkedClose(code, reason);
    const until = checkedDeadline(deadline);
    const { socket } = this;
    if (socket.closed) return;
    try {
      checkSocket(socket, "close", until);
      const { failing } = this.#incoming;
      if (failing !== undefined) return await waitFor(failing, until);
      if (!this.#outgoing.closeSent) await this.#outgoing.close(payload, until);
      await this.#incoming.waitForClose(until);
      await this.#waitForEnd(until);
    } finally {
      this.#incoming.closeCode ??= abnormalClosure;
      socket.close();
    }
  }

  /** The server ends the stream first (RFC 6455, section 7.1.1). If it does not, or resets it, that is no failure. */
  async #waitForEnd(until: Deadline): Promise<void> {
    const most = after(endMilliseconds);
    try {
      await this.#incoming.waitForEnd(until === never || most < until ? most : until);
    } catch {
      // Both sides have said all.
    }
  }

  /** Closes with the code 1000, within five seconds. It does not throw. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close(normalClosure, "", after(disposalMilliseconds));
    } catch {
      // The socket is closed.
    }
  }

  #checkOpen(syscall: string): void {
    const { failure, closeReceived } = this.#incoming;
    const { closeSent } = this.#outgoing;
    if (closeSent || closeReceived) throw failure ?? this.#incoming.closedError(syscall);
    if (this.#outgoing.failure !== undefined) throw this.#outgoing.failure;
  }
}

/** The bytes that a caller gives, without a copy. */
function messageBytes(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  const bytes = data instanceof Uint8Array ? data : bytesOf(data);
  if (byteLengthOf(bytes) === 0 && isDetached(bytes)) throw typeMistake("the buffer is detached");
  return bytes;
}

/**
 * Does the opening handshake of a WebSocket on a connected socket, plain or over TLS. The socket belongs to the
 * WebSocket from then on.
 *
 *     const socket = await connect({ host: "127.0.0.1", port: 8080 });
 *     await using ws = await openWebSocket(socket, { host: "127.0.0.1:8080", path: "/chat" });
 *     await ws.send("hello");
 *     const answer = await ws.receive();
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong; the socket stays open then
 * @throws {WebSocketRefusedError} when the server answers with another status than 101
 * @throws {BadAnswerError} when its answer is not what RFC 6455 wants
 * @throws {UnexpectedEndError} {SocketError} {TimeoutError} {CancelledError} as `Socket.read`. Whenever the
 *   handshake fails, the socket is closed.
 */
export async function openWebSocket(
  socket: Socket,
  options: WebSocketOptions,
): Promise<WebSocketConnection> {
  if (!isInstance(socket, Socket)) throw typeMistake("openWebSocket takes a socket");
  const opening = checkedOpening(options);
  checkSocket(socket, "handshake", opening.deadline);
  const buffer = new ReceiveBuffer();
  try {
    await socket.write(opening.request, opening.deadline);
    const reading = new ReadOpening(socket, buffer);
    const answer = await socket.receive(reading, opening.deadline);
    const protocol = checkedAnswer(answer, opening);
    return new WebSocketConnection(socket, {
      answer,
      protocol,
      buffer,
      mostBytes: opening.mostBytes,
    });
  } catch (error) {
    socket.close();
    throw error;
  }
}
