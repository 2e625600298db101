/** Listening sockets. */

import { AsyncLocalStorage } from "node:async_hooks";
import { Endpoint } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { current, Fiber, fibers, type Named, startFiber } from "../runtime/fiber.ts";
import { attend, hold, unhold } from "../runtime/scheduler.ts";
import { scopeOwner, shield } from "../runtime/scope.ts";
import { type Call, immediate, refusal, rejected } from "../runtime/wait.ts";
import { serverContext } from "../tls/context.ts";
import { TlsError } from "../tls/errors.ts";
import { handshake } from "../tls/handshake.ts";
import { countDropped, defaultHandshakes, HandshakePlaces } from "../tls/handshake_places.ts";
import type { TlsContext, TlsOptions } from "../tls/options.ts";
import { serverSetup } from "../tls/start.ts";
import { checkFunction, checkLimit, ownOptions } from "../values/checks.ts";
import { after, checkedDeadline, type Deadline, hasPassed, never } from "../values/deadlines.ts";
import { CancelledError, endpoint, SocketError, TimeoutError } from "../values/errors.ts";
import { callProgram, isInstance } from "../values/foreign_values.ts";
import { Acceptor } from "./acceptor.ts";
import { addressPort, addressText } from "./addresses.ts";
import type { SocketKeeper } from "./connection.ts";
import { type ListenPlace, listeningHandle } from "./listen_place.ts";
import { Socket } from "./socket.ts";
import { SocketFile } from "./socket_file.ts";

/**
 * Serves one connection. The socket is closed when the handler returns or throws. If the peer would take
 * the end of the stream for the end of an answer, the handler calls `reset` before it throws.
 */
export type Handler = (socket: Socket) => unknown;

/** Where `listen` listens, and how it serves. */
export interface ListenOptions extends ListenPlace {
  /** Connections at a time; the next ones wait in the backlog. */
  maxConnections?: number | undefined;
  /**
   * TLS handshakes at a time; each counts as a connection too. If not given, 1,024, which take up to 60
   * MB, or half of `maxConnections` if that is less, so that established connections always have a place.
   * When one more comes, the client that has been silent for longest loses its connection; clients that
   * have not sent a whole ClientHello come first. `onError` is called once with the code
   * `ERR_TLS_TOO_MANY_HANDSHAKES`, and again only after the number has fallen to half.
   * `stats().handshakesDropped` counts them.
   */
  maxHandshakes?: number | undefined;
  /**
   * Called with errors that no caller waits for: exceptions of handlers, handshakes that fail, and a lack
   * of descriptors. The socket is closed by then; its `remoteAddress` is known, unless the handler itself
   * has closed it. Without `onError`, expected network errors (`SocketError`, `TimeoutError`,
   * `CancelledError`) are ignored. Any other exception of a handler, or of the `sni` function of `tls`,
   * is then an unhandled rejection.
   */
  onError?: ((error: unknown, socket?: Socket) => void) | undefined;
  /**
   * Encrypts every connection: the handler runs, and `accept` returns, after the handshake. Handshakes
   * run beside each other, so that none delays another. One that fails, or takes longer than
   * `handshakeTimeout`, is only reported to `onError`.
   */
  tls?: TlsOptions | TlsContext | undefined;
}

const accepting: Call = { syscall: "accept" };

const listenOptions: ReadonlySet<string> = new Set([
  "host",
  "port",
  "path",
  "fd",
  "backlog",
  "reusePort",
  "maxConnections",
  "maxHandshakes",
  "onError",
  "tls",
]);

/** The options of `close`. */
export interface CloseOptions {
  /** When the handlers that still run are cancelled, and their sockets closed; never if not given. */
  deadline?: number | undefined;
  /**
   * Cancels the handlers at once, with this reason. Their sockets stay open until they end or the
   * deadline passes, so that they can still say goodbye, under `shield`. Undefined and `false` cancel
   * nothing.
   */
  cancel?: unknown;
}

/** A fiber for one connection of a listener. */
abstract class SocketFiber<T> extends Fiber<T> {
  readonly socket: Socket;
  readonly listener: Listener;

  constructor(named: Named, socket: Socket, listener: Listener) {
    super(named);
    this.socket = socket;
    this.listener = listener;
  }

  override get place(): string {
    const { remoteAddress, remotePort } = this.socket;
    return remoteAddress ? endpoint(remoteAddress, remotePort) : "";
  }
}

