/** A user: a fiber with a connection, which runs one iteration after another. */

import { core } from "../core/native.ts";
import type { Answer } from "../http/answer.ts";
import type { Exchange } from "../http/connection.ts";
import { spend } from "../runtime/scheduler.ts";
import { sleep, yieldNow } from "../runtime/sleep.ts";
import type { Connector } from "./connector.ts";
import { Context, ContextSetup, type Scenario } from "./context.ts";
import { exampleOf } from "./examples.ts";
import { type Exchanges, HttpSetup } from "./exchanges.ts";
import type { Extras } from "./extras.ts";
import { type Failure, HttpClient, statusFailure } from "./http_client.ts";
import type { Meter, Series } from "./memory.ts";
import { dataExhausted, ok, outcomeOf } from "./outcomes.ts";
import { ended, type Pacer, type Turn } from "./pacer.ts";
import { isOpenLoop, type Plan } from "./plan.ts";
import { Random } from "./random.ts";
import type { FailureExample, Outcome } from "./report.ts";
import { UserSockets } from "./user_sockets.ts";

/** The users of a thread: what they share, and what is known of them all. */
export class Users {
  readonly plan: Plan;
  /** The number of the thread. */
  readonly thread: number;
  readonly pacer: Pacer;
  readonly connector: Connector;
  readonly http: HttpSetup;
  readonly contexts: ContextSetup;
  /** The scenario, or what stands for it. */
  readonly code: Scenario;
  readonly sent: Series;
  readonly wait: Series;
  readonly lateness: Series;
  readonly #meter: Meter;
  readonly #response = new Map<Outcome, readonly [response: Series, service: Series]>();
  readonly #tell: (outcome: Outcome, example: FailureExample) => void;
  /** How the answers to the run's own request are read. */
  readonly exchange: Exchange;
  readonly isOpenLoop: boolean;
  /** Users that run an iteration. */
  busy = 0;
  /** When the run has begun. */
  start = 0;
  #isCut = false;

  constructor(
    parts: {
      readonly plan: Plan;
      readonly thread: number;
      readonly pacer: Pacer;
      readonly connector: Connector;
      readonly meter: Meter;
      readonly scenario: Scenario | undefined;
      readonly extras: Extras;
    },
    tell: (outcome: Outcome, example: FailureExample) => void,
  ) {
    const { plan, thread, pacer, connector, meter, scenario, extras } = parts;
    this.plan = plan;
    this.thread = thread;
    this.pacer = pacer;
    this.connector = connector;
    this.code = scenario ?? (plan.replayed === undefined ? this.repeat : this.replay);
    this.#meter = meter;
    this.#tell = tell;
    this.exchange = { keep: "status", isToHead: plan.request.method === "HEAD", mostBody: 0 };
    this.isOpenLoop = isOpenLoop(plan);
    this.http = new HttpSetup(plan, connector, meter, extras.newCookies);
    this.contexts = new ContextSetup(meter, plan, extras.feeders);
    this.sent = meter.series("sent");
    this.wait = meter.series("wait");
    this.lateness = meter.series("lateness");
  }

  /** The scenario of a recording: iteration k makes the kth request. */
  readonly replay = async ({ http, iteration }: Context): Promise<void> => {
    const { method, path, headers, body } = this.plan.replayed![iteration]!;
    await http.request(method, path, { headers, body });
  };

  /** The scenario of a run without one whose request needs more than sending: it makes the same request each time. */
  readonly repeat = async ({ http }: Context): Promise<void> => {
    const { target, request } = this.plan;
    await http.request(request.method, target.path, { body: request.body });
  };

