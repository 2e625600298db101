/** The connections of a user beside those of HTTP: that of a raw target, and WebSockets. */

import { BufferedReader } from "../buffered/reader.ts";
import type { Headers } from "../http/request.ts";
import type { Socket } from "../net/socket.ts";
import { after } from "../values/deadlines.ts";
import { openWebSocket, type WebSocketConnection } from "../websocket/connection.ts";
import type { Connector, SessionPlace } from "./connector.ts";
import type { Plan } from "./plan.ts";

/** Options of `c.websocket`. */
export interface WebSocketOpening {
  /** Fields of the opening handshake, beside those of the run. */
  headers?: Headers | undefined;
  /** Subprotocols, the preferred one first (RFC 6455, section 1.9). */
  protocols?: readonly string[] | undefined;
}

export class UserSockets {
  readonly #plan: Plan;
  readonly #connector: Connector;
  readonly #sessions: SessionPlace = { session: undefined };
  #raw: Socket | undefined = undefined;
  #reader: BufferedReader | undefined = undefined;
  /** By path. */
  readonly #webSockets = new Map<string, WebSocketConnection>();
  /** Those that are being opened: calls side by side have the same. */
  readonly #opening = new Map<string, Promise<WebSocketConnection>>();

  constructor(plan: Plan, connector: Connector) {
    this.#plan = plan;
    this.#connector = connector;
  }

  /** The connection to a raw target, if there is one. */
  get raw(): Socket | undefined {
    return this.#raw;
  }

  /** A reader on `raw`. */
  get reader(): BufferedReader | undefined {
    if (this.#raw !== undefined) this.#reader ??= new BufferedReader(this.#raw);
    return this.#reader;
  }

  get isConnected(): boolean {
    return this.#raw?.closed === false;
  }

  /** Connects to a raw target. */
  async connect(): Promise<void> {
    this.#raw = await this.#open();
    this.#reader = undefined;
  }

  async #open(): Promise<Socket> {
    const socket = await this.#connector.connect(this.#sessions);
    this.#connector.open++;
    return socket;
  }

  /** The user's WebSocket to a path: one that is open, or a new one. */
  async webSocket(path: string, options: WebSocketOpening): Promise<WebSocketConnection> {
    const known = this.#webSockets.get(path);
    if (known !== undefined && isOpen(known)) return known;
    if (known !== undefined) this.#closeWebSocket(path, known);
    let opening = this.#opening.get(path);
    if (opening === undefined) {
      opening = this.#openWebSocket(path, options);
      this.#opening.set(path, opening);
    }
    try {
      return await opening;
    } finally {
      this.#opening.delete(path);
    }
  }

  async #openWebSocket(path: string, options: WebSocketOpening): Promise<WebSocketConnection> {
    const { target, request, timeoutMilliseconds, mostBodyBytes } = this.#plan;
    const deadline = after(timeoutMilliseconds);
    const socket = await this.#open();
    try {
      const opened = await openWebSocket(socket, {
        host: target.hostField,
        path,
        headers: { ...request.headers, ...options.headers },
        protocols: options.protocols,
        maxMessageBytes: mostBodyBytes,
        deadline,
      });
      this.#webSockets.set(path, opened);
      return opened;
    } catch (error) {
      this.#connector.open--;
      throw error;
    }
  }

  #closeWebSocket(path: string, { socket }: WebSocketConnection): void {
    this.#webSockets.delete(path);
    this.#connector.open--;
    socket.close();
  }

  close(): void {
    const raw = this.#raw;
    if (raw !== undefined) {
      this.#raw = this.#reader = undefined;
      this.#connector.open--;
      raw.close();
    }
    for (const [path, webSocket] of [...this.#webSockets]) this.#closeWebSocket(path, webSocket);
  }
}

/** Whether neither side has closed it. */
function isOpen({ socket, closeCode }: WebSocketConnection): boolean {
  return !socket.closed && closeCode === undefined;
}