/** The fiber of a handler, whose connection is closed when it ends. */
class ConnectionFiber extends SocketFiber<unknown> {
  override get name(): string {
    return super.name || "connection";
  }

  protected override onEnd(): void {
    // Looked up while it is open, for the error and for `onError`.
    if (this.state === "failed") void this.socket.remoteAddress;
    this.socket.close();
  }

  protected override takesFailure(error: unknown): boolean {
    const isExpected =
      isInstance(error, SocketError) ||
      isInstance(error, TimeoutError) ||
      isInstance(error, CancelledError);
    return this.listener.report(error, this.socket) || isExpected;
  }
}

/** The fiber of a handshake, for which neither a handler nor a caller of `accept` waits. */
class HandshakeFiber extends SocketFiber<void> {
  isDropped = false;

  protected override onEnd(): void {
    this.listener.handshakeEnded(this);
  }

  protected override takesFailure(error: unknown): boolean {
    if (this.listener.closed || this.isDropped) return true;
    const isExpected = isInstance(error, SocketError) || isInstance(error, TimeoutError);
    return this.listener.report(error, this.socket) || isExpected;
  }
}

/** A listening socket. */
export class Listener implements AsyncDisposable, AsyncIterable<Socket>, SocketKeeper {
  /** The address of the listener: an IP literal, or a path. */
  readonly address: string;
  /** The port of the listener; 0 for a Unix socket. */
  readonly port: number;
  #isReferenced = true;
  #connections = 0;
  readonly #file: SocketFile | undefined;
  readonly #maxConnections: number;
  readonly #onError: ListenOptions["onError"];
  readonly #handler: Handler | undefined;
  readonly #acceptor: Acceptor;
  /**
   * Runs a function in the asynchronous context of `listen`'s caller, not of the code whose turn accepts.
   */
  readonly #inContext = AsyncLocalStorage.snapshot();
  /** Handlers that themselves wait in `close`, with the number of these calls. */
  readonly #closers = new Map<ConnectionFiber, number>();
  readonly #handshakes: HandshakePlaces<HandshakeFiber>;
  /** Whether too many handshakes were reported to `onError`. */
  #hasReportedMany = false;
  /** Connections whose handshake ended when no caller of `accept` waited. */
  readonly #unclaimed: Socket[] = [];
  #tls: TlsContext | undefined;

