/** Making connections. */

import { core } from "../core/native.ts";
import { withSignal } from "../runtime/scope.ts";
import { type Call, checkAdmission, refusal } from "../runtime/wait.ts";
import { handshake } from "../tls/handshake.ts";
import type { TlsContext, TlsOptions } from "../tls/options.ts";
import { clientSetup } from "../tls/start.ts";
import {
  checkedAbortSignal,
  checkedInteger,
  checkedPort,
  ownOptions,
  rangeMistake,
  refuseOptions,
  typeMistake,
} from "../values/checks.ts";
import { checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import { CancelledError } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";
import { ConnectRace, type RaceTarget } from "./connect_race.ts";
import { checkedKeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { addressesOf, checkedFamily, checkHost, type Family, literalVersion } from "./names.ts";
import { Socket } from "./socket.ts";

/** Where `connect` connects to, and how. It needs a `port` or a `path`. */
export interface ConnectOptions {
  /** An IPv4 or IPv6 literal or a host name; `localhost` if not given. */
  host?: string | undefined;
  /** The TCP port, 1 to 65,535. */
  port?: number | undefined;
  /**
   * A Unix socket instead: a path of up to 107 bytes, or up to 107 bytes in Linux's abstract namespace
   * after a leading NUL.
   */
  path?: string | undefined;
  /** When to give up, name resolution included. */
  deadline?: number | undefined;
  /** Gives up when it is aborted; its reason becomes the `cause` of the `CancelledError`. */
  signal?: AbortSignal | undefined;
  /** The address of this machine to connect from: a literal. Only addresses of its family are tried. */
  localAddress?: string | undefined;
  /** Restricts a host name to its IPv4 or IPv6 addresses. */
  family?: 4 | 6 | undefined;
  /** Whether small writes are sent at once (TCP_NODELAY); true if not given. */
  noDelay?: boolean | undefined;
  /** Whether the kernel probes an idle connection, and how, as `Socket.setKeepAlive`; not if not given. */
  keepAlive?: boolean | KeepAliveOptions | undefined;
  /** As `Socket.setLinger`. */
  linger?: number | undefined;
  /**
   * Encrypts the connection, and checks the server's certificate against the host; `true` for the default
   * options. The deadline and the signal bound the handshake too.
   */
  tls?: boolean | TlsOptions | TlsContext | undefined;
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

const syscall = "connect";
const encoder = new TextEncoder();
const nothing = new Uint8Array(1);

/**
 * Connects to a TCP port or a Unix socket. Of the addresses of a host name it takes the first one that
 * answers (RFC 8305): IPv6 and IPv4 alternate, and each is tried 250 ms after the one before, or as soon
 * as one has failed. The other attempts are closed.
 *
 * @throws {TypeError} {RangeError} for options that are unknown or wrong
 * @throws {SocketError} `ECONNREFUSED`, `ENOTFOUND` and the like. When several addresses have failed, its
 *   `address` is the host, and its `cause` an `AggregateError` with an error for each address in the
 *   order of `resolve`. Its `code` is that of the first address to which this machine has a route
 *   (`ENETUNREACH`, `EADDRNOTAVAIL` and `EAFNOSUPPORT` mean that it has none), or else of the first.
 * @throws {TlsError} when the handshake fails, or the server's certificate is refused
 * @throws {TimeoutError} with such a `cause` if some addresses had failed before
 * @throws {CancelledError}
 */
export async function connect(options: ConnectOptions): Promise<Socket> {
  const own = ownOptions(options, connectOptions, "connect");
  const target = checkTarget(own);
  const { noDelay = true, linger, tls = false } = own;
  if (linger !== undefined) checkedInteger(linger, "linger", 0, 65_535);
  const keepAlive = typeof own.keepAlive === "boolean" ? own.keepAlive : ownProbes(own.keepAlive);
  if (typeof tls !== "boolean" && (typeof tls !== "object" || tls === null)) {
    throw typeMistake("tls is true, options, or what tlsContext returned");
  }
  const host = typeof target === "string" ? undefined : target.host;
  const setup = tls === false ? undefined : clientSetup(tls, host, "tls");
  const { deadline, signal } = own;
  const until = checkedDeadline(deadline);
  const call = connectingTo(target);
  let socket: Socket | undefined;
  try {
    return await withSignal(call, checkedAbortSignal(signal), async () => {
      checkAdmission(call, until);
      socket = new Socket(await handleOf(target, until), host);
      if (noDelay) socket.setNoDelay(true);
      if (keepAlive) socket.setKeepAlive(keepAlive);
      if (linger !== undefined) socket.setLinger(linger);
      if (setup !== undefined) {
        checkAdmission(call, until);
        await handshake(socket, setup, until);
      }
      return socket;
    });
  } catch (error) {
    // Also when the signal was aborted just after the connection was made.
    socket?.close();
    // If the fiber's cancellation has ended a look-up or a handshake, the call fails with its own name.
    throw (error instanceof CancelledError && refusal(call, never)) || error;
  }
}

function ownProbes(keepAlive: KeepAliveOptions | undefined): KeepAliveOptions | undefined {
  return keepAlive === undefined ? undefined : checkedKeepAlive(keepAlive);
}

interface HostTarget {
  readonly host: string;
  readonly port: number;
  readonly family: Family;
  readonly localAddress: string | undefined;
}

/** A host with its options, or a path. */
function checkTarget(options: ConnectOptions): HostTarget | string {
  const { path, host = "localhost", localAddress } = options;
  if (path !== undefined) {
    refuseOptions(
      options,
      ["host", "port", "localAddress", "family", "noDelay", "keepAlive"],
      "path",
    );
    return checkPath(path);
  }
  const family = checkedFamily(options.family);
  if (options.port === undefined) throw typeMistake("connect needs a port or a path");
  const port = checkedPort(options.port);
  const local = typeof localAddress === "string" ? literalVersion(localAddress) : 0;
  if (localAddress !== undefined && local === 0) {
    throw typeMistake(`localAddress is an IPv4 or IPv6 address, not "${String(localAddress)}"`);
  }
  checkHost(host, family);
  if (local === 0) return { host, port, family, localAddress };
  const version = family === 0 ? literalVersion(host) : family;
  if (version !== 0 && version !== local) {
    throw typeMistake(`nothing of IPv${version} is reached from localAddress ${localAddress}`);
  }
  return { host, port, family: local, localAddress };
}

/** @internal Checks a path, or an abstract name, and its length (unix(7)). */
export function checkPath(path: string): string {
  if (typeof path !== "string" || path === "") throw typeMistake("path is a string");
  const { byteLength } = encoder.encode(path);
  // An abstract name may have any bytes, NULs among them. A path is followed by a NUL.
  if (path.startsWith("\0")) {
    if (byteLength > 108) throw rangeMistake("an abstract path is longer than 108 bytes");
  } else if (path.includes("\0")) throw typeMistake("path has a NUL in it");
  else if (byteLength > 107) throw rangeMistake("path is longer than 107 bytes");
  return path;
}

/** The call, for errors outside of the race, whose own errors may name one of the host's addresses. */
function connectingTo(target: HostTarget | string): Call {
  const details =
    typeof target === "string"
      ? { syscall, address: target }
      : { syscall, address: target.host, port: target.port };
  return { syscall, details: () => details };
}

/** The handle of a connection. */
async function handleOf(target: HostTarget | string, deadline: Deadline): Promise<number> {
  if (typeof target === "string")
    return await new ConnectRace(pathTarget(target), deadline).start();
  const race = await hostTarget(target, deadline);
  checkAdmission(connectingTo(target), deadline);
  return await new ConnectRace(race, deadline).start();
}

function pathTarget(path: string): RaceTarget {
  const bytes = encoder.encode(path);
  const begin = (): number => core.connectPath(bytes, byteLengthOf(bytes));
  return { host: path, port: undefined, addresses: [path], begin };
}

async function hostTarget(target: HostTarget, deadline: Deadline): Promise<RaceTarget> {
  const { host, port, family, localAddress } = target;
  const addresses = await addressesOf(host, family, deadline);
  const local = localAddress === undefined ? nothing : encoder.encode(localAddress);
  const localLength = localAddress === undefined ? 0 : byteLengthOf(local);
  const begin = (address: string): number => {
    const bytes = encoder.encode(address);
    return core.connect(bytes, byteLengthOf(bytes), port, local, localLength, 0);
  };
  return { host, port, addresses, begin };
}
