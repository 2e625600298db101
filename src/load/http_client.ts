/** `c.http`: the requests of one user, over one connection that is kept open. */

import { core } from "../core/native.ts";
import type { Answer } from "../http/answer.ts";
import { type Body, type BodyData, BytesBody, bodyOf, mostJoined } from "../http/body.ts";
import type { Exchange, RequestWithBody } from "../http/connection.ts";
import type { Cookies } from "../http/cookies.ts";
import { acceptedEncodings } from "../http/decoding.ts";
import { framedRequest } from "../http/framing.ts";
import { type RedirectableRequest, RedirectError, redirectOf } from "../http/redirects.ts";
import { checkMethod, checkPath, fieldLines, type Headers } from "../http/request.ts";
import { Mutex } from "../sync/mutex.ts";
import { ownOptions } from "../values/checks.ts";
import type { Exchanges } from "./exchanges.ts";
import { ok } from "./outcomes.ts";
import type { Plan } from "./plan.ts";
import type { Outcome } from "./report.ts";
import { type Statuses, type StatusRange, statusRanges } from "./statuses.ts";
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

/** Why an iteration fails although nothing was thrown. */
export interface Failure {
  readonly outcome: Outcome;
  readonly message: string;
}

/** Makes requests, and counts each of them. */
export class HttpClient {
  readonly #plan: Plan;
  /** @internal Those on its connection, which it may share with other users (pipelining). */
  readonly exchanges: Exchanges;
  /** The fields of all requests, each with the end of its line. */
  readonly #fields: string;
  readonly #cookies: Cookies | undefined;
  /** How the answers to `request` are read. */
  readonly #whole: Exchange;
  readonly #wholeToHead: Exchange;
  readonly #ranges = new Map<Statuses, readonly StatusRange[]>();
  /** A scenario's requests side by side take turns on the connection, unless they are pipelined. */
  readonly #turns: Mutex | undefined;
  /** @internal The first status of the iteration that was not expected. */
  failure: Failure | undefined = undefined;

  /** @internal */
  constructor(exchanges: Exchanges) {
    this.exchanges = exchanges;
    const { plan, newCookies } = exchanges.setup;
    this.#plan = plan;
    const { target, request, keepsAlive, decodes, mostBodyBytes } = plan;
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
    this.#cookies = newCookies?.();
    this.#turns = plan.pipeline > 1 ? undefined : new Mutex();
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
    const plan = this.#plan;
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
    const plan = this.#plan;
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
    const { target, request } = this.#plan;
    const { method, body } = request;
    const length =
      body === undefined || hasField(request.headers, "content-length")
        ? ""
        : `Content-Length: ${body.byteLength}\r\n`;
    const head = headBytes(`${method} ${target.path} HTTP/1.1\r\n${this.#fields}${length}\r\n`);
    return body === undefined ? head : Buffer.concat([head, body]);
  }

  /** @internal */
  async exchange(
    request: Uint8Array | RequestWithBody,
    how: Exchange,
    expected: readonly StatusRange[],
    timeout: number | undefined,
  ): Promise<Answer> {
    const turns = this.#turns;
    using _turn = turns === undefined ? undefined : (turns.tryLock() ?? (await turns.lock()));
    const { exchanges } = this;
    const connection = exchanges.connection ?? (await exchanges.connect());
    const start = core.now();
    let answer: Answer;
    let outcome: Outcome;
    try {
      answer = await exchanges.begin(connection, request, how, start, timeout);
      outcome = exchanges.finish(connection, answer, how, expected, start, core.now());
    } catch (error) {
      throw exchanges.fail(connection, error, start, core.now());
    }
    if (outcome !== ok) this.failure ??= statusFailure(outcome, answer);
    return answer;
  }

  /** @internal */
  close(): void {
    this.exchanges.close();
  }
}

export function statusFailure(outcome: Outcome, { status }: Answer): Failure {
  return { outcome, message: `the status is ${status}` };
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

function originOf({ isTls, hostField }: Target): URL {
  return new URL(`${isTls ? "https" : "http"}://${hostField}`);
}
