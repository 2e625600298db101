/** `net.Socket` on a socket of plait. */

import type { AddressInfo, SetKeepAliveOptions, SocketReadyState } from "node:net";
import { addAbortSignal, type DuplexOptions } from "node:stream";
import type { CipherNameAndProtocol, DetailedPeerCertificate, PeerCertificate } from "node:tls";
import type { KeepAliveOptions } from "../net/keep_alive.ts";
import { Socket as PlaitSocket } from "../net/socket.ts";
import type { X509Certificate } from "../tls/certificates.ts";
import { handshake } from "../tls/handshake.ts";
import type { TlsContext } from "../tls/options.ts";
import { clientSetup, type StartTlsOptions, startSetup } from "../tls/start.ts";
import { checkedDeadline } from "../values/deadlines.ts";
import { checkCallback, checkedDuration, familyName, readArguments } from "./arguments.ts";
import { Connection, type OwnReading } from "./connection.ts";
import { type Context, currentContext } from "./context.ts";
import { checkedTarget } from "./dial.ts";
import {
  nodeError,
  socketClosed,
  systemError,
  unsupported,
  wrongType,
  wrongValue,
} from "./errors.ts";
import { exportKeys } from "./exporter.ts";
import type { AcceptingServer, ConnectOptions, SocketOptions } from "./options.ts";
import { cipherOf, peerCertificate } from "./peer_certificate.ts";

/** An accepted connection, as a server makes a `Socket` of it. */
export class Accepted {
  readonly plait: PlaitSocket;
  readonly server: AcceptingServer;
  readonly stream: DuplexOptions;
  readonly context: Context;

  constructor(
    plait: PlaitSocket,
    server: AcceptingServer,
    stream: DuplexOptions,
    context: Context,
  ) {
    this.plait = plait;
    this.server = server;
    this.stream = stream;
    this.context = context;
  }
}

/** What the streams of sockets have in common: strings are encoded by plait, and `close` comes from it. */
export const streamOptions: DuplexOptions = {
  emitClose: false,
  autoDestroy: true,
  decodeStrings: false,
};

function streamOptionsOf(options: SocketOptions): DuplexOptions {
  for (const name of ["objectMode", "readableObjectMode", "writableObjectMode"]) {
    const value = (options as Record<string, unknown>)[name];
    if (value) throw wrongValue(`options.${name}`, value, "is not supported");
  }
  const { allowHalfOpen, readable, writable, highWaterMark } = options;
  const { readableHighWaterMark, writableHighWaterMark } = options;
  const given = { readable, writable, highWaterMark };
  const marks = { readableHighWaterMark, writableHighWaterMark };
  const stream = { ...streamOptions, ...given, ...marks, allowHalfOpen: allowHalfOpen === true };
  for (const [name, value] of Object.entries(stream)) {
    if (value === undefined) Reflect.deleteProperty(stream, name);
  }
  return stream;
}

function ownReadingOf({ onread }: SocketOptions): OwnReading | undefined {
  if (typeof onread !== "object" || onread === null) return undefined;
  const { buffer, callback } = onread;
  const isBuffer = buffer instanceof Uint8Array || typeof buffer === "function";
  return isBuffer && typeof callback === "function" ? { buffer, callback } : undefined;
}

/**
 * A stream socket, TCP or Unix, with the surface of `net.Socket`. It is connected by `connect`, accepted by a
 * `Server`, or made of a connected socket of plait.
 *
 * Errors are `error` events with Node's codes. Events, their order, and the other rules are those of
 * `node:net`; docs/net.md has the differences.
 */
export class Socket extends Connection {
  /** The server that has accepted it. */
  readonly server: AcceptingServer | null;
  /** The milliseconds of `setTimeout`. */
  timeout: number | undefined = undefined;
  #noDelay: boolean | undefined;
  #keepAlive: false | KeepAliveOptions | undefined;
  /** Whether it was made of a connected socket, for which `connect` only announces that. */
  #isGiven = false;
  /** Whether the server counts it. */
  #isCounted = false;
  /** The host of `connect`. */
  #host: string | undefined = undefined;

