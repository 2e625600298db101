/** What a scenario gets: `c`. */

import type { BufferedReader } from "../buffered/reader.ts";
import { core } from "../core/native.ts";
import type { Socket } from "../net/socket.ts";
import { checkedInteger, typeMistake } from "../values/checks.ts";
import type { WebSocketConnection } from "../websocket/connection.ts";
import { type CsvRow, DataExhaustedError, type Feeder } from "./data/feeder.ts";
import type { Failure, HttpClient } from "./http_client.ts";
import type { Meter, Series } from "./memory.ts";
import { checkFailed, ok, outcomeOf } from "./outcomes.ts";
import type { Plan } from "./plan.ts";
import { Random } from "./random.ts";
import type { UserSockets, WebSocketOpening } from "./user_sockets.ts";

/** The code of a run: called for each iteration. */
export type Scenario = (c: Context) => unknown;

/** What the contexts of a thread share. */
export class ContextSetup {
  readonly meter: Meter;
  readonly plan: Plan;
  /** The run has ended: what it breaks off is not counted. */
  isCut = false;
  readonly #checks = new Map<string, readonly [passed: Series, failed: Series]>();
  readonly #steps = new Map<string, Map<string, Series>>();

  readonly #feeders: ReadonlyMap<string, Feeder<unknown>>;

  constructor(meter: Meter, plan: Plan, feeders: ReadonlyMap<string, Feeder<unknown>>) {
    this.meter = meter;
    this.plan = plan;
    this.#feeders = feeders;
  }

  feeder(name: string): Feeder<unknown> {
    const feeder = this.#feeders.get(name);
    if (feeder !== undefined) return feeder;
    const names = [...this.#feeders.keys()].join(", ") || "none";
    throw typeMistake(`there is no data "${name}"; the option data has: ${names}`);
  }

  check(name: string): readonly [passed: Series, failed: Series] {
    let series = this.#checks.get(name);
    if (series === undefined) {
      const { meter } = this;
      series = [meter.series("check", name, "passed"), meter.series("check", name, "failed")];
      this.#checks.set(name, series);
    }
    return series;
  }

  step(name: string, outcome: string): Series {
    let outcomes = this.#steps.get(name);
    if (outcomes === undefined) this.#steps.set(name, (outcomes = new Map()));
    let series = outcomes.get(outcome);
    if (series === undefined) {
      outcomes.set(outcome, (series = this.meter.series("step", name, outcome)));
    }
    return series;
  }
}

/**
 * What a scenario has at hand in an iteration. It belongs to one user, which runs one iteration after another, and
 * must not be used when the iteration has ended.
 */
export class Context {
  /** The requests over HTTP: to the target, on a connection that is kept open between iterations. */
  readonly http: HttpClient;
  /** The number of the user, from 0 on: each has a connection of its own. */
  readonly user: number;
  /** The number of the iteration in the run, from 0 on. */
  iteration = 0;
  readonly #setup: ContextSetup;
  readonly #random = new Random();
  #randomOf = -1;
  readonly #sockets: UserSockets;
  /** @internal The first check of the iteration that has failed. */
  failure: Failure | undefined = undefined;

  /** @internal */
  constructor(setup: ContextSetup, http: HttpClient, sockets: UserSockets, user: number) {
    this.#sockets = sockets;
    this.#setup = setup;
    this.http = http;
    this.user = user;
  }

  /** @internal Prepares for the next iteration. */
  begin(iteration: number): void {
    this.iteration = iteration;
    this.failure = undefined;
    this.http.failure = undefined;
  }

  /**
   * The connection to a target of `tcp:`, `tls:` or `unix:`. It is kept open between iterations. When the scenario has
   * closed it, or an iteration has failed, the next iteration has a new one.
   *
   * @throws {TypeError} for another target
   */
  get socket(): Socket {
    return this.#sockets.raw ?? noRaw();
  }

  /** A buffered reader on `socket`. */
  get reader(): BufferedReader {
    return this.#sockets.reader ?? noRaw();
  }

  /**
   * The user's WebSocket to a path of the target (RFC 6455), which may be one of `http:`, `https:`, `ws:` or `wss:`. It
   * is opened at the first call, and kept open between iterations. When it is closed, or an iteration has failed, the
   * next call opens a new one.
   *
   * @throws {WebSocketRefusedError} when the server answers with another status than 101
   * @throws {SocketError} {TlsError} {TimeoutError} when there is no connection
   */
  async websocket(path?: string, options: WebSocketOpening = {}): Promise<WebSocketConnection> {
    const { target } = this.#setup.plan;
    if (target.protocol === "raw") {
      throw typeMistake(`c.websocket is for targets of HTTP, not for ${target.text}`);
    }
    return await this.#sockets.webSocket(path ?? target.path, options);
  }

  /**
   * A random number: a whole one from 0 up to, but not including, `limit`; without a limit a fraction from 0 to 1.
   * The seed of the run and the number of the iteration decide it.
   */
  random(limit?: number): number {
    if (this.#randomOf !== this.iteration) {
      this.#randomOf = this.iteration;
      this.#random.begin(this.#setup.plan.seed, this.iteration);
    }
    if (limit === undefined) return this.#random.fraction();
    return this.#random.below(checkedInteger(limit, "a limit", 1, Number.MAX_SAFE_INTEGER));
  }

  /**
   * The row of a feeder for this iteration. All threads share the rows: the number of the iteration decides which it is.
   *
   * @param from a feeder, or the name of one of the option `data`
   * @throws {DataExhaustedError} when an order of `once` has no more: the run ends
   */
  data<Row = CsvRow>(from: string | Feeder<Row>): Row {
    const feeder = typeof from === "string" ? this.#setup.feeder(from) : from;
    const row = feeder.row(this.iteration, this.#setup.plan.seed) as Row | undefined;
    if (row === undefined) throw new DataExhaustedError(feeder.name);
    return row;
  }

  /** Counts whether something is as it should be. One that is not makes the iteration fail. Returns `holds`. */
  check(holds: boolean, name: string): boolean {
    const [passed, failed] = this.#setup.check(name);
    if (holds) passed.count();
    else {
      failed.count();
      this.failure ??= { outcome: checkFailed, message: `the check "${name}" has failed` };
    }
    return holds;
  }

  /** Runs a part of the scenario, and measures it under a name. Returns, or throws, what it does. */
  async step<T>(name: string, body: () => T | PromiseLike<T>): Promise<T> {
    const begin = core.now();
    try {
      const result = await body();
      this.#setup.step(name, ok).record(core.now() - begin);
      return result;
    } catch (error) {
      if (!this.#setup.isCut) this.#setup.step(name, outcomeOf(error)).record(core.now() - begin);
      throw error;
    }
  }
}

function noRaw(): never {
  throw typeMistake("c.socket is for targets of tcp:, tls: and unix:, and c.http for this one");
}
