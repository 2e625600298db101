/** Making connections. */

import { Status, WaitKind } from "./abi.ts";
import {
  checkedDeadline,
  checkedInteger,
  checkedPort,
  checkedSignal,
  checkOptions,
  rangeMistake,
  refuseOptions,
  typeMistake,
} from "./checks.ts";
import {
  CancelledError,
  codeOf,
  type ErrorDetails,
  endpoint,
  SocketError,
  TimeoutError,
} from "./errors.ts";
import { checkedKeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { addressesOf, type Family, literalVersion } from "./names.ts";
import { core } from "./native.ts";
import { interrupt } from "./scheduler.ts";
import { Socket } from "./socket.ts";
import type { TlsContext } from "./tls/context.ts";
import { handshake } from "./tls/handshake.ts";
import type { TlsOptions } from "./tls/options.ts";
import { clientSetup } from "./tls/start.ts";
import { cancellation, StatusWait } from "./wait.ts";

export interface ConnectOptions {
  /** An IPv4 or IPv6 literal or a host name; `localhost` if not given. */
  host?: string;
  port?: number;
  /** A Unix socket instead: a path, or a name in Linux's abstract namespace after a leading NUL. */
  path?: string;
  /** When to give up, name resolution included. */
  deadline?: number;
  /** Gives up when it is aborted; its reason becomes the `cause` of the `CancelledError`. */
  signal?: AbortSignal;
  /** The address of this machine to connect from: a literal. */
  localAddress?: string;
  /** Restricts a host name to its IPv4 or IPv6 addresses. */
  family?: 4 | 6;
  /** Whether small writes are sent at once (TCP_NODELAY); true if not given. */
  noDelay?: boolean;
  keepAlive?: boolean | KeepAliveOptions;
  /** As `Socket.setLinger`. */
  linger?: number;
  /**
   * Encrypts the connection, and checks the server's certificate against the host: `true` for the
   * defaults. The deadline and the signal hold for the handshake as well.
   */
  tls?: boolean | TlsOptions | TlsContext;
}

const connectOptions: ReadonlySet<string> = new Set([
  "host",
  "port",
  "path",
  "deadline",
  "signal",
  "localAddress",
  "family",
  "noDelay",
  "keepAlive",
  "linger",
  "tls",
]);

const encoder = new TextEncoder();
const nothing = new Uint8Array(1);

/** Waits for the end of one connection attempt, successful or not. */
class ConnectWait extends StatusWait {
  readonly #handle: number;
  readonly #address: string;
  readonly #port: number | undefined;

  constructor(handle: number, address: string, port: number | undefined) {
    super();
    this.#handle = handle;
    this.#address = address;
    this.#port = port;
  }

  override get syscall(): string {
    return "connect";
  }

  override details(): ErrorDetails {
    return { syscall: this.syscall, address: this.#address, port: this.#port };
  }

  start(deadline: number): Promise<void> {
    return this.park(core.wait(this.#handle, WaitKind.writable, deadline, 0));
  }

  override wake(status: number): void {
    const outcome = status === Status.ok ? core.finishConnect(this.#handle) : -status;
    if (outcome < 0) core.close(this.#handle);
    super.wake(-outcome);
  }
}

/** One call of `connect`: its limits, and how to end whatever it waits for. */
class Attempt implements Disposable {
  readonly deadline: number;
  readonly #signal: AbortSignal | undefined;
  #giveUp: (() => void) | undefined = undefined;

  constructor(deadline: number, signal: AbortSignal | undefined) {
    this.deadline = deadline;
    this.#signal = signal;
    signal?.addEventListener("abort", this);
  }

  readonly setGiveUp = (giveUp: () => void): void => {
    this.#giveUp = giveUp;
  };

  handleEvent(): void {
    this.#giveUp?.();
  }

  check(): void {
    const cancelled = cancellation("connect");
    if (cancelled) throw cancelled;
    if (this.#signal?.aborted) {
      throw new CancelledError(this.#signal.reason, { syscall: "connect" });
    }
    if (this.deadline !== 0 && this.deadline <= core.now()) {
      throw new TimeoutError({ syscall: "connect" });
    }
  }

  /** Connects to one address. */
  async to(handle: number, address: string, port: number | undefined): Promise<number> {
    if (handle < 0) {
      const code = codeOf(-handle);
      throw new SocketError(code, { syscall: "connect", address, port });
    }
    const wait = new ConnectWait(handle, address, port);
    const connected = wait.start(this.deadline);
    this.#giveUp = () => interrupt(wait, Status.cancelled);
    await connected;
    return handle;
  }

  [Symbol.dispose](): void {
    this.#signal?.removeEventListener("abort", this);
  }
}

/**
 * Connects to a TCP port or a Unix socket. A host name's addresses are tried one after another.
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong
 * @throws {SocketError} `ECONNREFUSED`, `ENOTFOUND` and the like. When several addresses were tried
 *   it is the last one's error, and its `cause` is an `AggregateError` of them all.
 * @throws {TlsError} when the handshake fails, or the server's certificate is not what it must be
 * @throws {TimeoutError} {CancelledError}
 */
export async function connect(options: ConnectOptions): Promise<Socket> {
  checkOptions(options, connectOptions, "connect");
  const target = checkTarget(options);
  const { noDelay = true, keepAlive, linger, tls = false } = options;
  if (linger !== undefined) checkedInteger(linger, "linger", 0, 65_535);
  if (keepAlive !== undefined) checkedKeepAlive(keepAlive);
  if (typeof tls !== "boolean" && (typeof tls !== "object" || tls === null)) {
    throw typeMistake("tls is true, options, or what tlsContext returned");
  }
  const host = "path" in target ? undefined : target.host;
  const setup = tls === false ? undefined : clientSetup(tls, host, "tls");
  const attempt = new Attempt(checkedDeadline(options.deadline), checkedSignal(options.signal));
  try {
    attempt.check();
    const handle =
      "path" in target
        ? await connectPath(attempt, target.path)
        : await connectHost(attempt, target);
    const socket = new Socket(handle);
    socket.host = host;
    try {
      if (noDelay) socket.setNoDelay(true);
      if (keepAlive) socket.setKeepAlive(keepAlive);
      if (linger !== undefined) socket.setLinger(linger);
      if (setup !== undefined) {
        attempt.check();
        await handshake(socket, setup, attempt.deadline, attempt.setGiveUp);
      }
    } catch (error) {
      socket.close();
      throw error;
    }
    return socket;
  } catch (error) {
    // Only now is it known whether it was the signal that woke the wait.
    if (error instanceof CancelledError) attempt.check();
    throw error;
  } finally {
    attempt[Symbol.dispose]();
  }
}

interface HostTarget {
  readonly host: string;
  readonly port: number;
  readonly family: Family;
  readonly localAddress: string | undefined;
}

function checkTarget(options: ConnectOptions): HostTarget | { readonly path: string } {
  const { path, host = "localhost", localAddress, family = 0 } = options;
  if (path !== undefined) {
    refuseOptions(
      options,
      ["host", "port", "localAddress", "family", "noDelay", "keepAlive"],
      "path",
    );
    return { path: checkPath(path) };
  }
  if (typeof host !== "string" || host === "") throw typeMistake("host is an address or a name");
  if (family !== 0 && family !== 4 && family !== 6) throw rangeMistake("family is 4 or 6");
  if (options.port === undefined) throw typeMistake("connect needs a port or a path");
  const port = checkedPort(options.port);
  if (localAddress !== undefined && literalVersion(localAddress) === 0) {
    throw typeMistake(`localAddress is an IPv4 or IPv6 address, not "${localAddress}"`);
  }
  const version = literalVersion(host);
  if (version !== 0 && family !== 0 && version !== family) {
    throw typeMistake(`${host} is no IPv${family} address`);
  }
  if (version === 0) checkName(host);
  return { host, port, family, localAddress };
}

/** @internal A path, or an abstract name, of a length that the system takes. */
export function checkPath(path: string): string {
  if (typeof path !== "string" || path === "") throw typeMistake("path is a string");
  if (path.indexOf("\0", 1) > 0) throw typeMistake("path has a NUL in it");
  if (encoder.encode(path).byteLength > 107) throw rangeMistake("path is longer than 107 bytes");
  return path;
}

/** @internal What looks like an address but is none is refused here, not after a look-up. */
export function checkName(host: string): void {
  const isName = /^[^\s:/?#[\]@\0]+$/.test(host) && !/^[\d.]+$/.test(host);
  if (!isName || host.length > 255)
    throw typeMistake(`"${host}" is neither an address nor a host name`);
}

async function connectPath(attempt: Attempt, path: string): Promise<number> {
  const bytes = encoder.encode(path);
  return attempt.to(core.connectPath(bytes, bytes.byteLength), path, undefined);
}

async function connectHost(attempt: Attempt, target: HostTarget): Promise<number> {
  const { host, port, family } = target;
  const local = target.localAddress === undefined ? nothing : encoder.encode(target.localAddress);
  const localLength = target.localAddress === undefined ? 0 : local.byteLength;
  const addresses = await addressesOf(host, family, attempt.deadline, attempt.setGiveUp);
  const failures: SocketError[] = [];
  for (const address of addresses) {
    attempt.check();
    const bytes = encoder.encode(address);
    try {
      const handle = core.connect(bytes, bytes.byteLength, port, local, localLength, 0);
      return await attempt.to(handle, address, port);
    } catch (error) {
      // A deadline or a cancellation ends the whole attempt, a refusal only this address.
      if (!(error instanceof SocketError)) throw error;
      failures.push(error);
    }
  }
  const last = failures.at(-1);
  if (last === undefined)
    throw new SocketError("ENOTFOUND", { syscall: "getaddrinfo", address: host });
  if (failures.length === 1) throw last;
  const tried = failures.map(
    (failure) => `${endpoint(failure.address ?? "", failure.port)}: ${failure.code}`,
  );
  throw new SocketError(last.code, {
    syscall: "connect",
    address: host,
    port,
    cause: new AggregateError(failures, tried.join(", ")),
  });
}
