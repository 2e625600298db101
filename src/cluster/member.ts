/** A worker of a cluster, as the main thread has it: it is started, asked, restarted and ended here. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { MessagePort, Worker } from "node:worker_threads";
import { core } from "../core/native.ts";
import { workerThreads } from "../core/threads.ts";
import { type ErrorReport, errorOf } from "../process/error_reports.ts";
import { Wait } from "../runtime/wait.ts";
import type { TlsOptions } from "../tls/options.ts";
import { after, type Deadline, never } from "../values/deadlines.ts";
import { TimeoutError } from "../values/errors.ts";
import { textOf } from "../values/foreign_values.ts";
import { assignmentKey } from "./assignment.ts";
import { BackOff } from "./back_off.ts";
import { WorkerError } from "./errors.ts";
import type { Assignment, Question, Report, Request } from "./messages.ts";

/**
 * Milliseconds after the deadline of `close` in which a worker may still finish. Its handlers have
 * half of them.
 */
const grace = 2000;

/** What a member needs from its cluster. */
export interface MemberHost {
  readonly module: string;
  assignment(worker: number): Omit<Assignment, "port" | "module">;
  listens(member: Member): void;
  failed(member: Member, error: unknown): void;
}

/**
 * The script of the workers. A bundle has no file of this name: there the module of the handler is
 * the script.
 */
function workerScript(): URL | undefined {
  const extension = /^member(\.[jt]s)$/.exec(import.meta.file)?.[1];
  if (extension === undefined) return undefined;
  const path = join(import.meta.dir, `worker${extension}`);
  return existsSync(path) ? Bun.pathToFileURL(path) : undefined;
}

/** The number of the question that is answered when the worker listens for the first time. */
const firstStart = 0;

type State = "starting" | "listening" | "pausing" | "ended";

export class Member {
  /** The number of the worker, from 1 on. */
  readonly worker: number;
  restarts = -1;
  state: State = "pausing";
  /** The options of TLS that the worker was started with. */
  tls: TlsOptions | undefined;
  readonly #host: MemberHost;
  #thread: Worker | undefined;
  #port: MessagePort | undefined;
  #failure: { error: unknown } | undefined;
  #isClosing = false;
  /** Whether it was ended from here, so that its end is not reported. */
  #isKilled = false;
  /** By their numbers. */
  readonly #questions = new Map<number, Wait<unknown>>();
  #lastQuestion = firstStart;
  readonly #ended = Promise.withResolvers<void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #backOff = new BackOff();
  #listeningSince = 0;

  constructor(worker: number, host: MemberHost) {
    this.worker = worker;
    this.#host = host;
  }

  /** Starts the worker for the first time. Fails with the error that keeps it from listening. */
  start(): Promise<void> {
    const listening = this.#waitFor<void>("cluster", firstStart, never);
    this.#launch();
    return listening;
  }

  #waitFor<T>(syscall: string, id: number, deadline: Deadline): Promise<T> {
    const wait = new Wait<T>({ syscall, failed: () => this.#questions.delete(id) });
    this.#questions.set(id, wait as Wait<unknown>);
    return wait.begin(deadline);
  }

  #launch(): void {
    this.#timer = undefined;
    try {
      this.#startThread();
    } catch (error) {
      // No thread can be started now. It counts as a death.
      this.#failure = { error };
      this.#exited(1);
    }
  }

