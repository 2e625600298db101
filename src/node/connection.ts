/**
 * A duplex stream over a socket of plait: connecting, receiving, sending, ending, destroying. `Socket` adds
 * the rest of the surface of `node:net`.
 *
 * What it does in plait belongs to no fiber: a stream may outlive the fiber that has made it. Its listeners
 * run in the asynchronous context of the call of `connect`, or of `listen` for accepted sockets.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Duplex, type DuplexOptions } from "node:stream";
import { Socket as PlaitSocket } from "../net/socket.ts";
import { type Fiber, spawn } from "../runtime/fiber.ts";
import { hold, unhold } from "../runtime/scheduler.ts";
import { running } from "../runtime/wait.ts";
import { type HandshakeSetup, handshake } from "../tls/handshake.ts";
import { never } from "../values/deadlines.ts";
import { type DialEvents, dial, type Target } from "./dial.ts";
import { nodeError, socketClosed, throwUncaught, transferError } from "./errors.ts";
import { IdleTimer } from "./idle_timer.ts";
import { type OwnBuffer, Receiver } from "./receiver.ts";

type Callback = (error?: Error | null) => void;

/** What `_write` takes: strings are encoded by plait. */
type Chunk = Uint8Array | string;

/** Runs a function in an asynchronous context. */
export type Context = <Parameters extends unknown[], Result>(
  call: (...args: Parameters) => Result,
  ...args: Parameters
) => Result;

/** Receives into a buffer of the program. */
export interface OwnReading {
  readonly buffer: OwnBuffer;
  readonly callback: (this: unknown, count: number, buffer: Uint8Array) => unknown;
}

/** The asynchronous context of the caller, without its fiber. */
export function currentContext(): Context {
  return outsideOfFibers(AsyncLocalStorage.snapshot) as Context;
}

function outsideOfFibers<Result>(call: () => Result): Result {
  return running.getStore() === undefined ? call() : running.exit(call);
}

function ignore(): void {}

/** Codes of `shutdown` when there is no connection any more. */
const resets: ReadonlySet<string | undefined> = new Set(["ENOTCONN", "EPIPE", "ECONNRESET"]);

/** A write, or the end, that waits until the connection can be used. */
interface Deferred {
  readonly data: Chunk | readonly Chunk[];
  readonly run: () => void;
  readonly callback: Callback;
}

/** A write that stands for the start of TLS: writes before it are plain, those behind it are encrypted. */
const startOfTls = Buffer.alloc(0);

function end(stream: Duplex): void {
  stream.push(null);
  // Notices the end of a stream that has no reader.
  stream.read(0);
}

function emitClose(stream: Duplex): void {
  stream.emit("close");
}

/** The end of a connection, or of an attempt. */
function emitClosed(stream: Duplex, hadError: boolean, deferred: Deferred | undefined): void {
  try {
    stream.emit("close", hadError);
  } finally {
    deferred?.callback(closedBeforeConnection());
  }
}

/** As `write`, after the peer has ended a connection that is not to be half open. */
function writeAfterEnd(
  this: Duplex,
  chunk: unknown,
  encoding?: BufferEncoding | Callback,
  callback?: Callback,
): boolean {
  // Until this side has ended too, which happens in the next tick, data still leaves.
  if (!this.writableEnded)
    return Reflect.apply(Duplex.prototype.write, this, [chunk, encoding, callback]);
  const told = typeof encoding === "function" ? encoding : callback;
  const error = nodeError("EPIPE", "This socket has been ended by the other party");
  if (typeof told === "function") process.nextTick(told, error);
  this.destroy(error);
  return false;
}

function peerHasEnded(this: Connection): void {
  if (!this.allowHalfOpen) Object.assign(this, { write: writeAfterEnd });
}

