/** Sends requests on a connection, reads their answers, and counts both. */

import type { Answer } from "../http/answer.ts";
import { type Exchange, HttpConnection, type RequestWithBody } from "../http/connection.ts";
import type { Cookies } from "../http/cookies.ts";
import { decoded } from "../http/decoding.ts";
import { after, type Deadline } from "../values/deadlines.ts";
import { SocketError, UnexpectedEndError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import type { Connector, SessionPlace } from "./connector.ts";
import type { Meter, Series } from "./memory.ts";
import { KeptConnectionClosedError, ok, outcomeOf, statusOutcome } from "./outcomes.ts";
import type { Plan } from "./plan.ts";
import type { Outcome } from "./report.ts";
import { isExpected, type StatusRange } from "./statuses.ts";

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

/** A connection that is made again when it has ended. Several users share it if requests are pipelined. */
export class Exchanges {
  readonly setup: HttpSetup;
  readonly #sessions: SessionPlace = { session: undefined };
  #connection: HttpConnection | undefined = undefined;
  #connecting: Promise<HttpConnection> | undefined = undefined;
  /** Requests that were sent and have no outcome yet. */
  pending = 0;

  constructor(setup: HttpSetup) {
    this.setup = setup;
  }

  /** The connection, if a request can be sent on it. */
  get connection(): HttpConnection | undefined {
    return this.#connection?.isOpen ? this.#connection : undefined;
  }

  /** Connects, if there is no connection. */
  async connect(): Promise<HttpConnection> {
    const { connection } = this;
    if (connection !== undefined) return connection;
    this.#connecting ??= this.#connect();
    try {
      return await this.#connecting;
    } finally {
      this.#connecting = undefined;
    }
  }

  async #connect(): Promise<HttpConnection> {
    this.close();
    const { connector, plan } = this.setup;
    const socket = await connector.connect(this.#sessions);
    connector.open++;
    this.#connection = new HttpConnection(socket, plan.pipeline > 1);
    return this.#connection;
  }

  /** Sends a request. One of `finish` and `fail` must follow. */
  begin(
    connection: HttpConnection,
    request: Uint8Array | RequestWithBody,
    how: Exchange,
    start: number,
    timeout: number | undefined,
  ): Promise<Answer> {
    const { setup } = this;
    setup.sent.count();
    this.pending++;
    const deadline = timeout === undefined ? setup.deadline(start) : after(timeout, start);
    return ArrayBuffer.isView(request)
      ? connection.exchange(request, how, deadline)
      : connection.exchangeBody(request, how, deadline);
  }

  /**
   * Counts an answer, and returns its outcome.
   *
   * @throws {BadContentError} {MessageTooLongError} for a body that cannot be decoded; `fail` must follow
   */
  finish(
    connection: HttpConnection,
    answer: Answer,
    how: Exchange,
    expected: readonly StatusRange[],
    start: number,
    end: number,
  ): Outcome {
    const { setup } = this;
    if (setup.plan.decodes && how.keep === "body") {
      answer.decodeAs(decoded(answer, setup.plan.mostBodyBytes));
    }
    this.pending--;
    const { status } = answer;
    const outcome = isExpected(status, expected) ? ok : statusOutcome(status);
    setup.ended(outcome, end - start);
    // A server may ignore that the connection is to be closed.
    if (!connection.isOpen || !setup.plan.keepsAlive) this.#drop(connection);
    return outcome;
  }

  /** Counts a failure, and returns its error. */
  fail(connection: HttpConnection, thrown: unknown, start: number, end: number): unknown {
    const error = asKept(thrown, connection);
    this.pending--;
    this.#drop(connection);
    this.setup.ended(outcomeOf(error), end - start);
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
    this.setup.connector.open--;
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
