/** `net.Server` on plait. */

import { EventEmitter } from "node:events";
import { chmodSync, statSync } from "node:fs";
import { type AddressInfo, isIP } from "node:net";
import type { DuplexOptions } from "node:stream";
import { Endpoint } from "../core/abi.ts";
import { Acceptor } from "../net/acceptor.ts";
import { addressPort, addressText } from "../net/addresses.ts";
import { Socket as PlaitSocket } from "../net/socket.ts";
import { SocketFile } from "../net/socket_file.ts";
import { hold, unhold } from "../runtime/scheduler.ts";
import { running } from "../runtime/wait.ts";
import { serverContext } from "../tls/context.ts";
import type { TlsContext } from "../tls/options.ts";
import { isAborted, isAbortSignal } from "../values/abort_signals.ts";
import { after, never } from "../values/deadlines.ts";
import { backlogOf, checkedPort, familyName, isPath, readArguments } from "./arguments.ts";
import { type Context, currentContext } from "./context.ts";
import { checkedFilter, isBlocked } from "./dial.ts";
import { nodeError, throwUncaught, unsupported, wrongType, wrongValue } from "./errors.ts";
import { type ListenTarget, listeningHandle, lookUpHost } from "./listening.ts";
import type { AcceptingServer, AddressFilter, ListenOptions, ServerOptions } from "./options.ts";
import { Accepted, Socket, streamOptions } from "./socket.ts";

type ConnectionListener = (socket: Socket) => void;

/** A socket that listens, while it does. */
interface Listening {
  readonly acceptor: Acceptor;
  readonly file: SocketFile | undefined;
  readonly address: AddressInfo | string;
}

/** What is known of a connection that `maxConnections` or `blockList` has dropped. */
export interface DropArgument {
  localAddress?: string | undefined;
  localPort?: number | undefined;
  localFamily?: string | undefined;
  remoteAddress?: string | undefined;
  remotePort?: number | undefined;
  remoteFamily?: string | undefined;
}

/** A TCP or Unix server with the surface of `net.Server`. */
export class Server extends EventEmitter implements AcceptingServer {
  /** Connections at a time: one more is accepted, closed, and reported with the event `drop`. */
  declare maxConnections: number;
  readonly allowHalfOpen: boolean;
  readonly pauseOnConnect: boolean;
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelay: number;
  readonly #blockList: AddressFilter | undefined;
  readonly #tls: TlsContext | undefined;
  /** Those of the streams of its connections. */
  readonly #streamOptions: DuplexOptions;
  #listening: Listening | undefined = undefined;
  /** Whether the address of `listen` is still looked up. A close makes it another object. */
  #lookUp: object | undefined = undefined;
  #connections = 0;
  #isReferenced = true;
  #context: Context = currentContext();

  /**
   * @throws {TypeError} for options that are not an object
   * @throws {TypeError} {RangeError} {TlsError} for options of `tls` that cannot be used
   */
  constructor(listener?: ConnectionListener);
  constructor(options?: ServerOptions | null, listener?: ConnectionListener);
  constructor(first?: ServerOptions | ConnectionListener | null, second?: ConnectionListener) {
    super();
    const options = typeof first === "function" ? {} : (first ?? {});
    if (typeof options !== "object") throw wrongType("options", "of type object", first);
    const listener = typeof first === "function" ? first : second;
    const { keepAliveInitialDelay = 0, highWaterMark, blockList, tls } = options;
    this.#tls = tls === undefined ? undefined : serverContext(tls, "tls");
    if (typeof listener === "function") {
      this.on(this.#tls === undefined ? "connection" : "secureConnection", listener);
    }
    if (typeof keepAliveInitialDelay !== "number") {
      throw wrongType("options.keepAliveInitialDelay", "of type number", keepAliveInitialDelay);
    }
    this.allowHalfOpen = Boolean(options.allowHalfOpen);
    this.pauseOnConnect = Boolean(options.pauseOnConnect);
    this.noDelay = Boolean(options.noDelay);
    this.keepAlive = Boolean(options.keepAlive);
    this.keepAliveInitialDelay = Math.max(keepAliveInitialDelay, 0);
    this.#blockList = checkedFilter(blockList);
    const { allowHalfOpen } = this;
    const marks = highWaterMark === undefined ? {} : { highWaterMark };
    this.#streamOptions = { ...streamOptions, ...marks, allowHalfOpen };
  }

  /**
   * Listens: `(options)`, `(port, host, backlog)`, `(path, backlog)` or `(options)` with a descriptor, each
   * with a listener of `listening`. With an address, a path or a descriptor it listens when this returns;
   * a host name is looked up first. Errors are `error` events.
   *
   * @throws {TypeError} {RangeError} for wrong arguments, {Error} `ERR_SERVER_ALREADY_LISTEN`, and for what
   *   is not supported
   */
  listen(port?: number, host?: string, backlog?: number, listener?: () => void): this;
  listen(port?: number, host?: string, listener?: () => void): this;
  listen(port?: number, backlog?: number, listener?: () => void): this;
  listen(port?: number, listener?: () => void): this;
  listen(path: string, backlog?: number, listener?: () => void): this;
  listen(path: string, listener?: () => void): this;
  listen(options: ListenOptions, listener?: () => void): this;
  listen(...given: unknown[]): this {
    const { options, callback } = readArguments(given);
    if (this.#listening !== undefined || this.#lookUp !== undefined) {
      const text = "Listen method has been called more than once without closing.";
      throw nodeError("ERR_SERVER_ALREADY_LISTEN", text);
    }
    if (callback !== undefined) this.once("listening", callback);
    const backlog = backlogOf(given) ?? backlogIn(options);
    this.#closeWith(options.signal);
    const target = listenTarget(options, given, backlog);
    this.#context = currentContext();
    const needsLookUp = target.host !== undefined && isIP(target.host) === 0;
    if (needsLookUp) void this.#listenAtName(target.host!, target);
    else this.#listen(target);
    return this;
  }

  #closeWith(signal: unknown): void {
    if (signal === undefined) return;
    if (!isAbortSignal(signal))
      throw wrongType("options.signal", "an instance of AbortSignal", signal);
    const close = (): void => void this.close();
    if (isAborted(signal)) {
      process.nextTick(close);
      return;
    }
    signal.addEventListener("abort", close, { once: true });
    this.once("close", () => signal.removeEventListener("abort", close));
  }