export abstract class Connection extends Duplex {
  /** Whether `connect` was called and the connection is not made yet. */
  connecting = false;
  /** The addresses that the last `connect` has tried, when it had several; each with its port. */
  declare autoSelectFamilyAttemptedAddresses: string[];
  #plait: PlaitSocket | undefined = undefined;
  #receiver: Receiver | undefined = undefined;
  readonly #ownReading: OwnReading | undefined;
  #context: Context;
  /** The fiber that connects, and does the handshake if there is one. */
  #dialing: Fiber<void> | undefined = undefined;
  /** Whether a handshake is under way, or follows when the connection is made. */
  #isEncrypting = false;
  /** Whether nothing may be received: what comes next belongs to a handshake. */
  #isHeld = false;
  /** Calls of `encrypt` that wait for the writes before them. */
  readonly #starts: {
    readonly start: (plait: PlaitSocket) => Promise<void>;
    readonly settle: Callback;
  }[] = [];
  /** The stream wants data, and cannot have it yet. */
  #isReadWanted = false;
  /** A write, or the end, that waits until the connection can be used. */
  #deferred: Deferred | undefined = undefined;
  /** The data of a write that is under way, and the number of bytes sent before it. */
  #sending: Chunk | readonly Chunk[] | undefined = undefined;
  #sentBefore = 0;
  #timer: IdleTimer | undefined = undefined;
  /** Calls of plait that are under way. They keep the process alive, unless `unref` was called. */
  #operations = 0;
  #isReferenced = true;
  #isResetting = false;
  #bytesRead = 0;
  #bytesWritten = 0;

  static readonly #Receiver = class extends Receiver {
    readonly #stream: Connection;

    constructor(plait: PlaitSocket, stream: Connection, buffer: OwnBuffer | undefined) {
      super(plait, buffer);
      this.#stream = stream;
    }

    protected override received(chunk: Buffer): boolean {
      const stream = this.#stream;
      stream.#timer?.active();
      try {
        return stream.#context(pushChunk, stream, chunk);
      } catch (error) {
        throwUncaught(error);
        return this.isActive;
      }
    }

    protected override filled(count: number, buffer: Uint8Array): boolean {
      const stream = this.#stream;
      stream.#timer?.active();
      try {
        const take = (): unknown => stream.#ownReading!.callback.call(stream, count, buffer);
        return stream.#context(take) !== false;
      } catch (error) {
        throwUncaught(error);
        return this.isActive;
      }
    }

    protected override ended(): void {
      this.#stream.#call(() => end(this.#stream));
    }

    protected override broken(error: unknown): void {
      this.#stream.#call(() => this.#stream.destroy(transferError(error, "read")));
    }
  };

  protected constructor(
    options: DuplexOptions,
    ownReading: OwnReading | undefined,
    context: Context,
  ) {
    super(options);
    this.#ownReading = ownReading;
    this.#context = context;
    this.on("end", peerHasEnded);
  }

  /**
   * The socket of plait below the stream. It is the stream's: do not read from it, write to it or close it.
   * Undefined before the connection is made and after it is closed.
   */
  get plaitSocket(): PlaitSocket | undefined {
    // Programs look at the properties of prototypes.
    return #plait in this ? this.#plait : undefined;
  }

  /**
   * What comes before `connect` is emitted, such as a handshake. It runs in the fiber that connects. The
   * socket is closed when it fails, and the stream is destroyed with the same error.
   */
  protected prepare?(plait: PlaitSocket): Promise<void>;

  /** Begins with a socket that is connected. */
  protected attach(plait: PlaitSocket): void {
    this.#plait = plait;
    this.#receiver = new Connection.#Receiver(plait, this, this.#ownReading?.buffer);
  }

  protected get isReceiving(): boolean {
    return this.#receiver?.isActive === true;
  }

  /** Whether data can be exchanged: the connection is made, and no handshake is under way. */
  get #isReady(): boolean {
    return this.#plait !== undefined && !this.#isEncrypting;
  }

  /** Calls code of the program. What it throws is uncaught, as an exception of a listener is. */
  #call(call: () => void): void {
    try {
      this.#context(call);
    } catch (error) {
      throwUncaught(error);
    }
  }

  // -- Connecting

  /** Connects in the next tick, so that the caller can add its listeners. */
  protected dial(target: Target, setup: HandshakeSetup | undefined): void {
    this.#context = currentContext();
    this.connecting = true;
    this.#isEncrypting = setup !== undefined;
    this.#timer?.active();
    process.nextTick(() => {
      if (!this.connecting || this.#dialing !== undefined) return;
      outsideOfFibers(() => this.#dial(target, setup));
    });
  }

  #dial(target: Target, setup: HandshakeSetup | undefined): void {
    this.#begin();
    const fiber: Fiber<void> = spawn(async () => {
      const isCurrent = (): boolean => this.#dialing === fiber && !this.destroyed;
      // Its first step runs before `spawn` has returned the fiber.
      await undefined;
      try {
        if (!isCurrent()) return;
        const handle = await dial(target, this.#dialEvents);
        const plait = new PlaitSocket(handle, target.host === "" ? undefined : target.host);
        if (!isCurrent()) return plait.close();
        if (this.prepare !== undefined) {
          await preparedOrClosed(plait, () => this.prepare!(plait));
          if (!isCurrent()) return plait.close();
        }
        running.exit(() => this.#connected(plait));
        if (setup === undefined || !isCurrent()) return;
        await handshake(plait, setup, never);
        if (isCurrent()) running.exit(() => this.#encrypted());
      } catch (error) {
        if (isCurrent()) running.exit(() => this.destroy(error as Error));
      } finally {
        this.#finish();
        if (this.#dialing === fiber) this.#dialing = undefined;
      }
    });
    this.#dialing = fiber;
  }

  get #dialEvents(): DialEvents {
    Reflect.deleteProperty(this, "autoSelectFamilyAttemptedAddresses");
    const emit = (name: string, ...args: unknown[]): void => {
      running.exit(() => {
        if (this.connecting) this.#call(() => this.emit(name, ...args));
      });
    };
    return {
      lookedUp: (...found) => emit("lookup", ...found),
      attempted: (address, port, family, isOneOfSeveral) => {
        if (isOneOfSeveral) {
          this.autoSelectFamilyAttemptedAddresses ??= [];
          this.autoSelectFamilyAttemptedAddresses.push(`${address}:${port}`);
        }
        emit("connectionAttempt", address, port, family);
      },
      attemptFailed: (...failure) => emit("connectionAttemptFailed", ...failure),
    };
  }

  #connected(plait: PlaitSocket): void {
    this.attach(plait);
    this.#timer?.active();
    this.connecting = false;
    this.connectionMade(plait);
    this.#call(() => this.emit("connect"));
    if (this.#isReady) this.#runDeferred();
    this.#call(() => this.emit("ready"));
    if (this.#isReady) this.startReading();
  }

  /** Announces a connection that was there from the start. */
  protected announce(): void {
    process.nextTick(() => {
      if (this.#plait === undefined) return;
      this.#call(() => this.emit("connect"));
      this.#call(() => this.emit("ready"));
    });
  }

  /** The connection is made: the settings that were chosen before apply to it. */
  protected abstract connectionMade(plait: PlaitSocket): void;

  /** @internal Reads until the stream's buffer is full, as `node:net` does it: so the end is noticed. */
  startReading(): void {
    if (this.#plait !== undefined && this.readable && !this.isPaused()) this.read(0);
    if (this.#isReadWanted && this.#isReady) this._read();
  }

  // -- TLS

  /** The handshake has succeeded. */
  #encrypted(): void {
    this.#isEncrypting = false;
    this.#timer?.active();
    this.#call(() => this.emit("secureConnect"));
    if (this.#isReady) this.#runDeferred();
    this.startReading();
  }

  /**
   * Encrypts behind the writes before it. Nothing is received meanwhile: what comes now must not be taken
   * for what comes encrypted.
   */
  protected encrypt(start: (plait: PlaitSocket) => Promise<void>): Promise<void> {
    this.#isHeld = true;
    this.#isReadWanted ||= this.isReceiving;
    this.#stopReceiving();
    const started = new Promise<void>((resolve, reject) => {
      const settle = (error?: Error | null): void => (error ? reject(error) : resolve());
      this.#starts.push({ start, settle });
      this.write(startOfTls, (error) => error && settle(error));
    });
    // When it fails, the socket is destroyed with the same error.
    started.catch(ignore);
    return started;
  }

  #startTls(callback: Callback): void {
    const plait = this.#plait!;
    const { start, settle } = this.#starts.shift()!;
    const end = (error?: unknown): void => {
      this.#finish();
      this.#isEncrypting = false;
      this.#isHeld = false;
      if (error === undefined && this.#plait === plait) {
        this.#encrypted();
        settle();
        callback();
        return;
      }
      const failure = error === undefined ? socketClosed() : transferError(error, "handshake");
      settle(failure);
      callback(failure);
    };
    this.#isEncrypting = true;
    this.#begin();
    outsideOfFibers(() => start(plait)).then(() => end(), end);
  }

  // -- Receiving

  override _read(_size?: number): void {
    if (!this.#isReady || this.#isHeld) {
      this.#isReadWanted = true;
      return;
    }
    this.#isReadWanted = false;
    if (this.#receiver!.isActive || this.#plait!.eof) return;
    if (running.getStore() === undefined) this.#receive();
    else running.exit(() => this.#receive());
  }

  #receive(): void {
    const receiver = this.#receiver!;
    receiver.isActive = true;
    const done = this.#plait!.receive(receiver, never);
    if (!receiver.isActive) return;
    // It waits for data.
    this.#begin();
    done.then(
      () => this.#finish(),
      (error: unknown) => {
        this.#finish();
        if (!receiver.isActive) return;
        // The socket of plait was closed below the stream.
        receiver.isActive = false;
        this.destroy(transferError(error, "read"));
      },
    );
  }

  /** Ends the operation that waits for data, with nothing consumed. */
  #stopReceiving(): void {
    if (!this.isReceiving) return;
    this.#receiver!.isActive = false;
    this.#plait!.withdraw(this.#receiver!);
  }

  // With a buffer of the program there is no buffer of the stream that could fill up: reading stops at once.

  override pause(): this {
    if (this.#ownReading !== undefined) this.#stopReceiving();
    return super.pause();
  }

  override resume(): this {
    if (this.#ownReading !== undefined && this.#isReady) this._read();
    return super.resume();
  }

  override read(size?: number): unknown {
    if (this.#ownReading !== undefined && this.#isReady) this._read();
    return super.read(size);
  }

  // -- Sending

  override _write(chunk: Chunk, encoding: BufferEncoding, callback: Callback): void {
    const data = encoded(chunk, encoding);
    if (!this.#isReady) {
      this.#defer({ data, run: () => this._write(data, "utf8", callback), callback });
    } else if (chunk === startOfTls) this.#startTls(callback);
    else this.#send(data, callback);
  }

  override _writev(chunks: { chunk: Chunk; encoding: BufferEncoding }[], callback: Callback): void {
    if (!this.#isReady) {
      const data = chunks.map(({ chunk, encoding }) => encoded(chunk, encoding));
      this.#defer({ data, run: () => this._writev(chunks, callback), callback });
      return;
    }
    const start = chunks.findIndex(({ chunk }) => chunk === startOfTls);
    if (start >= 0) {
      this.#writeAround(chunks, start, callback);
      return;
    }
    this.#send(
      chunks.map(({ chunk, encoding }) => encoded(chunk, encoding)),
      callback,
    );
  }

  /** Writes chunks. One of them is the start of TLS. */
  #writeAround(
    chunks: { chunk: Chunk; encoding: BufferEncoding }[],
    start: number,
    callback: Callback,
  ): void {
    const behind = chunks.slice(start + 1);
    const encrypt = (): void =>
      this.#startTls((error) => {
        if (error || behind.length === 0) callback(error);
        else this._writev(behind, callback);
      });
    if (start === 0) encrypt();
    else this._writev(chunks.slice(0, start), (error) => (error ? callback(error) : encrypt()));
  }

  #send(data: Chunk | Chunk[], callback: Callback): void {
    const plait = this.#plait!;
    this.#timer?.active();
    const before = plait.bytesWritten;
    const isOutside = running.getStore() === undefined;
    const sent = isOutside ? plait.write(data) : running.exit(() => plait.write(data));
    if (Bun.peek.status(sent) === "fulfilled") {
      callback();
      return;
    }
    this.#sending = data;
    this.#sentBefore = before;
    this.#begin();
    const end = (error?: unknown): void => {
      this.#finish();
      this.#sending = undefined;
      this.#timer?.active();
      if (error === undefined) callback();
      else if (this.#plait === plait) callback(transferError(error, "write"));
      else callback(streamDestroyed("write"));
    };
    sent.then(() => end(), end);
  }

  override _final(callback: Callback): void {
    if (this.connecting || (this.#plait !== undefined && this.#isEncrypting)) {
      this.#defer({ data: "", run: () => this._final(callback), callback: ignore });
      return;
    }
    const plait = this.#plait;
    if (plait === undefined) {
      callback();
      return;
    }
    this.#begin();
    const end = (error?: unknown): void => {
      this.#finish();
      // A connection that the peer has reset is over. Who reads learns of it.
      const isOver = this.#plait !== plait || resets.has((error as { code?: string })?.code);
      callback(error === undefined || isOver ? null : transferError(error, "shutdown"));
    };
    outsideOfFibers(() => plait.shutdown()).then(() => end(), end);
  }

  /** Keeps a write, or the end, until the connection can be used. The stream has one at a time. */
  #defer(deferred: Deferred): void {
    if (this.#plait === undefined && !this.connecting) deferred.callback(socketClosed());
    else this.#deferred = deferred;
  }

  #runDeferred(): void {
    const deferred = this.#deferred;
    this.#deferred = undefined;
    deferred?.run();
  }

  /** Bytes that were received. */
  get bytesRead(): number {
    if (!(#plait in this)) return 0;
    return this.#plait?.bytesRead ?? this.#bytesRead;
  }

  /** Bytes that were sent, and those that are buffered in the stream. */
  get bytesWritten(): number {
    // As Node's, although the types do not say so.
    if (!(#plait in this)) return undefined as unknown as number;
    return (
      (this.#plait === undefined ? this.#bytesWritten : this.#bytesAccepted) + this.#bytesBuffered
    );
  }

  /** Bytes that plait has sent, and the rest of the write that is under way. */
  get #bytesAccepted(): number {
    const taken = this.#plait!.bytesWritten;
    if (this.#sending === undefined) return taken;
    return Math.max(taken, this.#sentBefore + lengthOf(this.#sending));
  }

  get #bytesBuffered(): number {
    const state = this as unknown as {
      writableBuffer?: { chunk: Chunk; encoding: BufferEncoding }[];
    };
    let count = 0;
    for (const { chunk, encoding } of state.writableBuffer ?? []) {
      count += typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : chunk.byteLength;
    }
    return count + (this.#deferred === undefined ? 0 : lengthOf(this.#deferred.data));
  }

  // -- Ending

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const wasConnecting = this.connecting;
    this.connecting = false;
    this.#timer?.stop();
    const dialing = this.#dialing;
    this.#dialing = undefined;
    const plait = this.#plait;
    if (plait !== undefined) {
      this.#bytesWritten = this.#bytesAccepted;
      this.#stopReceiving();
      this.#plait = undefined;
      this.#bytesRead = plait.bytesRead;
      if (this.#isResetting) plait.reset();
      else plait.close();
    }
    callback(error);
    const deferred = this.#deferred;
    this.#deferred = undefined;
    if (plait === undefined && !wasConnecting) process.nextTick(emitClose, this);
    else setImmediate(emitClosed, this, error !== null, deferred);
    dialing?.cancel();
    for (const { settle } of this.#starts.splice(0)) settle(error ?? socketClosed());
    this.connectionClosed();
  }

  /** The socket is destroyed. */
  protected abstract connectionClosed(): void;

  /** Ends the stream, and destroys it when everything was sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", this.destroy);
  }

  /** Gives the socket of plait up, and destroys the stream. */
  protected release(): PlaitSocket {
    const plait = this.#plait!;
    this.#stopReceiving();
    this.#bytesWritten = plait.bytesWritten;
    this.#bytesRead = plait.bytesRead;
    this.#plait = undefined;
    this.destroy();
    return plait;
  }

  protected reset(): void {
    this.#isResetting = true;
    this.destroy();
  }

  /** Makes a destroyed stream new, so that it can be connected again. */
  protected renew(): void {
    (this as unknown as { _undestroy(): void })._undestroy();
    Reflect.deleteProperty(this, "write");
    this.#receiver = undefined;
    this.#isResetting = false;
    this.#isReadWanted = false;
    this.#isHeld = false;
  }

  // -- The process and the timer

  #begin(): void {
    this.#operations++;
    if (!this.#isReferenced) unhold();
  }

  #finish(): void {
    this.#operations--;
    if (!this.#isReferenced) hold();
  }

  /** Keeps the process alive while it connects, receives or sends, as it does from the start. */
  ref(): this {
    if (!this.#isReferenced) for (let count = this.#operations; count > 0; count--) hold();
    this.#isReferenced = true;
    return this;
  }

  /** Lets the process exit although the socket is open. */
  unref(): this {
    if (this.#isReferenced) for (let count = this.#operations; count > 0; count--) unhold();
    this.#isReferenced = false;
    return this;
  }

  protected setIdleTime(milliseconds: number): void {
    if (this.#timer === undefined) {
      if (milliseconds === 0) return;
      this.#timer = new IdleTimer(() => this.#expired());
    }
    this.#timer.set(milliseconds);
  }

  #sentAtExpiry = -1;

  #expired(): void {
    // A write that has gone on since the last time is activity.
    const sent = this.#plait?.bytesWritten ?? 0;
    if (this.#sending !== undefined && sent !== this.#sentAtExpiry && sent !== this.#sentBefore) {
      this.#sentAtExpiry = sent;
      this.#timer?.active();
      return;
    }
    this.#call(() => this.emit("timeout"));
  }
}

async function preparedOrClosed(plait: PlaitSocket, prepare: () => Promise<void>): Promise<void> {
  try {
    await prepare();
  } catch (error) {
    plait.close();
    throw error;
  }
}

function pushChunk(stream: Duplex, chunk: Buffer): boolean {
  return stream.push(chunk);
}

/** A chunk as plait takes it. It sends strings as UTF-8. */
function encoded(chunk: Chunk, encoding: BufferEncoding): Chunk {
  if (typeof chunk !== "string" || encoding === "utf8" || encoding === "utf-8") return chunk;
  return Buffer.from(chunk, encoding);
}

function lengthOf(data: Chunk | readonly Chunk[]): number {
  if (typeof data === "string") return Buffer.byteLength(data);
  if (data instanceof Uint8Array) return data.byteLength;
  return data.reduce((sum, part) => sum + lengthOf(part), 0);
}

function streamDestroyed(call: string): Error {
  return nodeError("ERR_STREAM_DESTROYED", `Cannot call ${call} after a stream was destroyed`);
}

function closedBeforeConnection(): Error {
  const text = "Socket closed before the connection was established";
  return nodeError("ERR_SOCKET_CLOSED_BEFORE_CONNECTION", text);
}
