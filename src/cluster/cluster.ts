/** Many cores: several Workers, each with a scheduler of its own, listen at the same port. */

import { AsyncLocalStorage } from "node:async_hooks";
import { core } from "../core/native.ts";
import { reserve } from "../net/listen_place.ts";
import { type CloseOptions, closeOptions } from "../net/listener.ts";
import { dumpSignals, onDumpSignal } from "../process/dump_signal.ts";
import { reportOf } from "../process/error_reports.ts";
import { type Stats, stats } from "../process/observe.ts";
import { hold, onRetired, unhold } from "../runtime/scheduler.ts";
import { checkAdmission, refusal } from "../runtime/wait.ts";
import type { TlsOptions } from "../tls/options.ts";
import { ownOptions } from "../values/checks.ts";
import { after, checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import { callProgram } from "../values/foreign_values.ts";
import { assignment } from "./assignment.ts";
import { Member, type MemberHost } from "./member.ts";
import type { Assignment, Question, Request } from "./messages.ts";
import { type CheckedOptions, type ClusterOptions, checkedCluster, checkedTls } from "./options.ts";

type Reservation = Awaited<ReturnType<typeof reserve>>;

/** The open clusters of this thread. */
const clusters = new Set<Cluster>();

onDumpSignal((signal) => {
  for (const cluster of clusters) cluster.passOn({ what: "dumpSignal", signal });
});

/** Several Workers that listen at one port. */
export class Cluster implements AsyncDisposable, MemberHost {
  /** The address that the workers listen at: an IP literal. */
  readonly address: string;
  /** The port that they listen at. */
  readonly port: number;
  /** How many workers the cluster keeps running. */
  readonly workers: number;
  /** @internal */
  readonly module: string;
  readonly #options: CheckedOptions;
  #tls: TlsOptions | undefined;
  readonly #reserved: number;
  readonly #members: Member[] = [];
  readonly #inContext = AsyncLocalStorage.snapshot();
  #isClosed = false;
  #isReferenced = true;
  #hasEnded = false;
  readonly #stayRetired: () => void;

  /** @internal Clusters come from `cluster`. */
  constructor(options: CheckedOptions, reserved: Reservation) {
    this.#options = options;
    this.#tls = options.tls;
    this.#reserved = reserved.handle;
    this.address = reserved.address;
    this.port = reserved.port;
    this.workers = options.workers;
    this.module = options.module;
    for (let worker = 1; worker <= options.workers; worker++) {
      this.#members.push(new Member(worker, this));
    }
    hold();
    clusters.add(this);
    this.#stayRetired = onRetired(() => void this.#kill());
  }

  /** @internal Starts all workers. Ends them all if one of them cannot be started. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.#members.map((member) => member.start()));
    } catch (error) {
      await this.#kill();
      throw error;
    }
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /** How many workers listen now: fewer than `workers` while some are restarted. */
  get listening(): number {
    return this.#members.filter(({ state }) => state === "listening").length;
  }

  /** How often workers were restarted, all together. */
  get restarts(): number {
    return this.#members.reduce((sum, { restarts }) => sum + Math.max(restarts, 0), 0);
  }

  /**
   * The `stats()` of all workers that listen, added up. The counters of a worker are lost when it dies.
   *
   * @throws {SocketError} `ERR_SOCKET_CLOSED` when `close` was called
   * @throws {TimeoutError} when the deadline passes first: a worker that computes does not answer
   * @throws {CancelledError}
   */
  async stats(deadline?: number): Promise<Stats> {
    const all = await this.#ask<Stats>({ what: "stats" }, checkedDeadline(deadline));
    const sum = stats();
    for (const name of Object.keys(sum) as (keyof Stats)[]) {
      sum[name] = all.reduce((total, [, counters]) => total + counters[name], 0);
    }
    return sum;
  }

  /**
   * The `dump()` of all workers that listen, each below a line such as `worker 1`. Throws as
   * `stats` does.
   */
  async dump(deadline?: number): Promise<string> {
    const all = await this.#ask<string>({ what: "dump" }, checkedDeadline(deadline));
    return all
      .map(([worker, text]) => `worker ${worker}\n${text.replaceAll(/^(?=.)/gm, "  ")}`.trimEnd())
      .join("\n");
  }

  /**
   * Gives other certificates and settings to later handshakes in all workers, as `Listener.setTls` does.
   * Resolves when all workers use them.
   *
   * @throws {TypeError} {RangeError} {TlsError} for options that cannot be used; then nothing changes
   * @throws {Error} for a cluster without `tls`
   * @throws {SocketError} `ERR_SOCKET_CLOSED` when `close` was called
   * @throws {CancelledError}
   */
  async setTls(options: TlsOptions): Promise<void> {
    if (this.#tls === undefined) throw new Error("setTls: this cluster was made without tls");
    const tls = checkedTls(options, "setTls");
    this.#checkOpen("cluster setTls", never);
    this.#tls = tls;
    await this.#ask({ what: "setTls", tls }, never);
  }

  /**
   * Stops listening in all workers. Waits for the handlers that still run, for the arrival of what
   * they have written, and for the clean-up that `setup` has returned. Then it ends the workers. At
   * the deadline handlers are cancelled, and a worker that takes more than two seconds after that
   * is terminated. Without a deadline it waits for as long as they take; `cancel` cancels the
   * handlers at once. Connections in a backlog are lost.
   *
   * @throws {CancelledError} when the caller is cancelled; then the workers are ended at once
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { deadline, cancel } = ownOptions(options, closeOptions, "close");
    const until = checkedDeadline(deadline);
    const cancelled = refusal({ syscall: "cluster close" }, never);
    if (cancelled === undefined) return await this.#drain(until, cancel);
    await this.#kill();
    throw cancelled;
  }

  /** Closes at once: handlers are cancelled, not waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#drain(after(0));
  }

  async #drain(deadline: Deadline, cancel?: unknown): Promise<void> {
    this.#stop();
    const reason = cancel === undefined || cancel === false ? undefined : reportOf(cancel);
    const closing = this.#members.map((member) => member.close(deadline, reason));
    const ends = await Promise.allSettled(closing);
    this.#end();
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  /** Keeps the process alive while the cluster is open, as it does from the start. */
  ref(): this {
    if (!this.#isReferenced && !this.#hasEnded) hold();
    this.#isReferenced = true;
    return this;
  }

  /** Lets the process exit although the cluster is open. */
  unref(): this {
    if (this.#isReferenced && !this.#hasEnded) unhold();
    this.#isReferenced = false;
    return this;
  }

  /** Throws when the cluster is closed, the caller is cancelled, or the deadline has passed. */
  #checkOpen(syscall: string, deadline: Deadline): void {
    checkAdmission({ syscall }, deadline, this.#isClosed);
  }

  async #ask<T>(question: Question, deadline: Deadline): Promise<[worker: number, answer: T][]> {
    this.#checkOpen(`cluster ${question.what}`, deadline);
    const asked = this.#members.filter(({ state }) => state === "listening");
    const answers = await Promise.all(asked.map((member) => member.ask<T>(question, deadline)));
    return asked.flatMap(({ worker }, index) => {
      const answer = answers[index];
      return answer === undefined ? [] : [[worker, answer]];
    });
  }

  /** From here on no worker is restarted. The port is free when the last worker has left it. */
  #stop(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    core.close(this.#reserved);
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clusters.delete(this);
    this.#stayRetired();
    if (this.#isReferenced) unhold();
  }

  async #kill(): Promise<void> {
    this.#stop();
    await Promise.all(this.#members.map((member) => member.kill()));
    this.#end();
  }

  /** @internal Sends a request to all workers. One that starts gets it when it listens. */
  passOn(request: Request): void {
    for (const member of this.#members) member.post(request);
  }

  /** @internal */
  assignment(worker: number): Omit<Assignment, "port" | "module"> {
    const { host, backlog, maxConnections, maxHandshakes, data, onError } = this.#options;
    return {
      worker,
      workers: this.workers,
      data,
      listen: {
        // The name was resolved once, so that all workers listen at the same address.
        host: host === undefined ? undefined : this.address,
        port: this.port,
        backlog,
        maxConnections,
        maxHandshakes,
        tls: this.#tls,
      },
      forwardsErrors: onError !== undefined,
      isTaken: false,
      dumpSignals: [...dumpSignals()],
    };
  }

  /** @internal */
  listens(member: Member): void {
    const { worker, restarts } = member;
    const tls = this.#tls;
    // `setTls` was called while the worker started.
    if (tls !== undefined && member.tls !== tls) {
      member.ask({ what: "setTls", tls }, never).catch((error) => this.failed(member, error));
    }
    const { onRestart } = this.#options;
    if (restarts === 0 || onRestart === undefined) return;
    callProgram(() => this.#inContext(onRestart, worker, restarts));
  }

  /** @internal */
  failed({ worker }: Member, error: unknown): void {
    const { onError } = this.#options;
    if (onError === undefined) console.error(`plait: worker ${worker}:`, error);
    else callProgram(() => this.#inContext(onError, error, worker));
  }
}

/** As `cluster` of entry.ts, which documents it. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const checked = checkedCluster(options);
  if (assignment !== undefined)
    throw new Error("cluster() inside a worker of a cluster, which it would start again");
  const cancelled = refusal({ syscall: "cluster" }, never);
  if (cancelled) throw cancelled;
  const { host, port, backlog } = checked;
  const reserved = await reserve({ host, port, backlog });
  const started = new Cluster(checked, reserved);
  await started.start();
  return started;
}