  async #listenAtName(name: string, target: ListenTarget): Promise<void> {
    const lookUp = {};
    this.#lookUp = lookUp;
    try {
      const host = await running.exit(() => lookUpHost(name));
      if (this.#lookUp !== lookUp) return;
      this.#lookUp = undefined;
      this.#listen({ ...target, host });
    } catch (error) {
      if (this.#lookUp !== lookUp) return;
      this.#lookUp = undefined;
      this.#emitLater("error", error);
    }
  }

  #listen(target: ListenTarget): void {
    let handle: number;
    let file: SocketFile | undefined;
    try {
      handle = listeningHandle(target);
      const { path } = target;
      // The path is bound by now.
      if (path !== undefined && !path.startsWith("\0")) file = new SocketFile(path);
      if (path !== undefined && target.mode !== undefined)
        chmodSync(path, statSync(path).mode | target.mode);
    } catch (error) {
      this.#emitLater("error", error);
      return;
    }
    const address = addressOf(handle, target.path);
    const acceptor = new Acceptor(handle, {
      wantsConnection: true,
      hasRoom: () => true,
      welcome: (accepted) => this.#welcome(accepted),
      // A lack of descriptors: the connection stays in the backlog, and is accepted later.
      report: () => true,
    });
    this.#listening = { acceptor, file, address };
    if (this.#isReferenced) hold();
    running.exit(() => acceptor.resume());
    process.nextTick(() => {
      if (this.#listening?.acceptor === acceptor) this.emit("listening");
    });
  }

  /** The rejection of an asynchronous listener, with `captureRejections` of `node:events`. */
  [Symbol.for("nodejs.rejection")](error: Error, event: string, ...args: unknown[]): void {
    if (event === "connection") (args[0] as Socket).destroy(error);
    else this.emit("error", error);
  }

  #emitLater(event: string, ...args: unknown[]): void {
    process.nextTick(() => this.emit(event, ...args));
  }

  #welcome(handle: number): void {
    const plait = new PlaitSocket(handle);
    try {
      this.#context(() => this.#serve(plait));
    } catch (error) {
      throwUncaught(error);
    }
  }