  /** @internal */
  constructor(accepted: Accepted);
  /**
   * @throws {TypeError} {RangeError} for wrong options, {Error} for what is not supported
   * @throws {SocketError} when `fd` is not a connected stream socket
   */
  constructor(options?: SocketOptions | number);
  constructor(options?: SocketOptions | number | Accepted) {
    if (options instanceof Accepted) {
      const { plait, server, stream, context } = options;
      super(stream, undefined, context);
      this.server = server;
      this.#isCounted = true;
      this._attach(plait);
      return;
    }
    const given = typeof options === "number" ? { fd: options } : (options ?? {});
    if (typeof given !== "object") throw wrongType("options", "of type object", given);
    const { noDelay, keepAlive, keepAliveInitialDelay = 0, signal } = given;
    if ("handle" in given && given.handle) throw unsupported("the option handle");
    const plait = givenSocket(given);
    super(streamOptionsOf(given), ownReadingOf(given), currentContext());
    this.server = null;
    this.#noDelay = noDelay === undefined ? undefined : Boolean(noDelay);
    if (keepAlive) this.#keepAlive = probes({ enable: true, initialDelay: keepAliveInitialDelay });
    if (plait !== undefined) {
      this.#isGiven = true;
      this._attach(plait);
      this._connectionMade(plait);
      this._startReading();
    }
    if (signal) addAbortSignal(signal, this);
  }

  // -- Connecting

