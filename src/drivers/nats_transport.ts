/** A connection of NATS: the transport that `@nats-io/nats-core` asks for, on a socket of plait. */

import manifest from "../../package.json" with { type: "json" };
import { BufferedReader } from "../buffered/reader.ts";
import { connect } from "../net/connect.ts";
import type { Socket } from "../net/socket.ts";
import { outsideOfFibers } from "../runtime/wait.ts";
import { tlsContext } from "../tls/context.ts";
import type { TlsMaterial } from "../tls/material.ts";
import type { TlsOptions } from "../tls/options.ts";
import { typeMistake } from "../values/checks.ts";
import { SocketError } from "../values/errors.ts";
import type { ParsedTls } from "./options.ts";

/** A server as NATS knows it. */
export interface NatsServer {
  readonly hostname: string;
  readonly port: number;
  /** The name that an address was looked up for; empty if there is none. */
  readonly tlsName: string;
}

/** What the transport reads of the options of NATS. */
export interface NatsConnectionOptions {
  readonly tls?: object | null | undefined;
  readonly noEcho?: boolean | undefined;
  readonly debug?: boolean | undefined;
}

/** What the server tells of itself in its first message. */
interface Info {
  readonly proto?: number;
  readonly tls_required?: boolean;
  readonly tls_available?: boolean;
}

/** The server lists its cluster in the first message. */
const longestInfo = 4 << 20;
/** How long `disconnect` waits for data that the server does not take. */
const disconnectMilliseconds = 1000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function ignore(): void {}

/** A transport outlives the fiber that has made it. */
export class NatsTransport implements AsyncIterable<Uint8Array> {
  /** The language and the version, as the server gets them. */
  readonly lang = "plait";
  readonly version: string = manifest.version;
  /** The error that has ended the connection. */
  closeError?: Error;
  readonly #tls: ParsedTls | undefined;
  readonly #abort = new AbortController();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  #socket: Socket | undefined = undefined;
  #reader: BufferedReader | undefined = undefined;
  /** The server's first message, which NATS reads again. */
  #info: Uint8Array = new Uint8Array(0);
  #isConnected = false;
  #isDone = false;
  #isDebugged = false;
  /** The last write; it ends after those before it. */
  #sent: Promise<unknown> = Promise.resolve();

  constructor(tls: ParsedTls | undefined) {
    this.#tls = tls;
  }

  get isClosed(): boolean {
    return this.#isDone;
  }

  /**
   * Connects, reads the server's first message, and begins TLS where it belongs.
   *
   * @throws {TypeError} for options of TLS that are not supported
   * @throws {SocketError} {TlsError} when the connection cannot be made
   */
  connect(server: NatsServer, options: NatsConnectionOptions): Promise<void> {
    return outsideOfFibers(async () => {
      try {
        await this.#connect(server, options);
      } catch (error) {
        this.#socket?.close();
        throw error;
      }
    });
  }