  #startThread(): void {
    this.state = "starting";
    this.restarts++;
    this.#failure = undefined;
    const threads = workerThreads();
    const { port1, port2 } = new threads.MessageChannel();
    const { module } = this.#host;
    const script = workerScript();
    const assignment = this.#host.assignment(this.worker);
    this.tls = assignment.listen.tls;
    const given: Assignment = {
      ...assignment,
      port: port2,
      module: script === undefined ? undefined : module,
    };
    const thread = new threads.Worker(script ?? new URL(module), {
      workerData: { [assignmentKey]: given },
      transferList: [port2],
    });
    this.#thread = thread;
    this.#port = port1;
    port1.on("message", (report: Report) => this.#hear(report));
    thread.on("error", (error: unknown) => {
      this.#failure ??= { error };
    });
    thread.on("exit", (code: number) => this.#exited(code));
    // The cluster decides whether the process stays alive.
    port1.unref();
    thread.unref();
  }

  #hear(report: Report): void {
    switch (report.kind) {
      case "listening":
        this.state = "listening";
        this.#listeningSince = core.now();
        this.#takeQuestion(firstStart)?.finish(undefined);
        this.#host.listens(this);
        return;
      case "failed":
        this.#failure ??= { error: errorOf(report.error) };
        void this.#thread?.terminate();
        return;
      case "error":
        this.#host.failed(this, errorOf(report.error));
        return;
      case "answer":
        this.#takeQuestion(report.id)?.finish(report.value);
        return;
      case "refusal":
        this.#takeQuestion(report.id)?.finishWithError(errorOf(report.error));
    }
  }

  #takeQuestion(id: number): Wait<unknown> | undefined {
    const wait = this.#questions.get(id);
    this.#questions.delete(id);
    return wait;
  }

  #exited(code: number): void {
    const failure = this.#failure;
    const wasFirstStart = this.#questions.has(firstStart);
    this.#port?.close();
    this.#port = undefined;
    this.#thread = undefined;
    const life = this.state === "listening" ? core.now() - this.#listeningSince : 0;
    this.state = this.#isClosing || wasFirstStart ? "ended" : "pausing";
    this.#takeQuestion(firstStart)?.finishWithError(this.#startError(code, failure));
    for (const id of [...this.#questions.keys()]) this.#takeQuestion(id)?.finish(undefined);
    if (this.state === "ended") this.#ended.resolve();
    else {
      this.#timer = setTimeout(() => this.#launch(), this.#backOff.pauseAfter(life));
      this.#timer.unref();
    }
    if (wasFirstStart || this.#isKilled) return;
    this.#host.failed(this, new WorkerError(this.worker, code, failure));
  }

  #startError(code: number, failure: { error: unknown } | undefined): unknown {
    const path = Bun.fileURLToPath(this.#host.module);
    const isBundle = workerScript() === undefined;
    // The module's own error says enough, unless the module was not found.
    const isMissing = isBundle && textOf(failure?.error).includes(`Cannot find module '${path}'`);
    if (failure !== undefined && !isMissing) return failure.error;
    const hint = isBundle
      ? "; in a bundle it is an entry point of its own, and must import plait"
      : "";
    return new WorkerError(this.worker, code, undefined, `before it listened: ${path}${hint}`);
  }

  /**
   * Asks the worker a question. The answer is undefined if it does not listen, or dies meanwhile.
   *
   * @throws {TimeoutError} {CancelledError}
   */
  ask<T>(question: Question, deadline: Deadline): Promise<T | undefined> {
    if (this.state !== "listening") return Promise.resolve(undefined);
    const id = ++this.#lastQuestion;
    const answer = this.#waitFor<T | undefined>(`cluster ${question.what}`, id, deadline);
    this.post({ ...question, id });
    return answer;
  }

  post(request: Request): void {
    this.#port?.postMessage(request);
  }

  /**
   * Lets the worker drain, and ends it when it is done, shortly after the deadline, or when the
   * caller is cancelled.
   */
  async close(deadline: Deadline, cancel: ErrorReport | undefined): Promise<void> {
    this.#isClosing = true;
    const until = deadline === never ? never : after(grace, Math.max(deadline, core.now()));
    try {
      await this.ask({ what: "close", deadline, cancel }, until);
    } catch (error) {
      // A worker that computes without a wait does not answer.
      if (!(error instanceof TimeoutError)) throw error;
    } finally {
      await this.kill();
    }
  }

  /** Ends the worker at once. */
  async kill(): Promise<void> {
    this.#isClosing = true;
    this.#isKilled = true;
    clearTimeout(this.#timer);
    if (this.#thread === undefined) {
      this.state = "ended";
      return;
    }
    void this.#thread.terminate();
    await this.#ended.promise;
  }
}
