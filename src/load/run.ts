/** A run, as the thread that calls `load` has it: it starts the threads, takes their intervals, and judges. */

import { cpus, release, type as systemName } from "node:os";
import { core } from "../core/native.ts";
import { resolve } from "../net/names.ts";
import { versions } from "../process/versions.ts";
import { sleep } from "../runtime/sleep.ts";
import { after } from "../values/deadlines.ts";
import { Rate } from "./arrivals.ts";
import type { ScenarioSource } from "./assignment.ts";
import type { Scenario } from "./context.ts";
import { checkBalance, iterationLedger, type Rest, requestLedger } from "./ledger.ts";
import { checksOf, intervalMeasures, measuresSoFar } from "./live_measures.ts";
import { measuresOf } from "./measures.ts";
import { Wish } from "./memory.ts";
import type { CheckedLoad } from "./options.ts";
import { isOpenLoop, type Plan, sendingMillisecondsOf } from "./plan.ts";
import { shapeText } from "./plan_text.ts";
import { checkMachine } from "./preflight.ts";
import type { Progress } from "./progress.ts";
import {
  type Ages,
  type CheckReport,
  type FailureExample,
  type FailureReport,
  type Outcome,
  type PlanReport,
  type Report,
  reportVersion,
  type StepReport,
  type ThreadReport,
} from "./report.ts";
import { namesOf, type OpenInterval, Tally, type Totals } from "./tally.ts";
import type { ThreadEnd, ThreadReady } from "./thread.ts";
import { runHere, startWorker, type ThreadHandle } from "./threads.ts";
import { ThresholdWatch } from "./threshold_watch.ts";
import { generatorReasons, verdictOf } from "./verdict.ts";

/** Milliseconds between the word to begin and the begin, in which every thread hears it. */
const leadMilliseconds = 20;
/** Milliseconds between two looks whether the threads have finished an interval. */
const lookMilliseconds = 50;

/** Milliseconds that a thread which is asked to end at once may take. */
const mostSilence = 2000;

/** A thread computes without a wait, and hears nothing. */
export class UnansweredError extends Error {
  override readonly name = "UnansweredError";

  constructor() {
    super("a thread of the run does not answer, and was ended: there is no report");
  }
}

/** Where the scenario runs: here, or in Workers. */
export type ScenarioPlace =
  | { readonly kind: "here"; readonly scenario: Scenario | undefined }
  | { readonly kind: "workers"; readonly source: ScenarioSource };

export class Run {
  readonly #checked: CheckedLoad;
  readonly #plan: Plan;
  readonly #planReport: PlanReport;
  readonly #examples = new Map<Outcome, FailureExample>();
  readonly #threads: ThreadHandle[] = [];
  readonly #startedAt = new Date().toISOString();
  #tally: Tally | undefined = undefined;
  #wasInterrupted = false;
  #isStopping = false;
  readonly #unanswered = Promise.withResolvers<never>();
  readonly #thresholds: ThresholdWatch;

  readonly #place: ScenarioPlace;
  /** The command line, for the report. */
  command: string | undefined = undefined;

  constructor(checked: CheckedLoad, scenarioName: string, place: ScenarioPlace) {
    this.#checked = checked;
    this.#place = place;
    this.#plan = checked.plan;
    // Nothing may wait for it when it comes.
    this.#unanswered.promise.catch(() => undefined);
    this.#thresholds = new ThresholdWatch(checked.thresholds);
    this.#planReport = planReport(checked.plan, scenarioName);
  }

  /** Begins no more iterations, and drains. The report says that the run was interrupted. */
  stop(): void {
    this.#wasInterrupted = true;
    this.#askAll(Wish.stop);
  }

