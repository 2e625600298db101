/** A connection: what is known of it, what it has carried, and its settings. `Socket` reads and writes. */

import { Endpoint, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { spendBytes } from "../runtime/scheduler.ts";
import type { SocketStreams } from "../streams/socket_streams.ts";
import { TlsInfo } from "../tls/info.ts";
import { checkedInteger } from "../values/checks.ts";
import { SocketError } from "../values/errors.ts";
import { addressPort, addressText } from "./addresses.ts";
import type { WriteData } from "./buffers.ts";
import { checkedKeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { socketFailure } from "./socket_failures.ts";
import { closedHandle, type Stream } from "./stream.ts";

/** Called when a socket is closed, by any code. */
export interface SocketKeeper {
  socketClosed(socket: Connection): void;
}

/** What many sockets never need. It is made when something asks for it, and kept when the socket is closed. */
class Extras {
  /** The peer's IP literal or path, with a port unless it is a path. */
  address: string | undefined = undefined;
  port: number | undefined = undefined;
  tls: TlsInfo | undefined = undefined;
  streams: SocketStreams<WriteData> | undefined = undefined;
}

/** What a socket has been through, as bits: a field for each would cost an idle connection 32 bytes. */
const Passed = {
  /** The end of the peer's stream has been read. */
  end: 1,
  /** The handshake has succeeded. */
  handshake: 2,
} as const;

export abstract class Connection implements Stream {
  // With those of `Socket` these are eight fields: with a ninth an idle connection would take 32 bytes more.
  #handle: number;
  /** The listener that accepted it, or the host that `connect` was given. */
  readonly #origin: SocketKeeper | string | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;
  #passed = 0;
  #extras: Extras | undefined = undefined;

  protected constructor(handle: number, origin: SocketKeeper | string | undefined) {
    this.#handle = handle;
    this.#origin = origin;
  }

  /** Whether `close` or `reset` was called, here or by the listener. */
  get closed(): boolean {
    return this.#handle === closedHandle;
  }

  /** Whether the socket is open. It says nothing about the peer: only a read or a write finds out. */
  get connected(): boolean {
    return this.#handle !== closedHandle;
  }

  /** Whether the end of the peer's stream has been read. */
  get eof(): boolean {
    return (this.#passed & Passed.end) !== 0;
  }

  /** Whether the connection is encrypted: its handshake has succeeded. */
  get secure(): boolean {
    return (this.#passed & Passed.handshake) !== 0;
  }

  /**
   * The encryption and the peer's certificate. Undefined for a plain connection, and if it was not read
   * before the socket was closed.
   */
  get tls(): TlsInfo | undefined {
    if (this.#extras?.tls === undefined && this.secure && !this.closed) {
      this.kept.tls = new TlsInfo(this.#handle);
    }
    return this.#extras?.tls;
  }

  /** Bytes received so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes that the kernel has taken so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** The descriptor, which still belongs to plait; -1 when closed. */
  get fd(): number {
    const fd = this.closed ? -1 : core.descriptor(this.#handle);
    return fd < 0 ? -1 : fd;
  }

  /** The local address: an IP literal, or a path; undefined when closed. */
  get localAddress(): string | undefined {
    return this.closed ? undefined : addressText(this.#handle, Endpoint.local);
  }

  /** The local port; undefined for a Unix socket, and when closed. */
  get localPort(): number | undefined {
    return this.localAddress === undefined ? undefined : addressPort();
  }

  /**
   * The address of the peer: an IP literal, or a path, which is empty for a peer without a name.
   * Undefined if it was not read before the socket was closed.
   */
  get remoteAddress(): string | undefined {
    if (this.#extras?.address === undefined && !this.closed) {
      const address = addressText(this.#handle, Endpoint.remote);
      if (address !== undefined) {
        this.kept.address = address;
        this.kept.port = addressPort();
      }
    }
    return this.#extras?.address;
  }

  /** The port of the peer; undefined for a Unix socket. */
  get remotePort(): number | undefined {
    return this.remoteAddress === undefined ? undefined : this.#extras?.port;
  }

  protected get kept(): Extras {
    this.#extras ??= new Extras();
    return this.#extras;
  }

  /** @internal */
  get handle(): number {
    return this.#handle;
  }

  /** @internal */
  received(count: number): number {
    if (count === 0) this.#passed |= Passed.end;
    else this.#bytesRead += count;
    spendBytes(count);
    return count;
  }

  /** @internal */
  sent(count: number): void {
    this.#bytesWritten += count;
    spendBytes(count);
  }

  /** @internal Called when the handshake has succeeded. */
  becomeSecure(): void {
    this.#passed |= Passed.handshake;
  }

  /** @internal Whether a listener has accepted it. */
  get isAccepted(): boolean {
    return typeof this.#origin === "object";
  }

  /** @internal The host that `connect` was given. */
  get host(): string | undefined {
    return typeof this.#origin === "string" ? this.#origin : undefined;
  }

  /**
   * Changes the keys of a TLS 1.3 connection (RFC 8446, section 4.6.3): those of the sending direction,
   * and with `askPeer` those of the other direction too.
   *
   * @throws {SocketError} `EOPNOTSUPP` for anything but TLS 1.3
   */
  updateKeys(askPeer = true): void {
    const handle = this.openHandle("updateKeys");
    if (!this.secure) throw socketFailure(this, Status.EOPNOTSUPP, "updateKeys");
    this.#set("updateKeys", core.tlsUpdateKeys(handle, askPeer ? 1 : 0));
  }

  /** Whether small writes are sent at once (TCP_NODELAY); they are from the start. */
  setNoDelay(on = true): this {
    return this.#set("setNoDelay", core.setNoDelay(this.openHandle("setNoDelay"), on ? 1 : 0));
  }

  /** Whether the kernel probes a silent peer (tcp(7), TCP_KEEPIDLE and so on), in seconds. */
  setKeepAlive(on: boolean | KeepAliveOptions = true): this {
    const { idle, interval, count } = checkedKeepAlive(on);
    const handle = this.openHandle("setKeepAlive");
    return this.#set("setKeepAlive", core.setKeepAlive(handle, on ? 1 : 0, idle, interval, count));
  }

  /** Seconds that `close` may take to deliver the rest; 0 is the default of 5. */
  setLinger(seconds: number): this {
    checkedInteger(seconds, "seconds", 0, 65_535);
    return this.#set("setLinger", core.setLinger(this.openHandle("setLinger"), seconds));
  }

  /** @throws {SocketError} `ERR_SOCKET_CLOSED` */
  protected openHandle(syscall: string): number {
    if (this.closed) throw new SocketError("ERR_SOCKET_CLOSED", { syscall });
    return this.#handle;
  }

  #set(syscall: string, outcome: number): this {
    if (outcome < 0) throw socketFailure(this, -outcome, syscall);
    return this;
  }

  /** Gives the handle up. `call` ends the connection in the core. */
  protected release(call: (handle: number) => number): void {
    const handle = this.#handle;
    this.#handle = closedHandle;
    call(handle);
    if (typeof this.#origin === "object") this.#origin.socketClosed(this);
    this.#extras?.streams?.socketClosed();
  }
}
