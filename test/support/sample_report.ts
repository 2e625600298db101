/**
 * Reports for tests. A queue with a server is simulated: arrivals, connections, service times with a stall. Everything
 * in a report is counted from the same iterations, so that it balances as a report of a real run does.
 */

import { Arrivals, Rate } from "../../src/load/arrivals.ts";
import { Histogram } from "../../src/load/histogram.ts";
import { PackedHistogram } from "../../src/load/packed_histogram.ts";
import type { LiveInterval, Progress, Totals } from "../../src/load/progress.ts";
import { Random } from "../../src/load/random.ts";
import type {
  Counts,
  FailureReport,
  Interval,
  PlanReport,
  Report,
  ThresholdReport,
  Verdict,
} from "../../src/load/report.ts";
import { recorded } from "./recorded.ts";

export interface SampleOptions {
  /** A closed loop in place of a constant rate. */
  readonly isClosedLoop?: boolean;
  /** Some iterations fail, and some are unfinished at the end. */
  readonly withFailures?: boolean;
  /** The generator is late for a second, and drops what it could not send in time. */
  readonly isBottleneck?: boolean;
  readonly seconds?: number;
  /** Iterations per second of the open loop. */
  readonly rate?: number;
  readonly connections?: number;
  /** The mean of the service times in milliseconds. */
  readonly service?: number;
  readonly seed?: number;
}

interface Iteration {
  readonly number: number;
  readonly due: number;
  /** When it had a connection; infinity if it never had one. */
  readonly begin: number;
  readonly sent: number;
  /** Infinity if it did not end. */
  readonly end: number;
  readonly outcome: string;
  readonly isDropped: boolean;
}

const threads = 2;
const gracePeriod = 1000;

/** What a run of the simulation has found out. */
export function sampleReport(options: SampleOptions = {}): Report {
  return new Sample(options).report();
}

/** What the same run tells at the end of each interval. */
export function sampleProgress(options: SampleOptions = {}): Progress[] {
  return new Sample(options).progress();
}

class Sample {
  readonly #options: Required<SampleOptions>;
  readonly #random: Random;
  readonly #iterations: readonly Iteration[];
  readonly #milliseconds: number;

