/** Connections of the driver `mysql2` to MySQL and MariaDB. */

import { Socket } from "../node/socket.ts";
import { typeMistake } from "../values/checks.ts";
import { SocketError } from "../values/errors.ts";
import { MysqlHandshake } from "./mysql_handshake.ts";
import { checkedOptions, type DriverOptions, driverOptions, type ParsedTls } from "./options.ts";

/** What is spread into the options of `createConnection` and `createPool` of `mysql2`. */
export interface MysqlConfig {
  /** Makes the stream of a connection. */
  stream(options: unknown): Socket;
  host?: string;
  port?: number;
  /**
   * The path; with TLS a text in its place. `mysql2` sends a password as it is only when it takes the
   * connection for secure: over its own TLS, or over a Unix socket.
   */
  socketPath?: string;
}

/** What the stream reads of the options of `mysql2`. */
interface ConnectionConfig {
  readonly host?: string;
  readonly port?: number | string;
  readonly socketPath?: string;
  readonly ssl?: unknown;
  readonly enableKeepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
}

/** In place of a path, for a connection that plait encrypts. */
const encryptedByPlait = "plait: TLS";

function ignore(): void {}

/** A stream that starts TLS below the driver, in the middle of its handshake. */
class MysqlSocket extends Socket {
  readonly #tls: ParsedTls;
  /** Undefined when the start of the connection is over. */
  #handshake: MysqlHandshake | undefined = new MysqlHandshake((code, reason) => {
    const { remoteAddress: address, remotePort: port } = this;
    return new SocketError(code, { syscall: "handshake", address, port, reason });
  });

  /** `mysql2` has ended the stream during the start. */
  #isAbandoned = false;

  constructor(tls: ParsedTls) {
    super();
    this.#tls = tls;
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (this.#handshake === undefined || !Buffer.isBuffer(chunk)) {
      return super.push(chunk, encoding);
    }
    let data: Buffer;
    try {
      data = this.#handshake.fromServer(chunk);
    } catch (error) {
      this.destroy(error as Error);
      return false;
    }
    if (this.#handshake.isOver) this.#handshake = undefined;
    return data.length === 0 || super.push(data);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the signature of a stream.
  override write(chunk: any, ...rest: any[]): boolean {
    const handshake = this.#handshake;
    const write = (data: unknown, more: unknown[]): boolean =>
      Reflect.apply(super.write, this, [data, ...more]);
    // An empty chunk is the stream's own: it marks the start of TLS.
    if (handshake === undefined || !Buffer.isBuffer(chunk) || chunk.length === 0) {
      return write(chunk, rest);
    }
    const callbacks = rest.map((value) => this.#unlessAbandoned(value));
    if (!handshake.awaitsResponse) return write(handshake.fromDriver(chunk), callbacks);
    const { request, response } = handshake.begin(chunk);
    write(request, []);
    // When it fails, the stream is destroyed with its error. The response waits for its end.
    this.startTls(this.#tls).catch(ignore);
    return write(response, callbacks);
  }

  /** The callback of a write. `mysql2` would report its error although it has given the stream up. */
  #unlessAbandoned(value: unknown): unknown {
    if (typeof value !== "function") return value;
    return (...given: unknown[]): void => {
      if (!this.#isAbandoned) Reflect.apply(value, undefined, given);
    };
  }

  /** `mysql2` ends a stream to be rid of it. During the start no session has begun that could end. */
  override end(...rest: unknown[]): this {
    if (this.#handshake !== undefined) {
      this.#isAbandoned = true;
      return this.destroy();
    }
    return Reflect.apply(super.end, this, rest);
  }
}

/**
 * Lets `mysql2` use sockets and TLS of plait: spread the result into the options of its
 * `createConnection` or `createPool`. The stream connects to the host and the port of `mysql2`'s options.
 *
 * With TLS a server that does not offer it is refused with `ERR_TLS_NOT_OFFERED`. The certificate's name
 * is checked, which `mysql2` itself leaves out by default.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function mysql(options: DriverOptions = {}): MysqlConfig {
  const { place, tls } = checkedOptions(options, driverOptions, "mysql");
  const { path, ...rest } = place;
  const config: MysqlConfig = { ...rest, stream: (given) => connected(given, tls) };
  const socketPath = tls === undefined ? path : encryptedByPlait;
  if (socketPath !== undefined) config.socketPath = socketPath;
  return config;
}

/** A stream that connects where the driver's options say. */
function connected(given: unknown, tls: ParsedTls | undefined): Socket {
  const { config } = given as { readonly config: ConnectionConfig };
  const { host, port, socketPath } = config;
  if (config.ssl) throw typeMistake("mysql2 has ssl too: give tls to mysql() alone");
  const path = socketPath === encryptedByPlait ? undefined : socketPath;
  if (path && tls) throw typeMistake("socketPath has no meaning with tls");
  const socket = tls === undefined ? new Socket() : new MysqlSocket(tls);
  if (config.enableKeepAlive) socket.setKeepAlive(true, config.keepAliveInitialDelay);
  if (path) return socket.connect({ path });
  return socket.connect({ host: host ?? "localhost", port: Number(port ?? 3306) });
}