  /** @internal Listeners come from `listen`, which passes its own copy of the options. */
  constructor(
    handle: number,
    file: SocketFile | undefined,
    options: ListenOptions,
    handler: Handler | undefined,
    tls: TlsContext | undefined,
  ) {
    this.#tls = tls;
    this.#file = file;
    this.#maxConnections = options.maxConnections ?? Number.POSITIVE_INFINITY;
    const mostHandshakes = Math.min(defaultHandshakes, Math.ceil(this.#maxConnections / 2));
    this.#handshakes = new HandshakePlaces(options.maxHandshakes ?? mostHandshakes);
    this.#onError = options.onError;
    this.#handler = handler;
    this.address = addressText(handle, Endpoint.local) ?? "";
    this.port = addressPort() ?? 0;
    this.#acceptor = new Acceptor(handle, this);
    hold();
    this.#acceptor.resume();
  }

  /** Whether it accepts no more connections. */
  get closed(): boolean {
    return this.#acceptor.closed;
  }

  /** How many connections of this listener are open. */
  get connections(): number {
    return this.#connections;
  }

  /** @internal Whether there is a use for another connection. */
  get wantsConnection(): boolean {
    if (this.#connections >= this.#maxConnections) return false;
    return this.#handler !== undefined || this.#acceptor.hasCallers;
  }

  /** @internal Whether there is a place for the handshake of one more connection. */
  hasRoom(): boolean {
    if (this.#tls === undefined || this.#handshakes.size < this.#handshakes.limit) return true;
    return this.#handshakes.silent() !== undefined;
  }

  /**
   * The next connection, for a listener without a handler.
   *
   * @throws {SocketError} `ERR_SOCKET_CLOSED` when the listener is closed
   * @throws {TimeoutError} {CancelledError}
   */
  async accept(deadline?: number): Promise<Socket> {
    const until = checkedDeadline(deadline);
    if (this.#handler !== undefined)
      throw new Error("this listener's connections go to its handler");
    const refused = refusal(accepting, until, this.closed);
    if (refused !== undefined) return rejected(refused, "accept");
    const socket = this.#unclaimed.shift();
    if (socket !== undefined) return immediate(socket, "accept");
    return this.#acceptor.accept(until);
  }

  /**
   * Gives other certificates and settings to later handshakes, for example to renew a certificate.
   * Established connections and handshakes under way keep theirs. Earlier sessions are resumed only if
   * the options are the same.
   *
   * @throws {TypeError} {RangeError} {TlsError} for options that cannot be used; then nothing changes
   * @throws {Error} for a listener without `tls`
   */
  setTls(options: TlsOptions | TlsContext): void {
    if (this.#tls === undefined) throw new Error("setTls: this listener was made without tls");
    this.#tls = serverContext(options, "setTls");
  }

  /** The connections in the order in which they come, until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Socket, void, undefined> {
    while (!this.closed) {
      let socket: Socket;
      try {
        socket = await this.accept();
      } catch (error) {
        if (this.closed && error instanceof SocketError) return;
        throw error;
      }
      yield socket;
    }
  }

  /**
   * Stops listening, then waits for the handlers that still run; `cancel` cancels them at once. At the
   * deadline it cancels them, closes their sockets, and waits until they have cleaned up, for at most a
   * second. Without a deadline it waits for as long as they take. Connections that `accept` has returned
   * belong to their owners. Connections in the backlog or in their handshake are closed at once. A
   * handler that calls `close` is neither cancelled nor waited for; nor is one that already waits in
   * `close` when another handler calls it.
   *
   * @throws {CancelledError} when the caller is cancelled before the deadline; the handlers go on
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { deadline, cancel } = ownOptions(options, closeOptions, "close");
    const until = checkedDeadline(deadline);
    this.#stop();
    const handlers = [...fibers()].filter((fiber) => this.#isHandler(fiber));
    const closer = [...owners(current())].find((fiber) => this.#isHandler(fiber));
    if (closer === undefined) return await this.#end(handlers, until, cancel);
    this.#countCloser(closer, 1);
    try {
      // Two handlers that waited for each other would wait for ever.
      const others = handlers.filter((fiber) => !this.#closers.has(fiber));
      await this.#end(others, until, cancel);
    } finally {
      this.#countCloser(closer, -1);
    }
  }

  /** A handler may have several calls of `close` under way. */
  #countCloser(closer: ConnectionFiber, change: 1 | -1): void {
    const count = (this.#closers.get(closer) ?? 0) + change;
    if (count === 0) this.#closers.delete(closer);
    else this.#closers.set(closer, count);
  }

  #isHandler(fiber: Fiber<unknown>): fiber is ConnectionFiber {
    return fiber instanceof ConnectionFiber && fiber.listener === this;
  }

  async #end(handlers: ConnectionFiber[], until: Deadline, cancel: unknown): Promise<void> {
    if (cancel !== undefined && cancel !== false)
      for (const fiber of handlers) fiber.cancel(cancel);
    try {
      // A deadline that has passed needs no wait. A cancelled caller could not have one.
      if (!hasPassed(until)) await this.#join(handlers, until);
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
    const rest = handlers.filter((fiber) => !fiber.hasEnded);
    if (rest.length === 0) return;
    const reason = new SocketError("ERR_SOCKET_CLOSED", { syscall: "close" });
    for (const fiber of rest) {
      fiber.cancel(reason);
      fiber.socket.close();
    }
    // A handler that awaits a foreign promise may never end.
    await shield(() => this.#join(rest, never), after(cleanUpMilliseconds)).catch(() => {});
  }

  async #join(handlers: ConnectionFiber[], until: Deadline): Promise<void> {
    // The error of a handler is reported as at any other time.
    for (const fiber of handlers) await fiber.joinUnheard(until);
  }

  #stop(): void {
    if (this.closed) return;
    this.#acceptor.close();
    if (this.#isReferenced) unhold();
    const reason = new SocketError("ERR_SOCKET_CLOSED", { syscall: "close" });
    for (const fiber of [...this.#handshakes]) {
      fiber.cancel(reason);
      fiber.socket.close();
    }
    for (const socket of this.#unclaimed.splice(0)) socket.close();
    this.#file?.remove();
    attend();
  }

  /** Closes at once: handlers are cancelled, not waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close({ deadline: core.now() });
  }

  /** Keeps the process alive while the listener is open, as it does from the start. */
  ref(): this {
    if (!this.#isReferenced && !this.closed) hold();
    this.#isReferenced = true;
    return this;
  }

  /** Lets the process exit although the listener is open. */
  unref(): this {
    if (this.#isReferenced && !this.closed) unhold();
    this.#isReferenced = false;
    return this;
  }

  /** @internal Calls `onError`; returns false when there is none. */
  report(error: unknown, socket?: Socket): boolean {
    const onError = this.#onError;
    if (onError === undefined) return false;
    callProgram(() => this.#inContext(onError, error, socket));
    return true;
  }

  /** @internal Gives an accepted connection to its handshake, its handler or a caller of `accept`. */
  welcome(handle: number): void {
    const socket = new Socket(handle, this);
    this.#connections++;
    const context = this.#tls;
    if (context === undefined) {
      this.#serve(socket);
      return;
    }
    if (this.#handshakes.size >= this.#handshakes.limit) this.#dropHandshake();
    // `onError` may have closed the listener.
    if (this.closed) {
      socket.close();
      return;
    }
    const timeout = context.settings.handshakeTimeout;
    const until = timeout === 0 ? never : after(timeout);
    const fiber = new HandshakeFiber("handshake", socket, this);
    this.#handshakes.add(fiber);
    const body = (): Promise<void> => handshake(socket, serverSetup(context), until);
    this.#inContext(startFiber<void>, fiber, body);
  }

  #dropHandshake(): void {
    const fiber = this.#handshakes.silent();
    if (fiber === undefined) return;
    const reason = new TlsError("ERR_TLS_TOO_MANY_HANDSHAKES", {
      syscall: "handshake",
      reason: `${this.#handshakes.limit} others are under way`,
    });
    fiber.isDropped = true;
    fiber.cancel(reason);
    fiber.socket.reset();
    countDropped();
    if (this.#hasReportedMany) return;
    this.#hasReportedMany = true;
    this.report(reason);
  }

  /** @internal */
  handshakeEnded(fiber: HandshakeFiber): void {
    this.#handshakes.delete(fiber);
    if (this.#handshakes.size <= this.#handshakes.limit / 2) this.#hasReportedMany = false;
    const { socket } = fiber;
    if (fiber.state !== "done" || this.closed) socket.close();
    else if (!socket.closed) this.#serve(socket);
  }

  /** Gives a connection to the handler, or to a caller of `accept`. */
  #serve(socket: Socket): void {
    if (this.#handler === undefined) {
      if (this.#acceptor.hasCallers) this.#acceptor.serveCaller(socket);
      else this.#unclaimed.push(socket);
      return;
    }
    const fiber = new ConnectionFiber(this.#handler, socket, this);
    this.#inContext(startFiber<unknown, Socket>, fiber, this.#handler, socket);
  }

  /** @internal */
  socketClosed(): void {
    this.#connections--;
    this.#acceptor.resume();
  }
}

/** Milliseconds for the clean-up of handlers after the deadline. */
const cleanUpMilliseconds = 1000;

/** A fiber and those around it: each waits for a scope that the one before it is in. */
function* owners(fiber: Fiber | undefined): Generator<Fiber> {
  for (let owner = fiber; owner instanceof Fiber; owner = scopeOwner(owner) as Fiber | undefined) {
    yield owner;
  }
}

/** @internal */
export const closeOptions: ReadonlySet<string> = new Set(["deadline", "cancel"]);

/**
 * Listens at a TCP port or a Unix socket. Each connection runs `handler` on a fiber of its own. Without a
 * handler, `accept` or `for await` over the listener returns the connections.
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong
 * @throws {TlsError} for certificates and keys that cannot be used
 * @throws {SocketError} `EADDRINUSE`, `EACCES` and the like
 */
export async function listen(options: ListenOptions, handler?: Handler): Promise<Listener> {
  const own = ownOptions(options, listenOptions, "listen");
  checkFunction(handler, "the handler of listen");
  checkFunction(own.onError, "onError");
  checkLimit(own.maxConnections, "maxConnections");
  checkLimit(own.maxHandshakes, "maxHandshakes");
  const tls = own.tls === undefined ? undefined : serverContext(own.tls, "tls");
  const opening = listeningHandle(own);
  // A path is bound by now.
  const { path } = own;
  const file = path === undefined || path.startsWith("\0") ? undefined : new SocketFile(path);
  return new Listener(await opening, file, own, handler, tls);
}