  /** Ends the run at once: what is under way is unfinished. */
  end(): void {
    this.#wasInterrupted = true;
    this.#askAll(Wish.end);
    const silence = setTimeout(() => this.#unanswered.reject(new UnansweredError()), mostSilence);
    silence.unref();
  }

  #askAll(wish: Wish): void {
    this.#isStopping = true;
    for (const { reader } of this.#threads) reader.ask(wish);
  }

  /**
   * Does it.
   *
   * @throws what a thread has thrown; {Error} when the ledger does not balance
   */
  async execute(): Promise<Report> {
    const { signal } = this.#checked;
    const interrupt = (): void => this.stop();
    signal?.addEventListener("abort", interrupt);
    try {
      await this.#checkMachine();
      this.#startThreads(this.#place);
      if (signal?.aborted) this.stop();
      const ready = await Promise.race([
        Promise.all(this.#threads.map((thread) => thread.ready)),
        this.#unanswered.promise,
      ]);
      const notReached = notReachedReason(ready);
      if (notReached !== undefined) this.#askAll(Wish.end);
      else this.#begin();
      const ends = await this.#watch();
      return this.#report(ready, ends, notReached);
    } finally {
      signal?.removeEventListener("abort", interrupt);
      for (const thread of this.#threads) thread.kill();
    }
  }

  /** A name that is not found is the threads' to report. */
  async #checkMachine(): Promise<void> {
    const { place } = this.#plan.target;
    if ("path" in place) {
      checkMachine(this.#plan, 0);
      return;
    }
    const { family, connectMilliseconds } = this.#plan;
    const options = { family, deadline: after(connectMilliseconds) };
    const addresses = await resolve(place.host, options).catch(() => []);
    checkMachine(this.#plan, addresses.length);
  }

  #startThreads(place: ScenarioPlace): void {
    const failed = (outcome: Outcome, example: FailureExample): void => {
      const known = this.#examples.get(outcome);
      if (known === undefined || example.at < known.at) this.#examples.set(outcome, example);
    };
    if (place.kind === "here") this.#threads.push(runHere(this.#plan, place.scenario, failed));
    else {
      for (let thread = 0; thread < this.#plan.threads; thread++) {
        this.#threads.push(startWorker(this.#plan, thread, place.source, failed));
      }
    }
    this.#tally = new Tally(this.#threads.map(({ reader }) => reader));
  }

  #begin(): void {
    const start = core.now() + leadMilliseconds;
    for (const { reader } of this.#threads) reader.begin(start);
  }

  /** Takes the intervals until all threads have ended. */
  async #watch(): Promise<ThreadEnd[]> {
    const tally = this.#tally!;
    let ends: ThreadEnd[] | undefined;
    let failure: { error: unknown } | undefined;
    const all = Promise.all(this.#threads.map(({ ended }) => ended));
    const ending = Promise.race([all, this.#unanswered.promise]).then(
      (found) => {
        ends = found;
      },
      (error) => {
        failure = { error };
      },
    );
    while (ends === undefined && failure === undefined) {
      await Promise.race([ending, sleep(lookMilliseconds)]);
      const interval = tally.takeInterval();
      if (interval !== undefined) this.#took(interval);
    }
    if (failure !== undefined) throw failure.error;
    const rest = tally.takeRest();
    if (rest.milliseconds > 0) this.#took(rest);
    return ends!;
  }

  #took(interval: OpenInterval): void {
    const end = interval.start + interval.milliseconds;
    // A part of the interval in which no more was begun is enough.
    const isDraining = this.#isStopping || end > sendingMillisecondsOf(this.#plan) + 1;
    const { histograms } = this.#tally!;
    const ending = this.#thresholds.interval(
      end,
      intervalMeasures(interval, interval.before, interval.behind, isDraining),
      measuresSoFar(end, interval.behind, histograms),
    );
    this.#tell(interval, isDraining ? "draining" : "sending");
    if (ending !== undefined) this.#askAll(Wish.stop);
  }

  #tell(interval: OpenInterval, phase: Progress["phase"]): void {
    const { onProgress } = this.#checked;
    if (onProgress === undefined) return;
    const { histograms, before: _before, behind: totals, ...numbers } = interval;
    const elapsed = interval.start + interval.milliseconds;
    const sending = sendingMillisecondsOf(this.#plan);
    const rest = {
      unsent: interval.queued,
      unfinished: interval.inFlight,
      unfinishedRequests: 0,
    };
    onProgress({
      plan: this.#planReport,
      startedAt: this.#startedAt,
      phase,
      elapsed,
      plannedMilliseconds: Number.isFinite(sending) ? sending : undefined,
      plannedIterations:
        this.#plan.iterations === Number.MAX_SAFE_INTEGER ? undefined : this.#plan.iterations,
      // In the middle: at the end of the last interval nothing is wanted any more.
      wantedRate: wantedRate(this.#plan, interval.start + interval.milliseconds / 2),
      interval: {
        ...numbers,
        response: histograms.together("response"),
        service: histograms.together("service"),
        lateness: histograms.single("lateness"),
        wait: histograms.single("wait"),
      },
      totals: this.#totals(totals, rest),
      generatorReasons: generatorReasons({
        isOpenLoop: this.#planReport.isOpenLoop,
        iterations: iterationLedger(totals, rest),
        lateness: histograms.single("lateness"),
        threads: interval.threads.map((cpuShare, thread) => ({ thread, cpuShare })),
      }),
    });
  }

  #totals(totals: Totals, rest: Rest): Progress["totals"] {
    const tally = this.#tally!;
    const { histograms } = tally;
    return {
      iterations: iterationLedger(totals, rest),
      requests: requestLedger(totals, rest, tally.bytes),
      latencies: {
        response: histograms.named("response"),
        service: histograms.named("service"),
        wait: histograms.single("wait"),
        requests: histograms.named("request"),
        connect: histograms.single("connect"),
        handshake: histograms.single("handshake"),
        lateness: histograms.single("lateness"),
      },
      steps: stepReports(tally),
      checks: checkReports(totals),
      failures: this.#failures(totals),
    };
  }

  #failures(totals: Totals): FailureReport[] {
    const counts = Object.entries(totals.named("response")).filter(([name]) => name !== "ok");
    return counts
      .toSorted(([, left], [, right]) => right - left)
      .map(([outcome, count]) => ({ outcome, count, example: this.#examples.get(outcome) }));
  }

  #report(
    ready: readonly ThreadReady[],
    ends: readonly ThreadEnd[],
    notReached: string | undefined,
  ): Report {
    const tally = this.#tally!;
    const rest: Rest = {
      unsent: ends.reduce((sum, { unsent }) => sum + (unsent?.count ?? 0), 0),
      unfinished: ends.reduce((sum, { unfinished }) => sum + (unfinished?.count ?? 0), 0),
      unfinishedRequests: ends.reduce((sum, { unfinishedRequests }) => sum + unfinishedRequests, 0),
    };
    const parts = this.#totals(tally.totals(), rest);
    checkBalance(parts.iterations, parts.requests, tally.histograms);
    const milliseconds = Math.max(...ends.map((end) => end.milliseconds));
    const threads: ThreadReport[] = ends.map((end, thread) => ({
      thread,
      sent: tally.sentOf(thread),
      cpuMilliseconds: end.cpuMilliseconds,
      cpuShare: end.milliseconds === 0 ? 0 : end.cpuMilliseconds / end.milliseconds,
      lateness: tally.lateness[thread]!,
    }));
    const report: Omit<Report, "verdict"> = {
      format: "plait load report",
      version: reportVersion,
      plait: versions().plait,
      command: this.command,
      startedAt: this.#startedAt,
      machine: machine(),
      plan: this.#planReport,
      sendingMilliseconds: Math.max(...ends.map((end) => end.sendingMilliseconds)),
      milliseconds,
      resolveMilliseconds: Math.max(...ready.map((each) => each.resolveMilliseconds)),
      connectMilliseconds: Math.max(...ready.map((each) => each.connectMilliseconds)),
      ...parts,
      unfinishedAges: joinedAges(ends.map(({ unfinished }) => unfinished)),
      unsentAges: joinedAges(ends.map(({ unsent }) => unsent)),
      intervals: tally.intervals,
      threads,
    };
    const verdict = verdictOf({
      isOpenLoop: this.#planReport.isOpenLoop,
      iterations: parts.iterations,
      lateness: parts.latencies.lateness,
      threads,
      thresholds: this.#thresholds.finish(measuresOf(report)),
      wasInterrupted: this.#wasInterrupted,
      givenUp: ends.find(({ givenUp }) => givenUp !== undefined)?.givenUp,
      notReached,
    });
    return { ...report, verdict };
  }
}

/** Why no thread has made a connection; undefined if one has. */
function notReachedReason(ready: readonly ThreadReady[]): string | undefined {
  if (ready.some(({ connected }) => connected > 0)) return undefined;
  const failure = ready.find((each) => each.failure !== undefined)?.failure;
  return failure?.example.message;
}

function planReport(plan: Plan, scenario: string): PlanReport {
  const { target, connections, overload, threads, driver, seed } = plan;
  return {
    target: target.text,
    shape: shapeText(plan),
    isOpenLoop: isOpenLoop(plan),
    ...{ connections, overload, threads, driver, seed, scenario },
  };
}

function wantedRate({ shape }: Plan, elapsed: number): number | undefined {
  return shape.kind === "rate" ? new Rate(shape.stages).at(elapsed) : undefined;
}

function machine(): Report["machine"] {
  const processors = cpus();
  return {
    cpus: processors.length,
    cpu: processors[0]?.model ?? "unknown",
    system: `${systemName()} ${release()}`,
    bun: Bun.version,
  };
}

function stepReports({ histograms }: Tally): StepReport[] {
  const steps = new Map<string, Record<Outcome, StepReport["outcomes"][string]>>();
  for (const [joined, histogram] of Object.entries(histograms.named("step"))) {
    const [name, outcome] = namesOf(joined);
    const outcomes = steps.get(name) ?? {};
    outcomes[outcome] = histogram;
    steps.set(name, outcomes);
  }
  return [...steps].map(([name, outcomes]) => ({ name, outcomes }));
}

function checkReports(totals: Totals): CheckReport[] {
  return [...checksOf(totals.named("check"))].map(([name, counts]) => ({ name, ...counts }));
}

function joinedAges(all: readonly (Ages | undefined)[]): Ages | undefined {
  const ages = all.filter((each) => each !== undefined);
  if (ages.length === 0) return undefined;
  return {
    count: ages.reduce((sum, { count }) => sum + count, 0),
    least: Math.min(...ages.map(({ least }) => least)),
    most: Math.max(...ages.map(({ most }) => most)),
  };
}
