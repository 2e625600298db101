/** `c.http`: the requests of one user, over one connection that is kept open. */

import { core } from "../core/native.ts";
import type { Answer } from "../http/answer.ts";
import { type Exchange, HttpConnection } from "../http/connection.ts";
import { checkMethod, checkPath, fieldLines, type Headers } from "../http/request.ts";
import type { WriteData } from "../net/buffers.ts";
import { typeMistake } from "../values/checks.ts";
import { after, type Deadline, never } from "../values/deadlines.ts";
import { SocketError, UnexpectedEndError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import type { Connector, SessionPlace } from "./connector.ts";
import type { Meter, Series } from "./memory.ts";
import { KeptConnectionClosedError, ok, outcomeOf, statusOutcome } from "./outcomes.ts";
import type { Plan } from "./plan.ts";
import type { Outcome } from "./report.ts";

/** Options of a request. */
export interface RequestOptions {
  /** Fields of the head, beside those of the run. */
  headers?: Headers | undefined;
  /** Bytes, or text that is sent as UTF-8. */
  body?: Uint8Array | string | undefined;
  /** A value that is sent as JSON. */
  json?: unknown;
  /** The statuses that are no failure, in place of those of the run. */
  expect?: number | readonly number[] | undefined;
  /** Milliseconds, in place of those of the run. */
  timeout?: number | undefined;
}

const noOptions: RequestOptions = {};
const encoder = new TextEncoder();

/** What the requests of a thread share. */
export class HttpSetup {
  readonly plan: Plan;
  readonly connector: Connector;
  readonly meter: Meter;
  readonly sent: Series;
  /** The run has ended: what it breaks off has no outcome. */
  isCut = false;
  readonly #series = new Map<Outcome, Series>();

  constructor(plan: Plan, connector: Connector, meter: Meter) {
    this.plan = plan;
    this.connector = connector;
    this.meter = meter;
    this.sent = meter.series("requests sent");
  }

  ended(outcome: Outcome, milliseconds: number): void {
    if (this.isCut) return;
    let series = this.#series.get(outcome);
    if (series === undefined) {
      series = this.meter.series("request", outcome);
      this.#series.set(outcome, series);
    }
    series.record(milliseconds);
  }

  deadline(start: number): Deadline {
    const { timeoutMilliseconds } = this.plan;
    return timeoutMilliseconds === Number.POSITIVE_INFINITY
      ? never
      : after(timeoutMilliseconds, start);
  }
}

/** Whether a status is no failure. */
export function isExpected(status: number, expected: readonly number[] | undefined): boolean {
  return expected === undefined ? status < 400 : expected.includes(status);
}

/** Why an iteration fails although nothing was thrown. */
export interface Failure {
  readonly outcome: Outcome;
  readonly message: string;
}

/** Makes requests, and counts each of them. */
export class HttpClient {
  readonly #setup: HttpSetup;
  readonly #sessions: SessionPlace = { session: undefined };
  readonly #fields: string;
  #connection: HttpConnection | undefined = undefined;
  #connecting: Promise<HttpConnection> | undefined = undefined;
  /** Requests that were sent and have no outcome yet. */
  pending = 0;
  /** @internal The first status of the iteration that was not expected. */
  failure: Failure | undefined = undefined;

  /** @internal */
  constructor(setup: HttpSetup) {
    this.#setup = setup;
    const { target, request, keepsAlive } = setup.plan;
    const own = hasField(request.headers, "host") ? "" : `Host: ${target.hostField}\r\n`;
    const closing = keepsAlive ? "" : "Connection: close\r\n";
    this.#fields = `${own}${closing}${fieldLines(request.headers)}`;
  }

  /** GET (RFC 9110, section 9.3.1). As `request`. */
  get(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("GET", path, options);
  }

  /** HEAD: an answer without its body. As `request`. */
  head(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("HEAD", path, options);
  }

  /** POST. As `request`. */
  post(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("POST", path, options);
  }

  /** PUT. As `request`. */
  put(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("PUT", path, options);
  }

  /** PATCH (RFC 5789). As `request`. */
  patch(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("PATCH", path, options);
  }

  /** DELETE. As `request`. */
  delete(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request("DELETE", path, options);
  }

  /**
   * Sends a request to the target, and returns its whole answer. Each counts as a request of the report. A status
   * that is not expected makes the iteration fail with its class, but is no error here.
   *
   * @throws {TypeError} for a method, a path or a header that HTTP does not allow
   * @throws {SocketError} {TlsError} {TimeoutError} {BadAnswerError} when it fails: the connection is closed then
   */
  async request(method: string, path: string, options = noOptions): Promise<Answer> {
    checkMethod(method);
    checkPath(path);
    const { plan } = this.#setup;
    const data = this.#encoded(method, path, options);
    const how: Exchange = {
      keep: "body",
      isToHead: method === "HEAD",
      mostBody: plan.mostBodyBytes,
    };
    const { expect } = options;
    const expected = typeof expect === "number" ? [expect] : (expect ?? plan.expected);
    return await this.exchange(data, how, expected, options.timeout);
  }

  /** @internal The bytes of a request. */
  #encoded(method: string, path: string, options: RequestOptions): WriteData {
    const { headers, json } = options;
    let head = `${method} ${path} HTTP/1.1\r\n${this.#fields}`;
    if (headers !== undefined) head += fieldLines(headers);
    let { body } = options;
    if (json !== undefined) {
      if (body !== undefined) throw typeMistake("body has no meaning with json");
      body = JSON.stringify(json);
      if (!hasField(headers, "content-type")) head += "Content-Type: application/json\r\n";
    }
    if (body === undefined) return encoder.encode(`${head}\r\n`);
    const bytes = typeof body === "string" ? encoder.encode(body) : body;
    return Buffer.concat([
      encoder.encode(`${head}Content-Length: ${bytes.byteLength}\r\n\r\n`),
      bytes,
    ]);
  }

  /** @internal The bytes of the run's own request. */
  planned(): Uint8Array {
    const { target, request } = this.#setup.plan;
    const { method, body } = request;
    const head = `${method} ${target.path} HTTP/1.1\r\n${this.#fields}`;
    if (body === undefined) return encoder.encode(`${head}\r\n`);
    return Buffer.concat([
      encoder.encode(`${head}Content-Length: ${body.byteLength}\r\n\r\n`),
      body,
    ]);
  }

  /** @internal Whether there is a connection that a request can be sent on. */
  get isConnected(): boolean {
    return this.#connection?.isOpen === true;
  }

  /** @internal Connects, if there is no connection. */
  async connect(): Promise<HttpConnection> {
    if (this.#connection?.isOpen) return this.#connection;
    this.#connecting ??= this.#connect();
    try {
      return await this.#connecting;
    } finally {
      this.#connecting = undefined;
    }
  }

  async #connect(): Promise<HttpConnection> {
    this.close();
    const { connector, plan } = this.#setup;
    const socket = await connector.connect(this.#sessions);
    connector.open++;
    this.#connection = new HttpConnection(socket, plan.pipeline > 1);
    return this.#connection;
  }

  /** @internal */
  async exchange(
    data: WriteData,
    how: Exchange,
    expected: readonly number[] | undefined,
    timeout?: number,
  ): Promise<Answer> {
    const setup = this.#setup;
    let connection = this.#connection;
    if (connection === undefined || !connection.isOpen) connection = await this.connect();
    const start = core.now();
    setup.sent.count();
    this.pending++;
    try {
      const deadline = timeout === undefined ? setup.deadline(start) : after(timeout, start);
      const answer = await connection.exchange(data, how, deadline);
      const { status } = answer;
      const outcome = isExpected(status, expected) ? ok : statusOutcome(status);
      if (outcome !== ok) this.failure ??= { outcome, message: `the status is ${status}` };
      setup.ended(outcome, core.now() - start);
      if (!connection.isOpen) this.#drop(connection);
      return answer;
    } catch (thrown) {
      const error = asKept(thrown, connection);
      const outcome = outcomeOf(error);
      this.#drop(connection);
      setup.ended(outcome, core.now() - start);
      throw error;
    } finally {
      this.pending--;
    }
  }

  #drop(connection: HttpConnection): void {
    if (this.#connection === connection) this.close();
    else connection.close();
  }

  /** Closes the connection. The next request makes a new one. */
  close(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#setup.connector.open--;
    connection.close();
  }
}

/** The error of an exchange, as that of a kept connection if the connection has ended before the answer began. */
function asKept(error: unknown, connection: HttpConnection): unknown {
  if (!connection.hasAnswered || connection.hasBegun) return error;
  const hasEnded =
    isInstance(error, UnexpectedEndError) ||
    // The server had closed it before the request came (tcp(7)). A reset without that is one of its own.
    (isInstance(error, SocketError) && error.code === "EPIPE");
  return hasEnded ? new KeptConnectionClosedError(error) : error;
}

function hasField(headers: Headers | undefined, name: string): boolean {
  return Object.keys(headers ?? {}).some((each) => each.toLowerCase() === name);
}