  /** What is under way counts as unfinished from now on. */
  cut(): void {
    this.#isCut = this.http.isCut = this.contexts.isCut = true;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Counts an iteration that has ended, with its times from the due time and from its begin. */
  ended(outcome: Outcome, response: number, service: number): void {
    let series = this.#response.get(outcome);
    if (series === undefined) {
      series = [this.#meter.series("response", outcome), this.#meter.series("service", outcome)];
      this.#response.set(outcome, series);
    }
    series[0].record(response);
    series[1].record(service);
  }

  /** Tells the main thread of the first failure of a kind. */
  failed(outcome: Outcome, error: unknown, iteration: number): void {
    if (this.#response.has(outcome)) return;
    this.#tell(outcome, exampleOf(error, core.now() - this.start, iteration));
  }
}

/** The pause after a connection attempt has failed, in milliseconds: it doubles up to the most. */
const leastPause = 10;
const mostPause = 1000;

/** The stream of random numbers for the pauses of users. */
const pauseStream = Number.MAX_SAFE_INTEGER - 1;

export class User {
  readonly #users: Users;
  readonly #context: Context;
  readonly #sockets: UserSockets;
  readonly #turn: Turn = { number: 0, due: 0 };
  readonly #index: number;
  /** Attempts to connect that have failed in a row. */
  #failures = 0;
  readonly #pauses: Random;
  /** When the iteration that is under way has begun, with a connection; 0 between two iterations. */
  began = 0;
  /** When it was ready for the iteration: the one before has ended. */
  #free = 0;

  /**
   * @param index the number of the user in its thread
   * @param exchanges those on its connection, which several users share if requests are pipelined
   */
  constructor(users: Users, index: number, exchanges: Exchanges) {
    const { plan } = users;
    this.#users = users;
    this.#index = index;
    this.#sockets = new UserSockets(plan, users.connector);
    const user = index * plan.threads + users.thread;
    this.#pauses = new Random(plan.seed + user, pauseStream);
    this.#context = new Context(users.contexts, new HttpClient(exchanges), this.#sockets, user);
  }

  /** Connects before the run begins. */
  async connect(): Promise<void> {
    const { protocol } = this.#users.plan.target;
    if (protocol === "raw") await this.#sockets.connect();
    else if (protocol === "http") await this.#context.http.exchanges.connect();
  }

  get #isConnected(): boolean {
    const { protocol } = this.#users.plan.target;
    if (protocol === "http") return this.#context.http.exchanges.connection !== undefined;
    return protocol === "websocket" || this.#sockets.isConnected;
  }

  /** Runs iterations until there are no more. */
  async run(): Promise<void> {
    const { plan, pacer, code, repeat } = this.#users;
    const turn = this.#turn;
    const isPlain = plan.redirects === 0 && !plan.hasCookies && !plan.decodes;
    const request = code === repeat && isPlain ? this.#context.http.planned() : undefined;
    this.#free = core.now();
    for (;;) {
      const waiting = pacer.take(turn, this.#index);
      if (waiting !== undefined) await waiting;
      if (turn.number === ended) return;
      await this.#iterate(request);
      // An iteration that waits for nothing must not keep all others from running.
      if (!spend()) await yieldNow();
      if (this.#failures > 0) await this.#pause();
    }
  }

  /** A server that refuses is not asked again at once. */
  async #pause(): Promise<void> {
    const pause = Math.min(leastPause * 2 ** (this.#failures - 1), mostPause);
    await sleep(pause * (0.5 + this.#pauses.fraction() / 2));
    this.#free = core.now();
  }

  async #iterate(request: Uint8Array | undefined): Promise<void> {
    const users = this.#users;
    const context = this.#context;
    const { number } = this.#turn;
    users.sent.count();
    users.busy++;
    context.begin(number);
    // Not when the iteration before ended: other users have had their turn since.
    this.began = core.now();
    let { due } = this.#turn;
    if (users.isOpenLoop) users.lateness.record(this.began - Math.max(due, this.#free));
    else due = this.began;
    let outcome: Outcome = ok;
    let end = 0;
    try {
      if (!this.#isConnected) await this.#reconnect();
      users.wait.record(this.began - due);
      if (request === undefined) {
        await users.code(context);
        end = core.now();
      } else end = await this.#request(request);
      const failure = context.failure ?? context.http.failure;
      if (failure !== undefined) outcome = this.#failed(failure);
    } catch (error) {
      end = core.now();
      outcome = outcomeOf(error);
      if (outcome === dataExhausted) users.pacer.stop();
      if (!users.isCut) users.failed(outcome, error, number);
      this.#sockets.close();
    }
    const { began } = this;
    users.busy--;
    this.#free = end;
    this.began = 0;
    // What the end of the run has broken off has no outcome of its own.
    if (!users.isCut) users.ended(outcome, end - due, end - began);
  }

  /** Makes the request of a run without a scenario. Returns when its answer came. */
  async #request(request: Uint8Array): Promise<number> {
    const { exchange, plan } = this.#users;
    const { http } = this.#context;
    const { exchanges } = http;
    const { began } = this;
    const connection = exchanges.connection ?? (await exchanges.connect());
    let answer: Answer;
    try {
      answer = await exchanges.begin(connection, request, exchange, began, undefined);
    } catch (error) {
      throw exchanges.fail(connection, error, began, core.now());
    }
    const end = core.now();
    const outcome = exchanges.finish(connection, answer, exchange, plan.expected, began, end);
    if (outcome !== ok) http.failure = statusFailure(outcome, answer);
    return end;
  }

  /** The outcome of an iteration that has failed without an error. */
  #failed({ outcome, message }: Failure): Outcome {
    this.#users.failed(outcome, message, this.#turn.number);
    return outcome;
  }

  async #reconnect(): Promise<void> {
    this.#sockets.close();
    try {
      await this.connect();
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      throw error;
    }
    this.began = core.now();
  }

  close(): void {
    this.#sockets.close();
    this.#context.http.close();
  }
}