  #serve(plait: PlaitSocket): void {
    const { maxConnections } = this;
    const isFull =
      maxConnections !== undefined &&
      maxConnections !== null &&
      this.#connections >= maxConnections;
    if (isFull || isBlocked(this.#blockList, plait.remoteAddress ?? "")) {
      const dropped = dropArgument(plait);
      plait.close();
      if (dropped === undefined) this.emit("drop");
      else this.emit("drop", dropped);
      return;
    }
    this.#connections++;
    const socket = new Socket(new Accepted(plait, this, this.#streamOptions, this.#context));
    // The sockets of plait have TCP_NODELAY from the start.
    if (this.noDelay) socket.setNoDelay(true);
    if (this.keepAlive) socket.setKeepAlive(true, this.keepAliveInitialDelay);
    if (this.pauseOnConnect) socket.pause();
    if (this.#tls !== undefined) this.#secure(socket, this.#tls);
    try {
      this.emit("connection", socket);
    } finally {
      if (!this.pauseOnConnect) socket._startReading();
    }
  }

  /** Begins the handshake. Until it has ended, an error of the socket is the server's `tlsClientError`. */
  #secure(socket: Socket, context: TlsContext): void {
    const failed = (error: Error): void => void this.emit("tlsClientError", error, socket);
    socket.on("error", failed);
    socket.once("secureConnect", () => {
      socket.off("error", failed);
      this.emit("secureConnection", socket);
    });
    const { handshakeTimeout } = context.settings;
    void socket.startTls(context, handshakeTimeout === 0 ? never : after(handshakeTimeout));
  }

  /** @internal A socket of this server is destroyed. */
  connectionClosed(): void {
    this.#connections--;
    this.#emitCloseIfDrained();
  }

  /** How many connections are open; `getConnections` has the same. */
  get connections(): number {
    return this.#connections;
  }

  get listening(): boolean {
    return this.#listening !== undefined;
  }

  /** The address, its family and the port; the path of a Unix socket; null while it does not listen. */
  address(): AddressInfo | string | null {
    return this.#listening?.address ?? null;
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this.#connections);
    return this;
  }

  /**
   * Stops listening. `close` is emitted when all connections have ended. The callback gets an
   * `ERR_SERVER_NOT_RUNNING` when the server did not listen.
   */
  close(callback?: (error?: Error) => void): this {
    const listening = this.#listening;
    const isRunning = listening !== undefined || this.#lookUp !== undefined;
    if (typeof callback === "function") {
      if (isRunning) this.once("close", callback);
      else {
        this.once("close", () =>
          callback(nodeError("ERR_SERVER_NOT_RUNNING", "Server is not running.")),
        );
      }
    }
    this.#lookUp = undefined;
    this.#listening = undefined;
    if (listening !== undefined) {
      listening.acceptor.close();
      listening.file?.remove();
      if (this.#isReferenced) unhold();
    }
    this.#emitCloseIfDrained();
    return this;
  }

  #emitCloseIfDrained(): void {
    if (this.#listening !== undefined || this.#connections > 0) return;
    this.#emitLater("close");
  }

  /** Closes, and waits for the connections to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#listening === undefined && this.#lookUp === undefined) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.close((error) => (error ? reject(error) : resolve()));
    await promise;
  }

  /** Keeps the process alive while it listens, as it does from the start. */
  ref(): this {
    if (!this.#isReferenced && this.#listening !== undefined) hold();
    this.#isReferenced = true;
    return this;
  }

  /** Lets the process exit although it listens. */
  unref(): this {
    if (this.#isReferenced && this.#listening !== undefined) unhold();
    this.#isReferenced = false;
    return this;
  }
}

function backlogIn({ backlog }: Record<string, unknown>): number | undefined {
  return typeof backlog === "number" && backlog > 0 ? backlog : undefined;
}

/** What the arguments of `listen` mean, checked as Node does it. */
function listenTarget(
  options: Record<string, unknown>,
  given: readonly unknown[],
  backlog: number | undefined,
): ListenTarget {
  if (options.handle !== undefined || options._handle !== undefined) {
    throw unsupported("listening on a handle");
  }
  const { fd, path, host } = options;
  const { readableAll, writableAll } = options;
  const flags = { ipv6Only: options.ipv6Only === true, reusePort: options.reusePort === true };
  const nothing = { fd: undefined, path: undefined, host: undefined, port: 0, mode: undefined };
  const common = { ...nothing, ...flags, backlog };
  if (typeof fd === "number" && fd >= 0) return { ...common, fd };
  let { port } = options;
  const isOmitted = given.length === 0 || typeof given[0] === "function";
  if (isOmitted || (port === undefined && "port" in options) || port === null) port = 0;
  if (typeof port === "number" || typeof port === "string") {
    const checked = checkedPort(port, "options.port");
    return { ...common, port: checked, host: typeof host === "string" && host ? host : undefined };
  }
  if (isPath(path) && path !== "") {
    const mode = (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0);
    return { ...common, path, mode: mode === 0 ? undefined : mode };
  }
  const reason = 'must have the property "port" or "path"';
  if (!("port" in options) && !("path" in options)) throw wrongValue("options", options, reason);
  throw wrongValue("options", options, "is invalid");
}

function addressOf(handle: number, path: string | undefined): AddressInfo | string {
  if (path !== undefined) return path;
  const address = addressText(handle, Endpoint.local) ?? "";
  const port = addressPort();
  return port === undefined ? address : { address, family: familyName(address)!, port };
}

/** Undefined for a Unix socket. */
function dropArgument(plait: PlaitSocket): DropArgument | undefined {
  const { localPort, remotePort } = plait;
  if (localPort === undefined) return undefined;
  const { localAddress, remoteAddress } = plait;
  return {
    localAddress,
    localPort,
    localFamily: familyName(localAddress),
    remoteAddress,
    remotePort,
    remoteFamily: familyName(remoteAddress),
  };
}
