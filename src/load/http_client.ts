/** `c.http`: the requests of one user, over one connection that is kept open. */

import { core } from "../core/native.ts";
import type { Answer } from "../http/answer.ts";
import { type Body, type BodyData, BytesBody, bodyOf } from "../http/body.ts";
import { type Exchange, HttpConnection, type RequestWithBody } from "../http/connection.ts";
import type { Cookies } from "../http/cookies.ts";
import { acceptedEncodings, decoded } from "../http/decoding.ts";
import { framedRequest } from "../http/framing.ts";
import { type RedirectableRequest, RedirectError, redirectOf } from "../http/redirects.ts";
import { checkMethod, checkPath, fieldLines, type Headers } from "../http/request.ts";
import { ownOptions } from "../values/checks.ts";
import { after, type Deadline } from "../values/deadlines.ts";
import { SocketError, UnexpectedEndError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import type { Connector, SessionPlace } from "./connector.ts";
import type { Meter, Series } from "./memory.ts";
import { KeptConnectionClosedError, ok, outcomeOf, statusOutcome } from "./outcomes.ts";
import type { Plan } from "./plan.ts";
import type { Outcome } from "./report.ts";
import { isExpected, type Statuses, type StatusRange, statusRanges } from "./statuses.ts";
import type { Target } from "./target.ts";

/** Options of a request. */
export interface RequestOptions {
  /** Fields of the head, beside those of the run. */
  headers?: Headers | undefined;
  /** Text, which is sent as UTF-8; bytes; a form; a `Bun.file`; or a stream of text and bytes, which is sent in chunks. */
  body?: BodyData | undefined;
  /** A value that is sent as JSON. */
  json?: unknown;
  /** The path of a file that is sent. */
  file?: string | undefined;
  /** Whether the body waits until the server asks for it (`Expect: 100-continue`); false if not given. */
  expectContinue?: boolean | undefined;
  /** The statuses that are no failure, in place of those of the run: `404`, `[200, 404]`, `"2xx,404"`. */
  expect?: Statuses | undefined;
  /** Milliseconds, in place of those of the run. */
  timeout?: number | undefined;
}

const noOptions: RequestOptions = {};
const requestOptions: ReadonlySet<string> = new Set<keyof RequestOptions>([
  ...(["headers", "body", "json", "file", "expectContinue", "expect", "timeout"] as const),
]);
/** The bytes of a head, whose characters above ASCII are Latin-1 (RFC 9110, section 5.5). */
function headBytes(head: string): Uint8Array {
  return Buffer.from(head, "latin1");
}

/** What the requests of a thread share. */
export class HttpSetup {
  readonly plan: Plan;
  readonly connector: Connector;
  readonly meter: Meter;
  readonly sent: Series;
  /** The run has ended: what it breaks off has no outcome. */
  isCut = false;
  /** Makes the cookies of a user; undefined without cookies. */
  readonly newCookies: (() => Cookies) | undefined;
  readonly #series = new Map<Outcome, Series>();

  constructor(
    plan: Plan,
    connector: Connector,
    meter: Meter,
    newCookies: (() => Cookies) | undefined,
  ) {
    this.newCookies = newCookies;
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
    return after(this.plan.timeoutMilliseconds, start);
  }
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
  /** The fields of all requests, each with the end of its line. */
  readonly #fields: string;
  readonly #cookies: Cookies | undefined;
  /** How the answers to `request` are read. */
  readonly #whole: Exchange;
  readonly #wholeToHead: Exchange;
  readonly #ranges = new Map<Statuses, readonly StatusRange[]>();
  #connection: HttpConnection | undefined = undefined;
  #connecting: Promise<HttpConnection> | undefined = undefined;
  /** @internal Requests that were sent and have no outcome yet. */
  pending = 0;
  /** @internal The first status of the iteration that was not expected. */
  failure: Failure | undefined = undefined;

  /** @internal */
  constructor(setup: HttpSetup) {
    this.#setup = setup;
    const { target, request, keepsAlive, decodes, mostBodyBytes } = setup.plan;
    const own = hasField(request.headers, "host") ? "" : `Host: ${target.hostField}\r\n`;
    const closing = keepsAlive ? "" : "Connection: close\r\n";
    const encodings = decodes ? `Accept-Encoding: ${acceptedEncodings}\r\n` : "";
    const authorization =
      target.authorization === undefined || hasField(request.headers, "authorization")
        ? ""
        : `Authorization: ${target.authorization}\r\n`;
    this.#fields = `${own}${authorization}${closing}${encodings}${fieldLines(request.headers)}`;
    this.#whole = { keep: "body", isToHead: false, mostBody: mostBodyBytes };
    this.#wholeToHead = { ...this.#whole, isToHead: true };
    this.#cookies = setup.newCookies?.();
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
  request(method: string, path: string, options = noOptions): Promise<Answer> {
    const { plan } = this.#setup;
    if (options !== noOptions || this.#cookies !== undefined || plan.redirects > 0) {
      return this.#made(method, path, options);
    }
    try {
      checkMethod(method);
      checkPath(path);
    } catch (error) {
      return Promise.reject(error);
    }
    const data = headBytes(`${method} ${path} HTTP/1.1\r\n${this.#fields}\r\n`);
    const how = method === "HEAD" ? this.#wholeToHead : this.#whole;
    return this.exchange(data, how, plan.expected, undefined);
  }

  /** Makes a request with options, and follows its redirects. */
  async #made(method: string, path: string, own: RequestOptions): Promise<Answer> {
    checkMethod(method);
    checkPath(path);
    const options = ownOptions(own, requestOptions, "a request");
    const { headers = {}, expect, timeout, expectContinue = false, ...given } = options;
    const { plan } = this.#setup;
    const origin = originOf(plan.target);
    const expected = expect === undefined ? plan.expected : this.#rangesOf(expect);
    let next: RedirectableRequest = {
      ...{ url: new URL(path, origin), method, headers },
      body: bodyOf({
        body: given.body,
        file: given.file,
        ...("json" in given && { json: given.json }),
      }),
    };
    for (let count = 0; ; count++) {
      const answer = await this.#sent(next, { expected, timeout, expectContinue });
      this.#cookies?.store(answer, next.url);
      if (plan.redirects === 0) return answer;
      const further = redirectOf(answer, next, count, { most: plan.redirects });
      if (further === undefined) return answer;
      if (further.url.origin !== origin.origin) {
        throw new RedirectError(
          `it leads to ${further.url.origin}, and the run is against ${origin.origin}`,
        );
      }
      next = further;
    }
  }

  async #sent(
    { url, method, headers: own, body: given }: RedirectableRequest,
    how: {
      readonly expected: readonly StatusRange[];
      readonly timeout: number | undefined;
      readonly expectContinue: boolean;
    },
  ): Promise<Answer> {
    const { headers, body } = framedRequest(method, own, given);
    const cookie = this.#cookies?.cookieHeader(url);
    const cookies = cookie === undefined ? "" : `Cookie: ${cookie}\r\n`;
    const expectsContinue = how.expectContinue && body !== undefined;
    const expectation = expectsContinue ? "Expect: 100-continue\r\n" : "";
    const fields = `${this.#fields}${cookies}${expectation}${fieldLines(headers)}`;
    const head = headBytes(`${method} ${url.pathname}${url.search} HTTP/1.1\r\n${fields}\r\n`);
    const exchange = method === "HEAD" ? this.#wholeToHead : this.#whole;
    const request = requestData(head, body, expectsContinue);
    return await this.exchange(request, exchange, how.expected, how.timeout);
  }

  #rangesOf(expect: Statuses): readonly StatusRange[] {
    let ranges = this.#ranges.get(expect);
    if (ranges === undefined) {
      ranges = statusRanges(expect);
      // Lists that are made anew for each request would fill it.
      if (typeof expect !== "object") this.#ranges.set(expect, ranges);
    }
    return ranges;
  }

  /** @internal The bytes of the run's own request. */
  planned(): Uint8Array {
    const { target, request } = this.#setup.plan;
    const { method, body } = request;
    const length =
      body === undefined || hasField(request.headers, "content-length")
        ? ""
        : `Content-Length: ${body.byteLength}\r\n`;
    const head = headBytes(`${method} ${target.path} HTTP/1.1\r\n${this.#fields}${length}\r\n`);
    return body === undefined ? head : Buffer.concat([head, body]);
  }

  /** @internal The connection, if a request can be sent on it. */
  get connection(): HttpConnection | undefined {
    return this.#connection?.isOpen ? this.#connection : undefined;
  }

  /** @internal Whether there is such a connection. */
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

  /** @internal Sends a request, reads its answer, and counts it. */
  async exchange(
    request: Uint8Array | RequestWithBody,
    how: Exchange,
    expected: readonly StatusRange[],
    timeout: number | undefined,
  ): Promise<Answer> {
    const connection = this.#connection?.isOpen ? this.#connection : await this.connect();
    const start = core.now();
    try {
      const answer = await this.begin(connection, request, how, start, timeout);
      this.finish(connection, answer, how, expected, start, core.now());
      return answer;
    } catch (error) {
      throw this.fail(connection, error, start, core.now());
    }
  }

  /** @internal Sends a request. One of `finish` and `fail` must follow. */
  begin(
    connection: HttpConnection,
    request: Uint8Array | RequestWithBody,
    how: Exchange,
    start: number,
    timeout: number | undefined,
  ): Promise<Answer> {
    const setup = this.#setup;
    setup.sent.count();
    this.pending++;
    const deadline = timeout === undefined ? setup.deadline(start) : after(timeout, start);
    return ArrayBuffer.isView(request)
      ? connection.exchange(request, how, deadline)
      : connection.exchangeBody(request, how, deadline);
  }

  /** @internal Counts an answer. */
  finish(
    connection: HttpConnection,
    answer: Answer,
    how: Exchange,
    expected: readonly StatusRange[],
    start: number,
    end: number,
  ): void {
    const setup = this.#setup;
    if (setup.plan.decodes && how.keep === "body") {
      answer.decodeAs(decoded(answer, setup.plan.mostBodyBytes));
    }
    this.pending--;
    const { status } = answer;
    if (isExpected(status, expected)) setup.ended(ok, end - start);
    else {
      const outcome = statusOutcome(status);
      this.failure ??= { outcome, message: `the status is ${status}` };
      setup.ended(outcome, end - start);
    }
    // A server may ignore that the connection is to be closed.
    if (!connection.isOpen || !setup.plan.keepsAlive) this.#drop(connection);
  }

  /** @internal Counts a failure, and returns its error. */
  fail(connection: HttpConnection, thrown: unknown, start: number, end: number): unknown {
    const error = asKept(thrown, connection);
    this.pending--;
    this.#drop(connection);
    this.#setup.ended(outcomeOf(error), end - start);
    return error;
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

/** A small body goes with its head in one piece, so that it can be pipelined. */
function requestData(
  head: Uint8Array,
  body: Body | undefined,
  expectsContinue: boolean,
): Uint8Array | RequestWithBody {
  if (body === undefined) return head;
  const isSmall = body instanceof BytesBody && body.bytes.byteLength <= mostJoined;
  if (isSmall && !expectsContinue) return Buffer.concat([head, body.bytes]);
  return { head, body, expectsContinue };
}

/** Bytes of a body that are copied behind its head. */
const mostJoined = 16_384;

function originOf({ isTls, hostField }: Target): URL {
  return new URL(`${isTls ? "https" : "http"}://${hostField}`);
}