  constructor(options: SampleOptions) {
    this.#options = {
      ...{ isClosedLoop: false, withFailures: false, isBottleneck: false },
      ...{ seconds: 8, rate: 400, connections: 16, service: 12, seed: 1 },
      ...options,
    };
    this.#random = new Random(this.#options.seed);
    this.#milliseconds = this.#options.seconds * 1000;
    this.#iterations = this.#simulate();
  }

  report(): Report {
    const { isClosedLoop, seed } = this.#options;
    const iterations = this.#iterations;
    const end = this.#milliseconds + gracePeriod;
    const ends = iterations.filter(isEnded).map((iteration) => iteration.end);
    const unfinished = iterations.filter(({ sent, end }) => sent < Infinity && end === Infinity);
    const unsent = iterations.filter((each) => each.begin === Infinity && !each.isDropped);
    const totals = this.#totals(Infinity);
    const verdict = this.#verdict(totals);
    return {
      format: "plait load report",
      version: 1,
      plait: "0.1.0",
      command: `plait load http://127.0.0.1:8080/item --seed ${seed}`,
      startedAt: "2026-11-27T12:00:00.000Z",
      machine: { cpus: 2, cpu: "a simulated processor", system: "Linux 6.18", bun: "1.4.5" },
      plan: this.#plan(),
      verdict,
      sendingMilliseconds: this.#milliseconds,
      milliseconds: unfinished.length > 0 ? end : Math.max(this.#milliseconds, ...ends),
      resolveMilliseconds: 0.31,
      connectMilliseconds: 14.2,
      ...totals,
      unfinishedAges: ages(unfinished.map(({ sent }) => end - sent)),
      unsentAges: isClosedLoop ? undefined : ages(unsent.map(({ due }) => end - due)),
      intervals: this.#liveIntervals().map(packed),
      threads: Array.from({ length: threads }, (_, thread) => {
        const own = iterations.filter(({ number }) => number % threads === thread);
        const share = 0.21 + 0.02 * thread;
        return {
          thread,
          sent: own.filter(({ sent }) => sent < Infinity).length,
          cpuMilliseconds: share * this.#milliseconds,
          cpuShare: share,
          lateness: recorded(own.filter(isSent).map(latenessOf)),
        };
      }),
    };
  }

  progress(): Progress[] {
    const { isClosedLoop, rate, isBottleneck } = this.#options;
    const sample = this;
    return this.#liveIntervals().map((interval) => {
      const elapsed = interval.start + interval.milliseconds;
      let totals: Totals | undefined;
      return {
        plan: this.#plan(),
        startedAt: "2026-11-27T12:00:00.000Z",
        phase: elapsed > this.#milliseconds ? "draining" : "sending",
        elapsed,
        plannedMilliseconds: this.#milliseconds,
        plannedIterations: undefined,
        wantedRate: isClosedLoop ? undefined : rate,
        interval,
        // Made when it is asked for, which not every test does.
        get totals() {
          totals ??= sample.#totals(elapsed);
          return totals;
        },
        generatorReasons: isBottleneck && elapsed > pauseBegin ? [bottleneckReason] : [],
      };
    });
  }

  #plan(): PlanReport {
    const { isClosedLoop, rate, connections, seed } = this.#options;
    return {
      target: "http://127.0.0.1:8080/item",
      shape: isClosedLoop ? "closed loop" : `${rate}/s`,
      isOpenLoop: !isClosedLoop,
      connections,
      overload: "queue",
      threads,
      driver: "blocking",
      seed,
      scenario: "scenario.ts",
    };
  }

  #simulate(): Iteration[] {
    const { isClosedLoop, rate, connections, isBottleneck } = this.#options;
    const freeAt: number[] = Array(connections).fill(0);
    const arrivals = new Arrivals(Rate.constant(rate, this.#milliseconds));
    const iterations: Iteration[] = [];
    for (let number = 0; ; number++) {
      const connection = freeAt.indexOf(Math.min(...freeAt));
      const free = freeAt[connection]!;
      const due = isClosedLoop ? free : arrivals.next();
      if (due >= this.#milliseconds) return iterations;
      if (isBottleneck && due >= pauseBegin && due < pauseEnd - 100) {
        const nothing = { begin: Infinity, sent: Infinity, end: Infinity, outcome: "ok" };
        iterations.push({ number, due, ...nothing, isDropped: true });
        continue;
      }
      const iteration = this.#iteration(number, due, Math.max(due, free));
      freeAt[connection] = iteration.end;
      iterations.push(iteration);
    }
  }

  #iteration(number: number, due: number, free: number): Iteration {
    const { service, withFailures, isBottleneck } = this.#options;
    const end = this.#milliseconds + gracePeriod;
    const begin = free < end ? free : Infinity;
    const isPaused = isBottleneck && begin >= pauseBegin && begin < pauseEnd;
    const sent = isPaused ? pauseEnd : begin + 0.03 + this.#random.exponential() * 0.05;
    // The server stalls once for 400 ms.
    const stall = sent > 3000 && sent < 3400 ? 3400 - sent : 0;
    const took = stall + service * (0.25 + 0.75 * this.#random.exponential());
    const outcome = withFailures ? this.#outcome(number, sent) : "ok";
    const ended = sent + (outcome === "timeout" ? 500 : took);
    const isLost = withFailures && number % 997 === 996 && due > this.#milliseconds / 2;
    return {
      number,
      due,
      begin,
      sent,
      end: isLost || ended > end ? Infinity : ended,
      outcome,
      isDropped: false,
    };
  }

  #outcome(number: number, sent: number): string {
    if (sent > 3000 && sent < 3400) return "status 5xx";
    if (number % 100 === 99) return "reset";
    if (number % 450 === 200) return "check failed";
    return number % 600 === 300 ? "timeout" : "ok";
  }

  /** All that has come up to a time. */
  #totals(until: number): Totals {
    const due = this.#iterations.filter((each) => each.due < until);
    const sent = due.filter((each) => each.sent < Math.min(until, Infinity));
    const ended = sent.filter((each) => each.end < until);
    const dropped = due.filter(({ isDropped }) => isDropped).length;
    const outcomes = counted(ended);
    const unfinished = sent.length - ended.length;
    const service = grouped(ended, ({ sent, end }) => end - sent);
    const failed = (outcomes["check failed"] ?? 0) + (outcomes["status 5xx"] ?? 0);
    return {
      iterations: {
        due: due.length,
        sent: sent.length,
        droppedBusy: 0,
        droppedLate: dropped,
        unsent: due.length - sent.length - dropped,
        outcomes,
        unfinished,
      },
      requests: {
        // Each iteration logs in with one request and gets an item with the second one, which is the one that fails.
        sent: 2 * sent.length,
        outcomes: { ...outcomes, ok: (outcomes.ok ?? 0) + sent.length },
        unfinished,
        bytesSent: 2 * sent.length * 112,
        bytesReceived: (sent.length + (outcomes.ok ?? 0)) * 1290,
      },
      latencies: {
        response: grouped(ended, ({ due, end }) => end - due),
        service,
        wait: recorded(sent.map(({ due, begin }) => begin - due)),
        requests: grouped(ended, ({ sent, end }) => (end - sent) * 0.6),
        connect: recorded(this.#connects(0.08)),
        handshake: recorded([]),
        lateness: recorded(sent.map(latenessOf)),
      },
      steps: [
        {
          name: "login",
          outcomes: {
            ok: recorded(sent.map(({ sent, end }) => Math.min(end - sent, 900) * 0.4)),
          },
        },
        { name: "item", outcomes: grouped(ended, ({ sent, end }) => (end - sent) * 0.6) },
      ],
      checks: [{ name: "found", passed: outcomes.ok ?? 0, failed }],
      failures: failures(ended, outcomes),
    };
  }

  #connects(mean: number): number[] {
    const random = new Random(this.#options.seed, 1);
    return Array.from({ length: this.#options.connections }, () => mean * random.exponential());
  }

  #verdict({ iterations, latencies }: Totals): Verdict {
    const { isBottleneck } = this.#options;
    const response = merged(Object.values(latencies.response));
    const isEmpty = iterations.sent === 0;
    const errors = isEmpty ? 0 : 1 - (iterations.outcomes.ok ?? 0) / iterations.sent;
    const p99 = response.percentile(99);
    const thresholds: ThresholdReport[] = [
      {
        text: "p99<500ms",
        held: p99 < 500,
        value: isEmpty ? undefined : p99,
        unit: "ms",
        missedAt: undefined,
      },
      {
        text: "errors<0.1%",
        held: errors < 0.001,
        value: isEmpty ? undefined : errors * 100,
        unit: "%",
        missedAt: errors < 0.001 ? undefined : 3000,
      },
    ];
    const missed = thresholds.filter(({ held }) => !held);
    const generatorReasons = isBottleneck ? [bottleneckReason] : [];
    return {
      exitCode: isBottleneck ? 4 : missed.length > 0 ? 1 : 0,
      reasons: [
        ...generatorReasons,
        ...missed.map(({ text }) => `The threshold ${text} was missed.`),
      ],
      thresholds,
      generatorWasBottleneck: isBottleneck,
      generatorReasons,
    };
  }

  #liveIntervals(): LiveInterval[] {
    const intervals: LiveInterval[] = [];
    const all = this.#iterations;
    const last = Math.max(...all.filter(isEnded).map(({ end }) => end), this.#milliseconds);
    for (let start = 0; start < last; start += 1000) {
      const limit = start + 1000;
      const within = (time: number): boolean => time >= start && time < limit;
      const due = all.filter((each) => within(each.due));
      const sent = all.filter((each) => within(each.sent));
      const ended = all.filter((each) => within(each.end));
      const soFar = all.filter((each) => each.due < limit && !each.isDropped);
      const queued = soFar.filter((each) => each.sent >= limit).length;
      const done = soFar.filter((each) => each.end < limit).length;
      intervals.push({
        start,
        milliseconds: 1000,
        due: due.length,
        sent: sent.length,
        dropped: due.filter(({ isDropped }) => isDropped).length,
        outcomes: counted(ended),
        requests: 2 * ended.length,
        bytesReceived: 2 * ended.length * 1290,
        response: recorded(ended.map(({ due, end }) => end - due)),
        service: recorded(ended.map(({ sent, end }) => end - sent)),
        wait: recorded(sent.map(({ due, begin }) => begin - due)),
        lateness: recorded(sent.map(latenessOf)),
        connections: this.#options.connections,
        inFlight: soFar.length - queued - done,
        queued,
        threads: [0.21, 0.23],
      });
    }
    return intervals;
  }
}

/** The generator does nothing in this time. */
const [pauseBegin, pauseEnd] = [5000, 6000];
const bottleneckReason =
  "Sends were late by up to 1 s: the generator itself was stopped or had no CPU.";

function isEnded({ end }: Iteration): boolean {
  return end < Infinity;
}

function isSent({ sent }: Iteration): boolean {
  return sent < Infinity;
}

function latenessOf({ begin, sent }: Iteration): number {
  return sent - begin;
}

function merged(histograms: readonly Histogram[]): Histogram {
  const all = new Histogram();
  for (const histogram of histograms) all.merge(histogram);
  return all;
}

function counted(iterations: readonly Iteration[]): Counts {
  const counts: Record<string, number> = {};
  for (const { outcome } of iterations) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** A histogram for each outcome. */
function grouped(
  iterations: readonly Iteration[],
  measure: (iteration: Iteration) => number,
): Record<string, Histogram> {
  const groups = Object.entries(Object.groupBy(iterations, ({ outcome }) => outcome));
  return Object.fromEntries(groups.map(([name, own]) => [name, recorded(own!.map(measure))]));
}

const messages: Readonly<Record<string, readonly [string, string | undefined, string]>> = {
  reset: ["read: 127.0.0.1:8080: the connection was reset", "ECONNRESET", "read"],
  timeout: ["read: 127.0.0.1:8080: no answer within 500 ms", "ETIMEDOUT", "read"],
  "status 5xx": ["503 Service Unavailable", undefined, "read"],
  "check failed": ["found", undefined, "check"],
};

function failures(ended: readonly Iteration[], outcomes: Counts): FailureReport[] {
  const kinds = Object.entries(outcomes).filter(([outcome]) => outcome !== "ok");
  return kinds
    .toSorted(([, left], [, right]) => right - left)
    .map(([outcome, count]) => {
      const first = ended.find((each) => each.outcome === outcome)!;
      const [message, code, phase] = messages[outcome]!;
      const example = { message, code, phase, at: first.end, iteration: first.number };
      return { outcome, count, example };
    });
}

function ages(values: readonly number[]): Report["unsentAges"] {
  if (values.length === 0) return undefined;
  return { count: values.length, least: Math.min(...values), most: Math.max(...values) };
}

function packed({ wait: _, response, service, lateness, ...rest }: LiveInterval): Interval {
  return {
    ...rest,
    response: new PackedHistogram(response),
    service: new PackedHistogram(service),
    lateness: new PackedHistogram(lateness),
  };
}
