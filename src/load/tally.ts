/** What the main thread knows of a run: the sums of all threads, and the intervals. */

import { Histogram } from "./histogram.ts";
import { type Gauges, type MeterReader, type SeriesKey, separator } from "./memory.ts";
import { PackedHistogram } from "./packed_histogram.ts";
import type { Counts, Interval, Outcome } from "./report.ts";

/** The most intervals that are kept. With more, each two of them become one. */
const mostIntervals = 1200;

/** Histograms by subject and name. */
export class Histograms {
  readonly #all = new Map<string, Map<string, Histogram>>();

  of([subject, ...names]: SeriesKey): Histogram {
    let histograms = this.#all.get(subject);
    if (histograms === undefined) this.#all.set(subject, (histograms = new Map()));
    const name = names.join(separator);
    let histogram = histograms.get(name);
    if (histogram === undefined) histograms.set(name, (histogram = new Histogram()));
    return histogram;
  }

  /** The only histogram of a subject. */
  single(subject: string): Histogram {
    return this.of([subject]);
  }

  /** The histograms of a subject by their names, in the order in which each came first. */
  named(subject: string): Readonly<Record<string, Histogram>> {
    return Object.fromEntries(this.#all.get(subject) ?? []);
  }

  /** All of a subject in one. */
  together(subject: string): Histogram {
    const all = new Histogram();
    for (const histogram of this.#all.get(subject)?.values() ?? []) all.merge(histogram);
    return all;
  }

  merge(other: Histograms): void {
    for (const [subject, histograms] of other.#all) {
      for (const [name, histogram] of histograms) this.of([subject, name]).merge(histogram);
    }
  }
}

/** The two names of a step or a check. */
export function namesOf(joined: string): readonly [name: string, outcome: string] {
  const [name = "", outcome = ""] = joined.split(separator);
  return [name, outcome];
}

/** Counts by subject and name, of all threads. */
export class Totals {
  readonly #counts = new Map<string, Map<string, number>>();

  constructor(readers: readonly MeterReader[]) {
    for (const reader of readers) {
      for (const [[subject, ...names], count] of reader.counted()) {
        let counts = this.#counts.get(subject);
        if (counts === undefined) this.#counts.set(subject, (counts = new Map()));
        const name = names.join(separator);
        counts.set(name, (counts.get(name) ?? 0) + count);
      }
    }
  }

  /** The count of a subject, of all its names together. */
  of(subject: string): number {
    let sum = 0;
    for (const count of this.#counts.get(subject)?.values() ?? []) sum += count;
    return sum;
  }

  /** The counts of a subject by name, without those that are 0. */
  named(subject: string): Record<string, number> {
    const counts = [...(this.#counts.get(subject) ?? [])].filter(([, count]) => count > 0);
    return Object.fromEntries(counts);
  }
}

/** An interval with its histograms unpacked. */
export interface OpenInterval extends Omit<Interval, "response" | "service" | "lateness"> {
  readonly histograms: Histograms;
  /** The totals at its begin and its end. */
  readonly before: Totals;
  readonly behind: Totals;
}

export class Tally {
  /** Of the whole run. */
  readonly histograms = new Histograms();
  readonly lateness: readonly Histogram[];
  readonly #readers: readonly MeterReader[];
  readonly #intervals: Interval[] = [];
  #before: Totals;
  #cpuBefore: number[];
  #end = 0;

  constructor(readers: readonly MeterReader[]) {
    this.#readers = readers;
    this.#before = new Totals([]);
    this.#cpuBefore = readers.map(() => 0);
    this.lateness = readers.map(() => new Histogram());
  }

  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  totals(): Totals {
    return new Totals(this.#readers);
  }

  /** How many iterations a thread has begun. */
  sentOf(thread: number): number {
    return new Totals([this.#readers[thread]!]).of("sent");
  }

  /** Bytes of all connections. */
  get bytes(): { readonly sent: number; readonly received: number } {
    const gauges = this.#readers.map((reader) => reader.gauges);
    return {
      sent: gauges.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
      received: gauges.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
    };
  }

  /** Takes an interval that all threads have finished; undefined while one has not. */
  takeInterval(): OpenInterval | undefined {
    if (!this.#readers.every((reader) => reader.hasInterval)) return undefined;
    return this.#take((reader, of) => reader.takeInterval(of));
  }

  /** Takes what is left when all threads have ended. */
  takeRest(): OpenInterval {
    return this.#take((reader, of) => reader.takeRest(of));
  }

  #take(
    takeFrom: (reader: MeterReader, histogramOf: (key: SeriesKey) => Histogram) => void,
  ): OpenInterval {
    const histograms = new Histograms();
    for (const [thread, reader] of this.#readers.entries()) {
      const own = new Histogram();
      takeFrom(reader, (key) => (key[0] === "lateness" ? own : histograms.of(key)));
      histograms.single("lateness").merge(own);
      this.lateness[thread]!.merge(own);
    }
    this.histograms.merge(histograms);
    const totals = this.totals();
    const gauges = this.#readers.map(({ gauges }) => gauges);
    const before = this.#before;
    const interval = { ...this.#interval(histograms, totals, gauges), before, behind: totals };
    this.#before = totals;
    this.#cpuBefore = gauges.map(({ cpuMilliseconds }) => cpuMilliseconds);
    this.#keep(interval);
    return interval;
  }

  #interval(
    histograms: Histograms,
    totals: Totals,
    gauges: readonly Gauges[],
  ): Omit<OpenInterval, "before" | "behind"> {
    const runStart = this.#readers[0]!.start;
    const start = this.#end;
    // A run that has not begun has no end of an interval.
    const end = Math.max(runStart, ...gauges.map(({ intervalEnd }) => intervalEnd)) - runStart;
    const milliseconds = Math.max(end - start, 0);
    this.#end = Math.max(end, start);
    const grown = (subject: string): number => totals.of(subject) - this.#before.of(subject);
    const sum = (value: (gauges: Gauges) => number): number =>
      gauges.reduce((total, each) => total + value(each), 0);
    return {
      start,
      milliseconds,
      due: grown("due"),
      sent: grown("sent"),
      dropped: grown("dropped busy") + grown("dropped late"),
      outcomes: countsOf(histograms.named("response")),
      requests: grown("request"),
      bytesReceived: sum(({ bytesReceived }) => bytesReceived) - this.#bytesBefore(gauges),
      connections: sum(({ connections }) => connections),
      inFlight: sum(({ inFlight }) => inFlight),
      queued: sum(({ queued }) => queued),
      threads: gauges.map(({ cpuMilliseconds }, thread) =>
        milliseconds === 0 ? 0 : (cpuMilliseconds - this.#cpuBefore[thread]!) / milliseconds,
      ),
      histograms,
    };
  }

  #bytes = 0;

  #bytesBefore(gauges: readonly Gauges[]): number {
    const before = this.#bytes;
    this.#bytes = gauges.reduce((total, { bytesReceived }) => total + bytesReceived, 0);
    return before;
  }

  #keep({ histograms, before: _before, behind: _behind, ...interval }: OpenInterval): void {
    const last = this.#intervals.at(-1);
    const isShort = last !== undefined && interval.milliseconds < last.milliseconds / 2;
    const packed: Interval = {
      ...interval,
      response: new PackedHistogram(histograms.together("response")),
      service: new PackedHistogram(histograms.together("service")),
      lateness: new PackedHistogram(histograms.single("lateness")),
    };
    // What comes behind the last whole interval belongs to it, if it is short.
    if (isShort) this.#intervals.splice(-1, 1, joinedInterval([last, packed]));
    else this.#intervals.push(packed);
    if (this.#intervals.length < mostIntervals) return;
    const joined: Interval[] = [];
    for (let index = 0; index < this.#intervals.length; index += 2) {
      joined.push(joinedInterval(this.#intervals.slice(index, index + 2)));
    }
    this.#intervals.splice(0, this.#intervals.length, ...joined);
  }
}

function countsOf(histograms: Readonly<Record<Outcome, Histogram>>): Counts {
  return Object.fromEntries(
    Object.entries(histograms).map(([outcome, { count }]) => [outcome, count]),
  );
}

/** Intervals that follow each other, as one. */
export function joinedInterval(parts: readonly Interval[]): Interval {
  const [first] = parts;
  const last = parts.at(-1);
  if (first === undefined || last === undefined)
    throw new Error("an interval is made of intervals");
  const sum = (value: (part: Interval) => number): number =>
    parts.reduce((total, part) => total + value(part), 0);
  const merged = (histogram: (part: Interval) => PackedHistogram): PackedHistogram => {
    const all = new Histogram();
    for (const part of parts) all.merge(histogram(part).unpack());
    return new PackedHistogram(all);
  };
  const outcomes: Record<Outcome, number> = {};
  for (const part of parts) {
    for (const [outcome, count] of Object.entries(part.outcomes)) {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
    }
  }
  const milliseconds = sum((part) => part.milliseconds);
  return {
    start: first.start,
    milliseconds,
    due: sum(({ due }) => due),
    sent: sum(({ sent }) => sent),
    dropped: sum(({ dropped }) => dropped),
    outcomes,
    requests: sum(({ requests }) => requests),
    bytesReceived: sum(({ bytesReceived }) => bytesReceived),
    response: merged(({ response }) => response),
    service: merged(({ service }) => service),
    lateness: merged(({ lateness }) => lateness),
    connections: last.connections,
    inFlight: last.inFlight,
    queued: last.queued,
    threads: first.threads.map(
      (_, thread) =>
        parts.reduce((total, part) => total + part.threads[thread]! * part.milliseconds, 0) /
        Math.max(milliseconds, 1e-9),
    ),
  };
}
