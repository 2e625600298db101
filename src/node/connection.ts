/**
 * A duplex stream over a socket of plait: connecting, receiving, sending, ending, destroying. `Socket` adds
 * the rest of the surface of `node:net`.
 *
 * A subclass may add any member whose name has no underscore in front, as with `node:stream`.
 *
 * What it does in plait belongs to no fiber: a stream may outlive the fiber that has made it. Its listeners
 * run in the asynchronous context of the call of `connect`, or of `listen` for accepted sockets.
 */

import { Duplex, type DuplexOptions } from "node:stream";
import type { Socket as PlaitSocket } from "../net/socket.ts";
import { outsideOfFibers, running } from "../runtime/wait.ts";
import type { HandshakeSetup } from "../tls/handshake.ts";
import { never } from "../values/deadlines.ts";
import { Activity } from "./activity.ts";
import { type Context, currentContext } from "./context.ts";
import type { Target } from "./dial.ts";
import { type DialedStream, Dialing } from "./dialing.ts";
import { emitClose, emitClosed, end, peerHasEnded } from "./ends.ts";
import { callBack, socketClosed, throwUncaught, transferError } from "./errors.ts";
import { type OwnBuffer, Receiver } from "./receiver.ts";
import {
  type BufferedChunk,
  type Callback,
  type Chunk,
  encoded,
  lengthOf,
  lengthOfAll,
  Sender,
} from "./sender.ts";

/** Receives into a buffer of the program. */
export interface OwnReading {
  readonly buffer: OwnBuffer;
  readonly callback: (this: unknown, count: number, buffer: Uint8Array) => unknown;
}

function ignore(): void {}

/** A write, or the end, that waits until the connection can be used. */
interface Deferred {
  readonly data: Chunk | readonly Chunk[];
  readonly run: () => void;
  readonly callback: Callback;
}

/** A write that stands for the start of TLS: writes before it are plain, those behind it are encrypted. */
const startOfTls = Buffer.alloc(0);