  async #connect(server: NatsServer, options: NatsConnectionOptions): Promise<void> {
    const { isWanted, handshakeFirst, tls } = wantedTls(this.#tls, options.tls);
    this.#isDebugged = options.debug === true;
    const { hostname: host, port, tlsName } = server;
    const { signal } = this.#abort;
    const socket = await connect({ host: host.replace(/^\[(.*)\]$/, "$1"), port, signal });
    this.#socket = socket;
    if (this.#isDone) throw refusal(socket, "ERR_SOCKET_CLOSED", "the transport was closed");
    const reader = new BufferedReader(socket, { maxLength: longestInfo });
    this.#reader = reader;
    const startTls = (): Promise<void> =>
      reader.startTls({ ...tls, serverName: tls.serverName ?? (tlsName || undefined) });
    if (handshakeFirst) await startTls();
    const line = await reader.readLine();
    this.#info = encoder.encode(`${line}\r\n`);
    const info = infoOf(line, socket);
    if (options.noEcho && !((info.proto ?? 0) >= 1)) {
      throw refusal(socket, "EOPNOTSUPP", "the server does not support noEcho");
    }
    const isOffered = info.tls_required === true || info.tls_available === true;
    if (!handshakeFirst) {
      if (isWanted && !isOffered) {
        throw refusal(socket, "ERR_TLS_NOT_OFFERED", "the server does not support TLS");
      }
      if (isOffered && options.tls !== null) await startTls();
      else if (info.tls_required) throw refusal(socket, "EACCES", "the server requires TLS");
    }
    if (this.#isDone) throw refusal(socket, "ERR_SOCKET_CLOSED", "the transport was closed");
    this.#isConnected = true;
  }

  isEncrypted(): boolean {
    return this.#socket?.secure === true;
  }

  /** What the server sends, beginning with its first message. Its end is the end of the connection. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    this.#debug(">", this.#info);
    yield this.#info;
    let error: Error | undefined;
    try {
      const reader = this.#reader!;
      for (;;) {
        const chunk = await outsideOfFibers(() => reader.next());
        if (chunk === null || this.#isDone) return;
        this.#debug(">", chunk);
        yield chunk;
      }
    } catch (thrown) {
      error = thrown as Error;
    } finally {
      this.#end(error);
    }
  }

  /** Sends behind what was sent before. A failure shows when the connection is read. */
  send(frame: Uint8Array): void {
    const socket = this.#socket;
    if (this.#isDone || socket === undefined) return;
    this.#debug("<", frame);
    this.#sent = outsideOfFibers(() => socket.write(frame));
    this.#sent.catch(ignore);
  }

  /** Ends the connection; `closed` is fulfilled with the error. */
  async close(error?: Error): Promise<void> {
    if (this.#isConnected) this.#end(error);
    else this.discard();
  }

  /** Ends the connection when everything was sent. */
  disconnect(): void {
    if (!this.#isConnected || this.#isDone) {
      this.#socket?.close();
      return;
    }
    const timer = setTimeout(() => this.#end(undefined), disconnectMilliseconds);
    this.#sent.catch(ignore).finally(() => {
      clearTimeout(timer);
      this.#end(undefined);
    });
  }

  /** Fulfilled when a connection that was made is over, with the error that has ended it. */
  closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  /** Ends the connection, or an attempt, without notice. */
  discard(): void {
    this.#isDone = true;
    this.#abort.abort();
    this.#socket?.close();
  }

  #end(error: Error | undefined): void {
    if (this.#isDone) return;
    if (error !== undefined) this.closeError = error;
    this.discard();
    this.#closed.resolve(error);
  }

  #debug(direction: string, frame: Uint8Array): void {
    if (!this.#isDebugged) return;
    console.info(direction, decoder.decode(frame).replaceAll("\r", "␍").replaceAll("\n", "␊"));
  }
}

/** Options of NATS for certificates and keys, by the option of plait that they stand for. */
const materialNames = {
  cert: ["cert", "certFile"],
  key: ["key", "keyFile"],
  ca: ["ca", "caFile"],
} as const;
const natsNames: ReadonlySet<string> = new Set([
  "handshakeFirst",
  ...Object.values(materialNames).flat(),
]);

/** What the options of plait and of NATS together say. `asked` is the option `tls` of NATS. */
function wantedTls(
  given: ParsedTls | undefined,
  asked: object | null | undefined,
): { isWanted: boolean; handshakeFirst: boolean; tls: ParsedTls } {
  if (asked === undefined || asked === null) {
    if (asked === null && given !== undefined) throw typeMistake("tls is null, and nats() has tls");
    return { isWanted: given !== undefined, handshakeFirst: false, tls: given ?? {} };
  }
  const own: Readonly<Record<string, unknown>> = { ...asked };
  for (const [name, value] of Object.entries(own)) {
    if (value === undefined || natsNames.has(name)) continue;
    throw typeMistake(`tls.${name} is not supported: give the tls of plait to nats()`);
  }
  const options: Record<string, TlsMaterial> = {};
  for (const [option, names] of Object.entries(materialNames)) {
    const value = names.map((name) => own[name]).find((material) => Boolean(material));
    if (value !== undefined) options[option] = value as TlsMaterial;
  }
  const hasMaterial = Object.keys(options).length > 0;
  if (hasMaterial && given !== undefined) {
    throw typeMistake("the tls of NATS has certificates, and nats() has tls too");
  }
  const tls = hasMaterial ? { context: tlsContext(options as TlsOptions) } : (given ?? {});
  return { isWanted: true, handshakeFirst: own.handshakeFirst === true, tls };
}

function infoOf(line: string | null, socket: Socket): Info {
  if (line === null) throw refusal(socket, "ECONNRESET", "the server ended the connection");
  const text = /^INFO\s+(\{.*\})\s*$/i.exec(line)?.[1];
  try {
    if (text !== undefined) return JSON.parse(text);
  } catch {
    // It is no JSON.
  }
  throw refusal(socket, "EPROTO", "the server did not begin with INFO");
}

function refusal(
  { remoteAddress: address, remotePort: port }: Socket,
  code: string,
  reason: string,
): SocketError {
  return new SocketError(code, { syscall: "connect", address, port, reason });
}
