/** Connected stream sockets. */

import { Ready, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { attendDeadline, type Subscriber, subscribe, unsubscribe } from "../runtime/scheduler.ts";
import { immediate, rejected } from "../runtime/wait.ts";
import { SocketStreams } from "../streams/socket_streams.ts";
import { handshake } from "../tls/handshake.ts";
import { endTlsNotices, takeTlsNotices } from "../tls/notices.ts";
import type { TlsContext } from "../tls/options.ts";
import { type StartTlsOptions, startSetup } from "../tls/start.ts";
import { checkedInteger } from "../values/checks.ts";
import { checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import { codeOf, SocketError } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import { readBlocking, writeBlocking } from "./blocking_transfers.ts";
import { emptyBuffer, viewOf, type WriteData } from "./buffers.ts";
import { Connection, type SocketKeeper } from "./connection.ts";
import { begin, Lane, type Transfer, unfinished } from "./lane.ts";
import { Pull } from "./pull.ts";
import { checkedFileRequest, type SendFileOptions, sendFile } from "./sendfile.ts";
import { type Send, sendOf } from "./sending.ts";
import { checkSocket, socketFailure } from "./socket_failures.ts";
import { closedHandle } from "./stream.ts";
import { Read, ReadLane, Shutdown } from "./transfers.ts";

/**
 * A connected stream socket: TCP or Unix.
 *
 * Reads from several fibers are served in order, and so are writes. Every deadline is a point on the
 * clock of `now()`; 0 or none means never. A function that returns a promise does not throw
 * synchronously: a caller's mistake rejects the promise, before anything happens.
 */
export class Socket
  extends Connection
  implements Disposable, AsyncDisposable, AsyncIterable<Uint8Array<ArrayBuffer>>, Subscriber
{
  /** Operations that wait to receive; made by the first read. */
  #reads: ReadLane | undefined = undefined;
  /** Operations that wait to send; made when one has to wait. */
  #writes: Lane | undefined = undefined;

  /** @internal Sockets come from `connect`, a listener, or `Socket.fromFd`. */
  constructor(handle: number, origin?: SocketKeeper | string) {
    super(handle, origin);
    subscribe(this);
  }

  /**
   * Takes over a connected stream socket that other code has made. plait closes it from now on.
   *
   * @throws {SocketError} when `fd` is not a connected stream socket; then it is not closed
   */
  static fromFd(fd: number): Socket {
    checkedInteger(fd, "a descriptor", 0, 0x7fff_ffff);
    const handle = core.adopt(fd);
    if (handle < 0) throw new SocketError(codeOf(-handle), { syscall: "fromFd" });
    return new Socket(handle);
  }

  /**
   * @internal The core reports what can go on. A socket stays writable until a call finds it full, so nearly
   * every event reports it as writable too.
   */
  ready(ready: number): void {
    if (ready & Ready.readable) this.#reads?.ready();
    if (ready & Ready.writable) this.#writes?.ready();
  }

  /** @internal Whether an operation waits, in either direction. */
  get isBusy(): boolean {
    return this.#isReading || this.isWriting;
  }

  /** Whether a read waits. */
  get #isReading(): boolean {
    return this.#reads?.first !== undefined;
  }

  /** @internal Whether a write, or the end of the stream, waits. */
  get isWriting(): boolean {
    return this.#writes?.first !== undefined;
  }

  /**
   * Receives the available bytes into `buffer`, at least one and at most 1 MiB, and waits if there are
   * none. While it waits the program may use the buffer; it is written to when the data has come.
   *
   * @returns the number of bytes; 0 is the end of the stream, also for every later read
   * @throws {RangeError} for a buffer without room, {TypeError} for one that is detached
   * @throws {SocketError} `ECONNRESET` and the like, `ERR_SOCKET_CLOSED`
   * @throws {TimeoutError} {CancelledError}
   */
  read(buffer: ArrayBufferView, deadline?: number): Promise<number> {
    let bytes: Uint8Array;
    let until = never;
    try {
      bytes = buffer instanceof Uint8Array ? buffer : viewOf(buffer, "read");
      if (byteLengthOf(bytes) === 0) throw emptyBuffer(bytes);
      if (deadline !== undefined) until = checkedDeadline(deadline);
      checkSocket(this, "read", until);
    } catch (error) {
      return rejected(error, "read");
    }
    return this.#behindNotices(this.#reading.run(Read.of(this, bytes), until));
  }

  /**
   * Receives the bytes that have come by now into `buffer`, without waiting. So it can find out whether
   * an idle connection has ended, where a `read` could wait.
   *
   * @returns the number of bytes; 0 at the end of the stream; undefined when nothing has come, or when a
   *   `read` of another fiber waits for it
   * @throws {RangeError} for a buffer without room, {TypeError} for one that is detached
   * @throws {SocketError} `ECONNRESET` and the like, `ERR_SOCKET_CLOSED`
   */
  tryRead(buffer: ArrayBufferView): number | undefined {
    const bytes = viewOf(buffer, "tryRead");
    const length = byteLengthOf(bytes);
    if (length === 0) throw emptyBuffer(bytes);
    const handle = this.openHandle("read");
    if (this.#isReading) return undefined;
    const count = core.tryReceive(handle, bytes, length);
    if (count >= 0) return this.#behindNotices(this.received(count));
    if (-count === Status.wouldBlock) return undefined;
    throw socketFailure(this, -count, "read");
  }

  /**
   * The next chunk of the stream: all available bytes, but at most 64 KiB; null at the end. It holds no
   * buffer while it waits, so it suits a server with many idle connections.
   */
  next(deadline?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    let until = never;
    try {
      if (deadline !== undefined) until = checkedDeadline(deadline);
      checkSocket(this, "read", until);
    } catch (error) {
      return rejected(error, "read");
    }
    const lane = this.#reading;
    return this.#behindNotices(lane.run(lane, until));
  }

  /** @internal Takes out an operation that waits to receive. */
  withdraw(transfer: Transfer<unknown>): void {
    this.#reads?.withdraw(transfer);
  }

  /** @internal Receives by another operation than those of `read` and `next`. */
  receive<T>(transfer: Transfer<T>, deadline: Deadline): Promise<T> {
    return this.#behindNotices(this.#reading.run(transfer, deadline));
  }

  /** The chunks of the stream up to its end. Leaving the loop early does not close the socket. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array<ArrayBuffer>, undefined> {
    return {
      next: async (): Promise<IteratorResult<Uint8Array<ArrayBuffer>, undefined>> => {
        const value = await this.next();
        return value === null ? { done: true, value: undefined } : { done: false, value };
      },
    };
  }

  /**
   * `read` that blocks the thread: for use before any fiber runs, such as the first exchange of a
   * protocol in a synchronous constructor. No fiber of this thread runs meanwhile. Fails with `EALREADY`
   * while a fiber waits to read from this socket.
   */
  readSync(buffer: ArrayBufferView, deadline?: number): number {
    return readBlocking(this, buffer, deadline, this.#isReading);
  }

  get #reading(): ReadLane {
    this.#reads ??= new ReadLane(this);
    return this.#reads;
  }

  /**
   * Calls `onSession` and `onKeyLog` for what came before the data, and then returns the data. These
   * functions may use the socket: so the result is fixed by now.
   */
  #behindNotices<T>(result: T): T {
    if (this.secure) takeTlsNotices();
    return result;
  }

  /**
   * Sends all of `data`. The promise is fulfilled when the kernel has taken every byte: a peer that does
   * not read suspends the writer. The data must not change until then. A buffer is sent with its length
   * of the moment of the call; if it has become shorter since, the write fails with `EFAULT`.
   *
   * @returns the number of bytes sent
   * @throws {SocketError} {TimeoutError} {CancelledError} with `bytesWritten`, the number of bytes of
   *   this call that the kernel had taken. Over TLS up to 128 KiB more may be encrypted by then, and
   *   still reach the peer.
   */
  write(data: WriteData, deadline?: number): Promise<number> {
    try {
      const until = deadline === undefined ? never : checkedDeadline(deadline);
      checkSocket(this, "write", until, 0);
      const transfer = sendOf(this, data);
      return transfer === undefined ? immediate(0, "write") : this.#send(transfer, until);
    } catch (error) {
      return rejected(error, "write");
    }
  }

  /** @internal Sends by another operation than those of `write`, such as the rest of what was sent in part. */
  sendRest(transfer: Send, deadline = never): Promise<number> {
    return this.#send(transfer, deadline);
  }

  /**
   * Sends a file, or a part of one, without copying it through JavaScript (sendfile(2)); over TLS, and
   * where sendfile(2) refuses the file, as it does for those of /proc, it is read in portions. Reading a
   * file that is not in memory blocks the thread while the disk works.
   *
   * @returns the number of bytes sent: fewer than `length` if the file ends before
   * @throws {SocketError} also when the file cannot be opened or read
   */
  async sendFile(file: string | number, options: SendFileOptions = {}): Promise<number> {
    const request = checkedFileRequest(file, options);
    checkSocket(this, "sendfile", request.deadline, 0);
    return await sendFile(this, request, (transfer, until) => this.#send(transfer, until));
  }

  /** `write` that blocks the thread: for use before any fiber runs, like `readSync`. */
  writeSync(data: WriteData, deadline?: number): number {
    return writeBlocking(this, data, deadline, this.isWriting);
  }

  /**
   * Ends this side of the stream after the writes before it: the peer reads the end. Reading goes on
   * (half close). A later write fails with `EPIPE`. It waits for writes of other fibers that came before
   * it. Over TLS it sends close_notify, unless a write was broken off: see `close`.
   */
  shutdown(deadline?: number): Promise<void> {
    let until = never;
    try {
      until = checkedDeadline(deadline);
      checkSocket(this, "shutdown", until);
    } catch (error) {
      return rejected(error, "shutdown");
    }
    return this.#send(new Shutdown(this), until);
  }

  /**
   * The data that comes, as a byte stream of the Streams standard, for `new Response`, `pipeTo` and the like.
   * It is always the same stream. It receives only when it is read from, and holds no data by itself: a
   * BYOB reader's view is received into directly, any other reader gets chunks as `next` returns them. Its
   * reads queue with those of `read` and `next`.
   *
   * - The end of the peer's stream closes it. An error of a read is its error.
   * - `cancel` ends the reading. A read that waits takes no byte: what has not come yet can be received by
   *   `read`. The socket stays open.
   * - `close` and `reset` of the socket make it fail with `ERR_SOCKET_CLOSED`.
   *
   * When `writable` is in use too and both streams have ended, the socket is closed; it is reset if
   * `writable` has failed. With one of them alone it stays open.
   *
   * A fiber's cancellation does not end a stream, which others may read: use `waitFor`, or the `signal`
   * of `pipeTo`.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#streams.readable;
  }

  /**
   * The data that is sent, as a stream of the Streams standard. It is always the same stream. A chunk is
   * anything that `write` takes, and must not change until it is written. The promise of a write is that
   * of `write`: so a peer that does not read holds back a `pipeTo`. Its writes queue with those of `write`.
   *
   * - `close` is `shutdown` after the writes before it. Reading goes on.
   * - `abort` resets the connection at once, also while a write waits: so the peer does not take a part of
   *   the data for all of it. The readable stream and other calls fail with `ERR_SOCKET_CLOSED`.
   * - An error of a write is the stream's error. A chunk that `write` does not take is such an error too.
   * - `close` and `reset` of the socket make it fail with `ERR_SOCKET_CLOSED`.
   *
   * `readable` says when the two of them close the socket.
   */
  get writable(): WritableStream<WriteData> {
    return this.#streams.writable;
  }

  get #streams(): SocketStreams<WriteData> {
    this.kept.streams ??= new SocketStreams(this, new Pull(this));
    return this.kept.streams;
  }

  /** As `Lane.run`, but there is no lane before an operation has to wait. */
  #send<T>(transfer: Transfer<T>, deadline: Deadline): Promise<T> {
    if (this.#writes !== undefined) return this.#writes.run(transfer, deadline);
    const answer = begin(transfer);
    if (typeof answer !== "symbol") return answer;
    this.#writes = new Lane();
    return this.#writes.park(transfer, deadline, answer === unfinished);
  }

  /**
   * Turns a plain connection into TLS, as protocols with a STARTTLS command do. Bytes that have arrived
   * but were not read count as the peer's part of the handshake. A socket that a listener accepted is the
   * server's end, any other the client's, unless `side` says otherwise. A client checks the certificate
   * against the `host` of `connect`, unless `serverName` is given. Without a deadline it waits for as
   * long as the peer takes. Reads and writes of other fibers wait for the handshake.
   *
   * @throws {TypeError} {RangeError} for options that are unknown or wrong
   * @throws {SocketError} `EBUSY` while reads or writes wait, `EISCONN` when it is TLS already
   * @throws {TlsError} {SocketError} {TimeoutError} {CancelledError} when the handshake fails; the socket
   *   is closed then
   */
  async startTls(options: StartTlsOptions | TlsContext = {}, deadline?: number): Promise<void> {
    const until = checkedDeadline(deadline);
    const setup = startSetup(options, this.isAccepted, this.host);
    checkSocket(this, "handshake", until);
    if (this.secure) throw socketFailure(this, Status.EISCONN, "handshake");
    if (this.isBusy) throw socketFailure(this, Status.EBUSY, "handshake");
    await handshake(this, setup, until);
  }

  /**
   * Closes the socket. Calls that wait on it fail with `ERR_SOCKET_CLOSED`. Bytes that `write` has
   * reported as written still reach the peer: if they were not acknowledged yet, the core keeps the
   * connection half closed until the peer has closed too, for at most 5 seconds or the time of
   * `setLinger`. That does not keep the process alive. Closing twice does nothing.
   *
   * Over TLS it sends close_notify, unless a deadline, a cancellation or this call has broken off a
   * write: then the peer learns that the data lacks its end.
   */
  close(): void {
    this.#end(core.close);
  }

  /** Closes the socket at once with a reset (RST). Data on its way in either direction is lost. */
  reset(): void {
    this.#end(core.reset);
  }

  #end(call: (handle: number) => number): void {
    const { handle } = this;
    if (handle === closedHandle) return;
    endTlsNotices(handle);
    // Code of the program that runs as they end, or in a notice, may begin others or close the socket.
    while (!this.closed && this.isBusy) {
      this.#reads?.close();
      this.#writes?.close();
    }
    if (this.closed) return;
    unsubscribe(handle);
    this.release(call);
    // A socket that lingers has a deadline.
    attendDeadline();
  }

  /** Closes. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
