/** Connections of the driver `pg` to PostgreSQL. */

import { dirname } from "node:path";
import type { Socket as PlaitSocket } from "../net/socket.ts";
import { Socket } from "../node/socket.ts";
import { checkedInteger, rangeMistake, typeMistake } from "../values/checks.ts";
import { SocketError, TimeoutError } from "../values/errors.ts";
import { checkedOptions, type DriverOptions, driverOptions, type ParsedTls } from "./options.ts";

/** Options of `postgres`. */
export interface PostgresOptions extends DriverOptions {
  /** The socket of the server, such as `/run/postgresql/.s.PGSQL.5432`. */
  path?: string | undefined;
  /**
   * Milliseconds for connecting and the TLS handshake; no limit if not given. `pg` has a limit of its
   * own, `connectionTimeoutMillis`, which bounds the authentication too.
   */
  connectTimeout?: number | undefined;
}

/** What is spread into the options of `Client` and `Pool` of `pg`. */
export interface PostgresConfig {
  /** Makes the stream of a connection. */
  stream(config?: { readonly ssl?: unknown }): Socket;
  /** plait encrypts, so `pg` must not. */
  ssl: false;
  /** The host; for a Unix socket its folder, as `pg` has it. */
  host?: string;
  port?: number;
}

/** SSLRequest: its length, and a code in the place of a version (PostgreSQL's protocol, section 55.7). */
const sslRequest = new Uint8Array([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const willing = "S".charCodeAt(0);
const unwilling = "N".charCodeAt(0);

class PostgresSocket extends Socket {
  readonly #tls: ParsedTls | undefined;
  readonly #timeout: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;

  constructor(tls: ParsedTls | undefined, timeout: number | undefined) {
    super();
    this.#tls = tls;
    this.#timeout = timeout;
  }

  override connect(...given: unknown[]): this {
    const address = typeof given[1] === "string" ? given[1] : undefined;
    const port = typeof given[0] === "number" ? given[0] : undefined;
    Reflect.apply(super.connect, this, given);
    if (this.#timeout !== undefined && this.#timer === undefined) {
      const expired = (): void => {
        this.destroy(new TimeoutError({ syscall: "connect", address, port }));
      };
      this.#timer = setTimeout(expired, this.#timeout);
    }
    return this;
  }

  /** Asks for TLS, and does the handshake when the server is willing. */
  protected override async _prepare(plait: PlaitSocket): Promise<void> {
    if (this.#tls === undefined) return;
    const { remoteAddress: address, remotePort: port } = plait;
    const refusal = (reason: string, code = "ERR_TLS_NOT_OFFERED"): SocketError =>
      new SocketError(code, { syscall: "handshake", address, port, reason });
    if (port === undefined) throw refusal("PostgreSQL has no TLS on Unix sockets");
    await plait.write(sslRequest);
    // One byte and no more: what follows it belongs to the handshake.
    const answer = new Uint8Array(1);
    if ((await plait.read(answer)) === 0) {
      throw refusal("the server ended the connection when it was asked for TLS", "ECONNRESET");
    }
    if (answer[0] === unwilling) throw refusal("the server does not support TLS");
    if (answer[0] !== willing) throw refusal("the server did not answer the request for TLS");
    await plait.startTls(this.#tls);
  }

  /** `pg` writes before the connection is made only to end it. There is no session yet that could end. */
  override _write(
    chunk: Uint8Array | string,
    encoding: BufferEncoding,
    callback: () => void,
  ): void {
    if (!this.connecting) {
      super._write(chunk, encoding, callback);
      return;
    }
    this.destroy();
    callback();
  }

  protected override _connectionMade(plait: PlaitSocket): void {
    clearTimeout(this.#timer);
    super._connectionMade(plait);
  }

  protected override _connectionClosed(): void {
    clearTimeout(this.#timer);
    super._connectionClosed();
  }
}

const known = [...driverOptions, "connectTimeout"];

/**
 * Lets `pg` use sockets and TLS of plait: spread the result into the options of its `Client` or `Pool`.
 * The stream connects where `pg` asks it to, so options of `pg` for the host and the port work too.
 *
 * With TLS a server that does not offer it is refused with `ERR_TLS_NOT_OFFERED`.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that are unknown or cannot be used
 */
export function postgres(options: PostgresOptions = {}): PostgresConfig {
  const { own, place, tls } = checkedOptions(options, known, "postgres");
  const { connectTimeout } = own;
  if (connectTimeout !== undefined) {
    checkedInteger(connectTimeout, "connectTimeout", 1, 0x7fff_ffff);
  }
  const stream = (config?: { readonly ssl?: unknown }): Socket => {
    if (config?.ssl) throw typeMistake("pg has ssl too: give tls to postgres() alone");
    return new PostgresSocket(tls, connectTimeout);
  };
  const { host, port, path } = place;
  if (path !== undefined) {
    // `pg` takes a folder for a host, and makes the name of the port.
    const number = /^\/.*\.s\.PGSQL\.(\d+)$/.exec(path)?.[1];
    if (number === undefined) throw rangeMistake("path ends with /.s.PGSQL. and a port");
    return { stream, ssl: false, host: dirname(path), port: Number(number) };
  }
  const config: PostgresConfig = { stream, ssl: false };
  if (host !== undefined) config.host = host;
  if (port !== undefined) config.port = port;
  return config;
}