export abstract class Connection extends Duplex {
  /** Whether `connect` was called and the connection is not made yet. */
  connecting = false;
  /** The addresses that the last `connect` has tried, when it had several; each with its port. */
  declare autoSelectFamilyAttemptedAddresses: string[];
  #plait: PlaitSocket | undefined = undefined;
  /** The two halves of the connection; made with it. */
  #receiver: Receiver | undefined = undefined;
  #sender: Sender | undefined = undefined;
  readonly #activity = new Activity();
  readonly #ownReading: OwnReading | undefined;
  #context: Context;
  /** What connects, from the call of `connect` on. */
  #dialing: Dialing | undefined = undefined;
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
  #isResetting = false;
  #isTruncated = false;
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
      stream.#activity.note();
      try {
        return stream.#context(pushChunk, stream, chunk);
      } catch (error) {
        throwUncaught(error);
        return this.isActive;
      }
    }

    protected override filled(count: number, buffer: Uint8Array): boolean {
      const stream = this.#stream;
      stream.#activity.note();
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
      if ((error as { code?: unknown }).code === "ERR_TLS_TRUNCATED") {
        this.#stream.#isTruncated = true;
        this.ended();
        return;
      }
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
  protected _prepare?(plait: PlaitSocket): Promise<void>;

  /** Begins with a socket that is connected. */
  protected _attach(plait: PlaitSocket): void {
    this.#plait = plait;
    this.#sender = new Sender(plait, this.#activity);
    this.#receiver = new Connection.#Receiver(plait, this, this.#ownReading?.buffer);
  }

  get #isReceiving(): boolean {
    return this.#receiver?.isActive === true;
  }

  /** Whether data can be exchanged: the connection is made, and no handshake is under way. */
  get #isReady(): boolean {
    return this.#plait !== undefined && !this.#isEncrypting;
  }

  /** Whether a handshake is under way, or waits for the writes before it. */
  protected get _isHandshaking(): boolean {
    return this.#isEncrypting || this.#isHeld;
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

  /** Connects. */
  protected _dial(target: Target, setup: HandshakeSetup | undefined): void {
    this.#context = currentContext();
    this.connecting = true;
    this.#isEncrypting = setup !== undefined;
    this.#activity.note();
    Reflect.deleteProperty(this, "autoSelectFamilyAttemptedAddresses");
    const dialing = new Dialing(target, setup, this.#dialed);
    this.#dialing = dialing;
    // In the next tick, so that the caller can add its listeners.
    process.nextTick(() => outsideOfFibers(() => dialing.start()));
  }

  get #dialed(): DialedStream {
    const emit = (name: string, ...args: unknown[]): void => {
      this.#call(() => this.emit(name, ...args));
    };
    return {
      begun: () => this.#activity.begin(),
      lookedUp: (...found) => emit("lookup", ...found),
      attempted: (address, port, family, isOneOfSeveral) => {
        if (isOneOfSeveral) {
          this.autoSelectFamilyAttemptedAddresses ??= [];
          this.autoSelectFamilyAttemptedAddresses.push(`${address}:${port}`);
        }
        emit("connectionAttempt", address, port, family);
      },
      attemptFailed: (...failure) => emit("connectionAttemptFailed", ...failure),
      prepare: (plait) => this._prepare?.(plait),
      connected: (plait) => this.#connected(plait),
      encrypted: () => this.#encrypted(),
      failed: (error) => this.destroy(error),
      ended: (dialing) => {
        this.#activity.finish();
        if (this.#dialing === dialing) this.#dialing = undefined;
      },
    };
  }

  #connected(plait: PlaitSocket): void {
    this._attach(plait);
    this.#activity.note();
    this.connecting = false;
    this._connectionMade(plait);
    this.#call(() => this.emit("connect"));
    if (this.#isReady) this.#runDeferred();
    this.#call(() => this.emit("ready"));
    if (this.#isReady) this._startReading();
  }

  /** Announces a connection that was there from the start. */
  protected _announce(): void {
    process.nextTick(() => {
      if (this.#plait === undefined) return;
      this.#call(() => this.emit("connect"));
      this.#call(() => this.emit("ready"));
    });
  }

  /** The connection is made: the settings that were chosen before apply to it. */
  protected abstract _connectionMade(plait: PlaitSocket): void;

  /** @internal Reads until the stream's buffer is full, as `node:net` does it: so the end is noticed. */
  _startReading(): void {
    if (this.#plait !== undefined && this.readable && !this.isPaused()) this.read(0);
    if (this.#isReadWanted && this.#isReady) this._read();
  }

  // -- TLS

  /** The handshake has succeeded. */
  #encrypted(): void {
    this.#isEncrypting = false;
    this.#activity.note();
    this.#call(() => this.emit("secureConnect"));
    if (this.#isReady) this.#runDeferred();
    this._startReading();
  }

  /**
   * Encrypts behind the writes before it. Nothing is received meanwhile: what comes now must not be taken
   * for what comes encrypted.
   */
  protected _encrypt(start: (plait: PlaitSocket) => Promise<void>): Promise<void> {
    this.#isHeld = true;
    this.#isReadWanted ||= this.#isReceiving;
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
      this.#activity.finish();
      this.#isEncrypting = false;
      this.#isHeld = false;
      if (error === undefined && this.#plait === plait) {
        this.#encrypted();
        settle();
        callBack(callback);
        return;
      }
      const failure = error === undefined ? socketClosed() : transferError(error, "handshake");
      settle(failure);
      callBack(callback, failure);
    };
    this.#isEncrypting = true;
    this.#activity.begin();
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
    this.#activity.begin();
    done.then(
      () => this.#activity.finish(),
      (error: unknown) => {
        this.#activity.finish();
        if (!receiver.isActive) return;
        // The socket of plait was closed below the stream.
        receiver.isActive = false;
        this.destroy(transferError(error, "read"));
      },
    );
  }

  /** Ends the operation that waits for data, with nothing consumed. */
  #stopReceiving(): void {
    if (!this.#isReceiving) return;
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
    else this.#sender!.write(data, callback);
  }

  override _writev(chunks: BufferedChunk[], callback: Callback): void {
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
    this.#sender!.write(
      chunks.map(({ chunk, encoding }) => encoded(chunk, encoding)),
      callback,
    );
  }

  /** Writes chunks. One of them is the start of TLS. */
  #writeAround(chunks: BufferedChunk[], start: number, callback: Callback): void {
    const behind = chunks.slice(start + 1);
    const encrypt = (): void =>
      this.#startTls((error) => {
        if (error || behind.length === 0) callback(error);
        else this._writev(behind, callback);
      });
    if (start === 0) encrypt();
    else this._writev(chunks.slice(0, start), (error) => (error ? callback(error) : encrypt()));
  }

  override _final(callback: Callback): void {
    if (this.#isReady) this.#sender!.end(callback);
    // Also before `connect` is called, as with Node.
    else this.#deferred = { data: "", run: () => this._final(callback), callback: ignore };
  }

  /** Keeps a write until the connection can be used. The stream has one at a time, and its end behind them. */
  #defer(deferred: Deferred): void {
    if (this.#plait === undefined && !this.connecting) deferred.callback(socketClosed());
    else this.#deferred = deferred;
  }

  #runDeferred(): void {
    const deferred = this.#deferred;
    this.#deferred = undefined;
    if (deferred !== undefined) callBack(deferred.run);
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
    const sent = this.#plait === undefined ? this.#bytesWritten : this.#sender!.bytesAccepted;
    return sent + this.#bytesBuffered;
  }

  get #bytesBuffered(): number {
    const state = this as unknown as { writableBuffer?: BufferedChunk[] };
    const waiting = this.#deferred === undefined ? 0 : lengthOf(this.#deferred.data);
    return waiting + lengthOfAll(state.writableBuffer ?? []);
  }

  // -- Ending

  /**
   * Whether the peer has ended an encrypted stream without close_notify: then its end may be missing, for
   * example because a third party has ended the connection (RFC 8446, section 6.1). As with Node, such an
   * end is an `end` event like any other.
   */
  get truncated(): boolean {
    return #plait in this && this.#isTruncated;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const wasConnecting = this.connecting;
    this.connecting = false;
    this.#activity.stopTimer();
    const dialing = this.#dialing;
    this.#dialing = undefined;
    const plait = this.#plait;
    if (plait !== undefined) {
      this.#letGo(plait);
      if (this.#isResetting) plait.reset();
      else plait.close();
    }
    callback(error);
    const unsent = this.#deferred?.callback;
    this.#deferred = undefined;
    if (plait === undefined && !wasConnecting) process.nextTick(emitClose, this);
    else setImmediate(emitClosed, this, error !== null, wasConnecting ? unsent : undefined);
    if (!wasConnecting && unsent !== undefined) process.nextTick(unsent, socketClosed());
    dialing?.cancel();
    for (const { settle } of this.#starts.splice(0)) settle(error ?? socketClosed());
    this._connectionClosed();
  }

  /** The socket is destroyed. */
  protected abstract _connectionClosed(): void;

  /** Ends the stream, and destroys it when everything was sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", this.destroy);
  }

  /** Gives the socket of plait up, and destroys the stream. */
  protected _release(): PlaitSocket {
    const plait = this.#plait!;
    this.#letGo(plait);
    this.destroy();
    return plait;
  }

  /** From now on there is no connection. */
  #letGo(plait: PlaitSocket): void {
    this.#stopReceiving();
    this.#bytesRead = plait.bytesRead;
    this.#bytesWritten = this.#sender!.bytesAccepted;
    this.#sender!.isOver = true;
    this.#plait = undefined;
  }

  protected _reset(): void {
    this.#isResetting = true;
    this.destroy();
  }

  /** Makes a destroyed stream new, so that it can be connected again. */
  protected _renew(): void {
    (this as unknown as { _undestroy(): void })._undestroy();
    Reflect.deleteProperty(this, "write");
    this.#receiver = undefined;
    this.#sender = undefined;
    this.#isResetting = false;
    this.#isTruncated = false;
    this.#isReadWanted = false;
    this.#isHeld = false;
  }

  // -- The process and the timer

  /** Keeps the process alive while it connects, receives or sends, as it does from the start. */
  ref(): this {
    this.#activity.ref();
    return this;
  }

  /** Lets the process exit although the socket is open. */
  unref(): this {
    this.#activity.unref();
    return this;
  }

  protected _setIdleTime(milliseconds: number): void {
    this.#activity.setIdleTime(milliseconds, () => this.#expired());
  }

  #expired(): void {
    if (this.#sender?.hasGoneOn()) this.#activity.note();
    else this.#call(() => this.emit("timeout"));
  }
}

function pushChunk(stream: Duplex, chunk: Buffer): boolean {
  return stream.push(chunk);
}
