/** The options and the types of `plait/net`. */

import type { LookupFunction, Server as NodesServer, OnReadOpts } from "node:net";
import type { Socket as PlaitSocket } from "../net/socket.ts";
import type { TlsContext, TlsOptions } from "../tls/options.ts";

/** What plait/net needs of a `net.BlockList`. */
export interface AddressFilter {
  check(address: string, family?: "ipv4" | "ipv6"): boolean;
}

/** The options of `new Socket`, which `connect` takes too. */
export interface SocketOptions {
  /**
   * A connected socket of plait, which the stream owns from now on. Use `socket.plaitSocket` for what the
   * stream does not have, and `socket.detach()` to get it back.
   */
  socket?: PlaitSocket | undefined;
  /** The descriptor of a connected stream socket, which plait closes from now on. */
  fd?: number | undefined;
  /** Whether this side stays open when the peer has ended its side; false if not given. */
  allowHalfOpen?: boolean | undefined;
  readable?: boolean | undefined;
  writable?: boolean | undefined;
  /** Destroys the socket when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Whether small writes are sent at once; true if not given. */
  noDelay?: boolean | undefined;
  keepAlive?: boolean | undefined;
  /** Milliseconds of silence before the first probe. */
  keepAliveInitialDelay?: number | undefined;
  /** Receives into one buffer, and calls a function in place of `data` events. */
  onread?: OnReadOpts | null | undefined;
  /** Bytes that each direction buffers before it asks for a pause. */
  highWaterMark?: number | undefined;
  readableHighWaterMark?: number | undefined;
  writableHighWaterMark?: number | undefined;
}

/** The options of `connect`: one of `port` and `path` must be there. */
export interface ConnectOptions extends SocketOptions {
  port?: number | string | undefined;
  /** An address or a name; `localhost` if not given. */
  host?: string | undefined;
  /** A Unix socket instead. */
  path?: string | undefined;
  /** The address of this machine to connect from. */
  localAddress?: string | undefined;
  /** The port of this machine to connect from; the system chooses one if not given. */
  localPort?: number | undefined;
  /** 4 or 6: only addresses of that family. 0 is both. */
  family?: number | undefined;
  hints?: number | undefined;
  /** Looks the host up, in place of plait. */
  lookup?: LookupFunction | undefined;
  /** Whether all addresses of the host are tried; true if not given. */
  autoSelectFamily?: boolean | undefined;
  /** The milliseconds after which the next address is tried too; 250 if not given. */
  autoSelectFamilyAttemptTimeout?: number | undefined;
  /** Refuses to connect to these addresses, with `ERR_IP_BLOCKED`. */
  blockList?: AddressFilter | undefined;
  /** As `setTimeout`. */
  timeout?: number | undefined;
  /**
   * Encrypts the connection, with plait's options of TLS: `true` checks the server's certificate against
   * the host. What is written waits for the handshake. The event `secureConnect` reports its end.
   */
  tls?: boolean | TlsOptions | TlsContext | undefined;
}

/** The options of `createServer` and `new Server`. */
export interface ServerOptions {
  allowHalfOpen?: boolean | undefined;
  /** Whether accepted sockets begin to read only with `resume()`. */
  pauseOnConnect?: boolean | undefined;
  noDelay?: boolean | undefined;
  keepAlive?: boolean | undefined;
  keepAliveInitialDelay?: number | undefined;
  highWaterMark?: number | undefined;
  /** Refuses the connections of these addresses. */
  blockList?: AddressFilter | undefined;
  /**
   * Encrypts every connection, with plait's options of TLS. `secureConnection` is emitted after the handshake, and
   * the listener of `createServer` is one of it. A handshake that fails, or takes longer than
   * `handshakeTimeout`, destroys its socket, and is reported by `tlsClientError`.
   */
  tls?: TlsOptions | TlsContext | undefined;
}

/** The options of `listen`: one of `port`, `path` and `fd` must be there. */
export interface ListenOptions {
  port?: number | string | undefined;
  host?: string | undefined;
  path?: string | undefined;
  /** A descriptor that listens already. */
  fd?: number | undefined;
  backlog?: number | undefined;
  /** No meaning here, since plait does not share listeners between processes. */
  exclusive?: boolean | undefined;
  ipv6Only?: boolean | undefined;
  reusePort?: boolean | undefined;
  /** Makes the path readable, or writable, for all users. */
  readableAll?: boolean | undefined;
  writableAll?: boolean | undefined;
  /** Closes the server when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** A server as the sockets that it has accepted know it. It is a `Server`. */
export interface AcceptingServer extends NodesServer {
  /** @internal A socket of this server is destroyed. */
  connectionClosed(): void;
}
