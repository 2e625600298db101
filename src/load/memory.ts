/**
 * The memory that a thread of a run shares with the main thread. The thread counts and records here, so that
 * nothing is sent, locked or allocated while a run goes on. Whatever is measured is a series: a name, a count
 * from the begin of the run, and a histogram. A histogram has two halves: the thread records in one, and the main
 * thread takes what is in the other. They change at the end of each interval, when the thread sees that the main
 * thread has taken the last one.
 */

import type { Histogram } from "./histogram.ts";
import { Recorder } from "./recorder.ts";

/** The words of the head, as 32-bit numbers. */
const word = {
  /** What the main thread asks for: one of `Wish`. */
  wish: 0,
  /** Intervals that the thread has finished. */
  finished: 1,
  /** Intervals that the main thread has taken. */
  taken: 2,
  /** How many series have a name. */
  series: 3,
} as const;

/** The numbers of the head, as 64-bit floats behind the words. */
const number = {
  /** When the run begins, on the monotonic clock in milliseconds; 0 until it is known. */
  start: 0,
  /** When the last interval that the thread has finished has ended. */
  intervalEnd: 1,
  /** CPU time of the thread in milliseconds at that time. */
  cpu: 2,
  connections: 3,
  inFlight: 4,
  queued: 5,
  bytesSent: 6,
  bytesReceived: 7,
} as const;

/** What the main thread asks a thread for, in rising order. */
export const Wish = {
  /** To go on. */
  run: 0,
  /** To begin no more, and to drain. */
  stop: 1,
  /** To end at once. */
  end: 2,
} as const;
export type Wish = (typeof Wish)[keyof typeof Wish];

const wordsBytes = 64;
const numbersBytes = 128;
/** More series than a run has whose names are names of kinds. What is beyond has a series together. */
export const mostSeries = 160;
/** Bytes of a name in UTF-8; a longer one is cut off. */
const nameBytes = 124;
const namesAt = wordsBytes + numbersBytes;
const countsAt = namesAt + mostSeries * (nameBytes + 4);
const histogramsAt = countsAt + mostSeries * 8;
const memoryBytes = histogramsAt + mostSeries * Recorder.bytes;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a series is about, and then its names. */
export type SeriesKey = readonly [subject: string, ...names: string[]];

/** No name has this character. */
export const separator = "\0";

/** The name of the series in which all that is beyond the most is counted. */
const rest: SeriesKey = ["rest"];

class ThreadMemory {
  readonly memory: SharedArrayBuffer;
  protected readonly words: Int32Array;
  protected readonly numbers: Float64Array;
  protected readonly counts: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.words = new Int32Array(memory, 0, wordsBytes / 4);
    this.numbers = new Float64Array(memory, wordsBytes, numbersBytes / 8);
    this.counts = new Float64Array(memory, countsAt, mostSeries);
  }

  get start(): number {
    return this.numbers[number.start]!;
  }

  get finished(): number {
    return Atomics.load(this.words, word.finished);
  }
}

/** A series, as its thread has it. */
export class Series {
  readonly #counts: Float64Array;
  readonly #index: number;
  readonly #recorder: Recorder;

  constructor(memory: SharedArrayBuffer, counts: Float64Array, index: number) {
    this.#counts = counts;
    this.#index = index;
    this.#recorder = new Recorder(memory, histogramsAt + index * Recorder.bytes);
  }

  /** Counts one, without a time. */
  count(): void {
    this.#counts[this.#index]! += 1;
  }

  /** Counts several. */
  add(count: number): void {
    this.#counts[this.#index]! += count;
  }

  /** Counts one with its time. */
  record(milliseconds: number): void {
    this.#counts[this.#index]! += 1;
    this.#recorder.record(milliseconds);
  }

  useHalf(half: number): void {
    this.#recorder.useHalf(half);
  }
}

/** The memory as its thread has it. */
export class Meter extends ThreadMemory {
  readonly #series = new Map<string, Series>();
  #half = 0;

  static readonly bytes = memoryBytes;

  /** What the main thread asks for. */
  get wish(): Wish {
    return Atomics.load(this.words, word.wish) as Wish;
  }

  /** The series of a key. It is made when it is first asked for. */
  series(...key: SeriesKey): Series {
    const name = key.join(separator);
    return this.#series.get(name) ?? this.#made(name);
  }