  /**
   * Connects: `(options)`, `(port, host)` or `(path)`, each with a listener of `connect`. On a socket that
   * connects already this only adds the listener; for one that was made of a connected socket, `connect`
   * and `ready` are emitted in the next tick. A socket that is closed can be connected again.
   *
   * @throws {TypeError} {RangeError} for wrong arguments, {Error} for what is not supported
   */
  connect(options: ConnectOptions, listener?: () => void): this;
  connect(port: number, host: string, listener?: () => void): this;
  connect(port: number, listener?: () => void): this;
  connect(path: string, listener?: () => void): this;
  connect(...given: unknown[]): this {
    const { options, callback } = readArguments(given);
    const isFirst = !this.connecting && (this.plaitSocket === undefined || !this.#isGiven);
    const target = isFirst ? checkedTarget(options) : undefined;
    const { tls } = options as ConnectOptions;
    const isEncrypted = tls !== undefined && tls !== false;
    const host = target?.path === undefined ? target?.host : undefined;
    const setup = isFirst && isEncrypted ? clientSetup(tls, host, "tls") : undefined;
    if (callback !== undefined) this.once("connect", callback);
    if (this.connecting) return this;
    if (this.plaitSocket !== undefined) {
      if (this.#isGiven) this._announce();
      else this.destroy(systemError("EISCONN", "connect", { address: host, port: target?.port }));
      return this;
    }
    if (this.destroyed) this._renew();
    this.#host = host;
    this._dial(target!, setup);
    return this;
  }

  protected override _connectionMade(plait: PlaitSocket): void {
    if (this.#noDelay === false) this.#applyNoDelay(plait, false);
    if (this.#keepAlive !== undefined) this.#applyKeepAlive(plait, this.#keepAlive);
  }

  protected override _connectionClosed(): void {
    // One that was closed, and has connected to another peer, is no connection of the server.
    if (this.#isCounted) this.server?.connectionClosed();
    this.#isCounted = false;
  }

  /** Whether there is no connection: `connect` was not called, or has not ended yet, or it is closed. */
  get pending(): boolean {
    return this.plaitSocket === undefined || this.connecting;
  }

  get readyState(): SocketReadyState {
    if (this.connecting) return "opening";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /**
   * Returns the socket of plait, and destroys the stream without closing it.
   *
   * @throws {Error} `ERR_SOCKET_CLOSED` without a connection; `EBUSY` while data is buffered in the stream, and
   *   before the end of a handshake
   */
  detach(): PlaitSocket {
    if (this.plaitSocket === undefined) throw socketClosed();
    if (this._isHandshaking) {
      throw systemError("EBUSY", "detach", {}, "a handshake is under way");
    }
    if (this.readableLength > 0 || this.writableLength > 0) {
      throw systemError("EBUSY", "detach", {}, "data is buffered in the stream");
    }
    return this._release();
  }

  /** Ends with a reset (RST): what was not sent yet is lost. */
  resetAndDestroy(): this {
    if (this.plaitSocket !== undefined) this._reset();
    else if (this.connecting) this.once("connect", () => this._reset());
    else this.destroy(socketClosed());
    return this;
  }

  /** What `node:net` has here is an object of its own. Some programs look whether it is there. */
  get _handle(): PlaitSocket | null {
    return this.plaitSocket ?? null;
  }

  get _connecting(): boolean {
    return this.connecting;
  }

  // -- Settings

  /** Emits `timeout` when nothing was sent or received for so many milliseconds; 0 is never. */
  setTimeout(timeout: number, callback?: () => void): this {
    if (this.destroyed) return this;
    const milliseconds = checkedDuration(timeout, "msecs");
    if (callback !== undefined) checkCallback(callback, "callback");
    this.timeout = timeout;
    this._setIdleTime(milliseconds);
    if (callback !== undefined) {
      if (milliseconds === 0) this.removeListener("timeout", callback);
      else this.once("timeout", callback);
    }
    return this;
  }

  /** Whether small writes are sent at once (TCP_NODELAY); they are from the start. */
  setNoDelay(noDelay: boolean = true): this {
    const isOn = Boolean(noDelay);
    if (this.#noDelay === isOn) return this;
    this.#noDelay = isOn;
    if (this.plaitSocket !== undefined) this.#applyNoDelay(this.plaitSocket, isOn);
    return this;
  }

  /**
   * Whether the kernel probes a silent peer, after how many milliseconds of silence, how many milliseconds
   * there are between probes, and after how many of them without an answer the connection ends. 0 stands for
   * the default of the system.
   */
  setKeepAlive(options: SetKeepAliveOptions): this;
  setKeepAlive(enable?: boolean, initialDelay?: number, interval?: number, count?: number): this;
  setKeepAlive(
    first: boolean | SetKeepAliveOptions = false,
    initialDelay = 0,
    interval = 0,
    count = 0,
  ): this {
    const isObject = typeof first === "object" && first !== null;
    const given = isObject ? first : { enable: Boolean(first), initialDelay, interval, count };
    this.#keepAlive = probes(given);
    if (this.plaitSocket !== undefined) this.#applyKeepAlive(this.plaitSocket, this.#keepAlive);
    return this;
  }

  /** @throws {Error} it is not supported */
  setTypeOfService(_service: number): this {
    throw unsupported("setTypeOfService");
  }

  /** @throws {Error} it is not supported */
  getTypeOfService(): number {
    throw unsupported("getTypeOfService");
  }

  /** As with Node, a Unix socket ignores the settings of TCP. */
  #applyNoDelay(plait: PlaitSocket, isOn: boolean): void {
    if (plait.localPort !== undefined) plait.setNoDelay(isOn);
  }

  #applyKeepAlive(plait: PlaitSocket, probes: false | KeepAliveOptions): void {
    if (plait.localPort !== undefined) plait.setKeepAlive(probes);
  }

  // -- Addresses

  /** The local address, its family and its port; an empty object without a connection. */
  address(): AddressInfo | Record<string, never> {
    const { localAddress: address, localFamily: family, localPort: port } = this;
    return address === undefined ? {} : { address, family: family!, port: port! };
  }

  get localAddress(): string | undefined {
    const plait = this.plaitSocket;
    return plait?.localPort === undefined ? undefined : plait.localAddress;
  }

  get localPort(): number | undefined {
    return this.plaitSocket?.localPort;
  }

  get localFamily(): "IPv4" | "IPv6" | undefined {
    return familyName(this.localAddress);
  }

  #remote: { readonly address: string | undefined; readonly port: number | undefined } | undefined;

  /** The address of the peer; undefined for a Unix socket, and if it was not read before the end. */
  get remoteAddress(): string | undefined {
    const plait = this.plaitSocket;
    if (plait === undefined) return this.#remote?.address;
    const { remotePort: port, remoteAddress: address } = plait;
    this.#remote = { address: port === undefined ? undefined : address, port };
    return this.#remote.address;
  }

  get remotePort(): number | undefined {
    return this.remoteAddress === undefined ? undefined : this.#remote?.port;
  }

  get remoteFamily(): "IPv4" | "IPv6" | undefined {
    return familyName(this.remoteAddress);
  }

  /** Bytes that are buffered to be sent; undefined without a connection. */
  get bufferSize(): number {
    if (this.plaitSocket !== undefined || this.connecting) return this.writableLength;
    // As Node's, although the types do not say so.
    return undefined as unknown as number;
  }

  // -- TLS

  /**
   * Turns the connection into TLS, behind the writes before it. Later writes wait for the handshake. The end
   * of the handshake is also the event `secureConnect`. A socket that a server has accepted is the server's
   * end, any other the client's, unless `side` says otherwise. A client checks the certificate against the
   * host of `connect`, unless `serverName` is given. The deadline is a point on the clock of `now()`.
   *
   * Nothing is received between the call and the end of the handshake. The call rejects with `EBUSY` when data
   * that came before it is still unread, with `EALREADY` when a handshake is under way, and with `EISCONN`
   * behind one. It leaves the connection as it was then. When the handshake fails, the socket is destroyed with
   * the same error.
   *
   * @throws {TypeError} {RangeError} for wrong options
   */
  startTls(options: StartTlsOptions | TlsContext = {}, deadline?: number): Promise<void> {
    try {
      if (this.plaitSocket === undefined && !this.connecting) throw socketClosed();
      if (this.encrypted) throw systemError("EISCONN", "handshake");
      if (this._isHandshaking) {
        throw systemError("EALREADY", "handshake", {}, "another handshake is under way");
      }
      if (this.readableLength > 0) {
        throw systemError("EBUSY", "handshake", {}, "data that came before is still unread");
      }
      const isAccepted = this.server !== null || this.plaitSocket?.isAccepted === true;
      const setup = startSetup(options, isAccepted, this.plaitSocket?.host ?? this.#host);
      const until = checkedDeadline(deadline);
      return this._encrypt((plait) => handshake(plait, setup, until));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Whether the connection is encrypted: its handshake has succeeded. */
  get encrypted(): boolean {
    return this.plaitSocket?.secure === true;
  }

  /** Whether the peer has a certificate that has passed every check. */
  get authorized(): boolean {
    return this.plaitSocket?.tls?.verified === true;
  }

  /** What is wrong with the certificate of the peer, as a code; null if nothing is. */
  get authorizationError(): string | null {
    return this.plaitSocket?.tls?.verifyError ?? null;
  }

  /** The application protocol of ALPN; false if none was agreed on, null before the handshake. */
  get alpnProtocol(): string | false | null {
    const tls = this.plaitSocket?.tls;
    return tls === undefined ? null : (tls.alpn ?? false);
  }

  /** The name that the client has sent; false if it sent none, null before the handshake. */
  get servername(): string | false | null {
    const tls = this.plaitSocket?.tls;
    return tls === undefined ? null : (tls.serverName ?? false);
  }

  /** The certificate of the peer; empty if it has none, null without an encrypted connection. */
  getPeerCertificate(detailed: true): DetailedPeerCertificate;
  getPeerCertificate(detailed?: false): PeerCertificate;
  getPeerCertificate(detailed?: boolean): PeerCertificate | DetailedPeerCertificate;
  getPeerCertificate(detailed = false): PeerCertificate | DetailedPeerCertificate | null {
    const tls = this.plaitSocket?.tls;
    return tls === undefined ? null : (peerCertificate(tls, detailed) as PeerCertificate);
  }

  /** The certificate of the peer as an object of `node:crypto`. */
  getPeerX509Certificate(): X509Certificate | undefined {
    return this.plaitSocket?.tls?.certificate;
  }

  /** The cipher suite; undefined without an encrypted connection. */
  getCipher(): CipherNameAndProtocol | undefined {
    const tls = this.plaitSocket?.tls;
    return tls === undefined ? undefined : cipherOf(tls);
  }

  /** `TLSv1.2` or `TLSv1.3`; null without an encrypted connection. */
  getProtocol(): string | null {
    return this.plaitSocket?.tls?.protocol ?? null;
  }

  /**
   * Derives so many bytes from the secrets of the connection, under a label, and a context if one is given.
   * Both ends derive the same (RFC 5705; RFC 8446, section 7.5).
   *
   * @throws {Error} `ERR_TLS_INVALID_STATE` without an encrypted connection
   * @throws {TypeError} {RangeError} for wrong arguments
   */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer {
    const plait = this.plaitSocket;
    if (!plait?.secure) {
      throw nodeError(
        "ERR_TLS_INVALID_STATE",
        "TLS socket connection must be securely established",
      );
    }
    return exportKeys(plait, length, label, context);
  }

  /** Whether an earlier session was resumed. */
  isSessionReused(): boolean {
    return this.plaitSocket?.tls?.resumed === true;
  }
}

function givenSocket({ socket, fd }: SocketOptions): PlaitSocket | undefined {
  if (socket !== undefined) {
    if (!(socket instanceof PlaitSocket))
      throw wrongType("options.socket", "a Socket of plait", socket);
    if (socket.closed) throw socketClosed();
    if (socket.isBusy) {
      throw nodeError("EBUSY", "options.socket: reads or writes of others wait on the socket");
    }
    return socket;
  }
  if (fd === undefined) return undefined;
  if (typeof fd !== "number") throw wrongType("options.fd", "of type number", fd);
  return PlaitSocket.fromFd(fd);
}

/** The settings of the probes as plait takes them: in seconds. */
function probes(options: SetKeepAliveOptions): false | KeepAliveOptions {
  const { enable = false, initialDelay = 0, interval = 0, count = 0 } = options;
  if (!enable) return false;
  return {
    idle: bounded(initialDelay / 1000, 32_767),
    interval: bounded(interval / 1000, 32_767),
    count: bounded(count, 127),
  };
}

/** The whole part of a number, from 0 to what the kernel takes. */
function bounded(value: unknown, most: number): number {
  const number = Math.trunc(Number(value));
  return number > 0 ? Math.min(number, most) : 0;
}