  #made(name: string): Series {
    const index = this.#series.size;
    // The last place is for the rest.
    if (index >= mostSeries - 1 && name !== rest[0]) return this.series(...rest);
    const series = new Series(this.memory, this.counts, index);
    series.useHalf(this.#half);
    this.#series.set(name, series);
    const place = namesAt + index * (nameBytes + 4);
    const bytes = encoder.encode(name).subarray(0, nameBytes);
    new Uint8Array(this.memory, place + 4, nameBytes).set(bytes);
    new Uint32Array(this.memory, place, 1)[0] = bytes.length;
    Atomics.store(this.words, word.series, index + 1);
    return series;
  }

  /** Sets what the main thread shows. */
  show(connections: number, inFlight: number, queued: number): void {
    this.numbers[number.connections] = connections;
    this.numbers[number.inFlight] = inFlight;
    this.numbers[number.queued] = queued;
  }

  /** Sets the bytes of all connections from the begin of the run. */
  moved(bytesSent: number, bytesReceived: number): void {
    this.numbers[number.bytesSent] = bytesSent;
    this.numbers[number.bytesReceived] = bytesReceived;
  }

  /**
   * Ends an interval, and records in the other half from now on. Does nothing while the main thread has not taken
   * the interval before: then this one becomes longer.
   */
  finishInterval(time: number, cpuMilliseconds: number): void {
    const { finished } = this;
    if (Atomics.load(this.words, word.taken) < finished) return;
    this.#half = 1 - this.#half;
    for (const series of this.#series.values()) series.useHalf(this.#half);
    this.numbers[number.intervalEnd] = time;
    this.numbers[number.cpu] = cpuMilliseconds;
    Atomics.store(this.words, word.finished, finished + 1);
  }
}

/** What is shown of a thread at the end of an interval. */
export interface Gauges {
  readonly intervalEnd: number;
  readonly cpuMilliseconds: number;
  readonly connections: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** The memory as the main thread has it. */
export class MeterReader extends ThreadMemory {
  readonly #keys: SeriesKey[] = [];
  readonly #recorders: Recorder[] = [];

  constructor() {
    super(new SharedArrayBuffer(memoryBytes));
  }

  /** Says when the run begins. */
  begin(start: number): void {
    this.numbers[number.start] = start;
  }

  ask(wish: Wish): void {
    if (wish > Atomics.load(this.words, word.wish)) Atomics.store(this.words, word.wish, wish);
  }

  /** Whether an interval can be taken. */
  get hasInterval(): boolean {
    return this.finished > Atomics.load(this.words, word.taken);
  }

  /** Moves the times of an interval that is finished into histograms. */
  takeInterval(histogramOf: (key: SeriesKey) => Histogram): void {
    const taken = Atomics.load(this.words, word.taken);
    this.#drain(taken % 2, histogramOf);
    Atomics.store(this.words, word.taken, taken + 1);
  }

  /** Moves all that is left into histograms, when the thread has ended. */
  takeRest(histogramOf: (key: SeriesKey) => Histogram): void {
    this.#drain(0, histogramOf);
    this.#drain(1, histogramOf);
  }

  #drain(half: number, histogramOf: (key: SeriesKey) => Histogram): void {
    this.#learnNames();
    for (const [index, recorder] of this.#recorders.entries()) {
      if (recorder.countOf(half) > 0) recorder.drainInto(histogramOf(this.#keys[index]!), half);
    }
  }

  #learnNames(): void {
    const count = Atomics.load(this.words, word.series);
    for (let index = this.#keys.length; index < count; index++) {
      const place = namesAt + index * (nameBytes + 4);
      const length = new Uint32Array(this.memory, place, 1)[0]!;
      // TextDecoder does not take shared memory.
      const name = decoder.decode(new Uint8Array(this.memory, place + 4, length).slice());
      this.#keys.push(name.split(separator) as unknown as SeriesKey);
      this.#recorders.push(new Recorder(this.memory, histogramsAt + index * Recorder.bytes));
    }
  }

  /** The counts from the begin of the run. */
  *counted(): Generator<readonly [key: SeriesKey, count: number], void> {
    this.#learnNames();
    for (const [index, key] of this.#keys.entries()) yield [key, this.counts[index]!];
  }

  get gauges(): Gauges {
    const { numbers } = this;
    return {
      intervalEnd: numbers[number.intervalEnd]!,
      cpuMilliseconds: numbers[number.cpu]!,
      connections: numbers[number.connections]!,
      inFlight: numbers[number.inFlight]!,
      queued: numbers[number.queued]!,
      bytesSent: numbers[number.bytesSent]!,
      bytesReceived: numbers[number.bytesReceived]!,
    };
  }
}
