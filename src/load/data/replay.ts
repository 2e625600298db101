/** What is replayed: requests of the past, and when each was made. */

import { checkMethod, checkPath, fieldLines, type Headers } from "../../http/request.ts";
import { rangeMistake, typeMistake } from "../../values/checks.ts";
import { DataFileError } from "./files.ts";

/** A request of a recording. */
export interface ReplayRequest {
  /** Such as `GET`. */
  readonly method: string;
  /** Such as `https://example.org:8443`; undefined if the recording does not say, as an access log. */
  readonly origin: string | undefined;
  /** The path with the query. */
  readonly path: string;
  /** Without those of the connection and of the framing, and without Host. */
  readonly headers: Headers;
  /** Undefined without one. */
  readonly body: Uint8Array | undefined;
}

/** What of a recording is not replayed. */
export interface Skipped {
  /** In a few words. */
  readonly reason: string;
  /** How many requests or lines. */
  readonly count: number;
  /** The first one, shortened. */
  readonly first: string;
}

/** The requests of a recording, with their times. `readHar` and `readAccessLog` make it. */
export interface Replay {
  /** In the order of their times. Equal requests may be one object. */
  readonly requests: readonly ReplayRequest[];
  /** When each is due, in milliseconds from the first. */
  readonly times: Float64Array;
  /** Whether each is made as soon as there is a connection for it; `times` is then all 0. */
  readonly isClosedLoop: boolean;
  /** What was left out, by its reason. */
  readonly skipped: readonly Skipped[];
}

/** The most requests of a recording. Their times alone take 40 MB then. */
export const mostReplayRequests = 5_000_000;
/** How many letters are shown of what was skipped. */
const shownLetters = 200;

/**
 * A replay so many times as fast as it was recorded. Infinity is as fast as the connections allow: a closed loop.
 *
 * @throws {TypeError} {RangeError} for what is no number above 0
 */
export function atSpeed(replay: Replay, speed: number): Replay {
  if (typeof speed !== "number" || Number.isNaN(speed)) throw typeMistake("speed is a number");
  if (speed <= 0) throw rangeMistake(`speed is above 0, not ${speed}`);
  if (speed === 1) return replay;
  const times = replay.times.map((time) => time / speed);
  return { ...replay, times, isClosedLoop: speed === Number.POSITIVE_INFINITY };
}

/** Sentences about what a replay leaves out. */
export function skippedSentences({ skipped }: Replay): string[] {
  return skipped.map(
    ({ reason, count, first }) => `${count} left out: ${reason}; such as ${first}`,
  );
}

/** Collects the requests of a recording in any order. */
export class ReplayBuilder {
  readonly #path: string;
  readonly #what: string;
  readonly #requests: ReplayRequest[] = [];
  readonly #times: number[] = [];
  readonly #allowed = new Set<ReplayRequest>();
  readonly #skipped = new Map<string, { count: number; first: string }>();

  /** @param what how errors call the file, such as "HAR" */
  constructor(path: string, what: string) {
    this.#path = path;
    this.#what = what;
  }

  /**
   * Adds a request. One that HTTP does not allow is skipped.
   *
   * @param time in milliseconds from any point
   * @param shown how a sentence shows it
   */
  add(time: number, request: ReplayRequest, shown: string): void {
    if (this.#requests.length === mostReplayRequests) {
      throw new DataFileError(
        `${this.#path} has more than ${mostReplayRequests} requests: replay a part of it`,
      );
    }
    if (!this.#isAllowed(request)) {
      this.skip("HTTP does not allow it", shown);
      return;
    }
    this.#requests.push(request);
    this.#times.push(time);
  }

  /** Equal requests that are one object are checked once. */
  #isAllowed(request: ReplayRequest): boolean {
    if (this.#allowed.has(request)) return true;
    if (!isAllowed(request)) return false;
    this.#allowed.add(request);
    return true;
  }

  skip(reason: string, shown: string): void {
    const before = this.#skipped.get(reason);
    if (before !== undefined) before.count++;
    else this.#skipped.set(reason, { count: 1, first: shortened(shown) });
  }

  /**
   * The replay.
   *
   * @param spread milliseconds over which requests of the same time are spread evenly
   * @throws {DataFileError} if there is no request
   */
  finish(spread = 0): Replay {
    const skipped = [...this.#skipped].map(([reason, rest]) => ({ reason, ...rest }));
    if (this.#requests.length === 0) {
      const [first] = skipped;
      const hint =
        first === undefined
          ? ""
          : `: ${first.count} left out, since ${first.reason}; the first is ${first.first}`;
      throw new DataFileError(`${this.#path} is ${this.#what} without a request to replay${hint}`);
    }
    const times = this.#times;
    // Sorting keeps the order of equal times.
    const order = Uint32Array.from(times.keys()).sort(
      (one, other) => times[one]! - times[other]! || one - other,
    );
    const sorted = Float64Array.from(order, (index) => times[index]!);
    const start = sorted[0]!;
    for (let first = 0; first < sorted.length; ) {
      const time = sorted[first]!;
      let end = first + 1;
      while (end < sorted.length && sorted[end] === time) end++;
      const step = spread / (end - first);
      for (let index = first; index < end; index++) {
        sorted[index] = time - start + (index - first) * step;
      }
      first = end;
    }
    return {
      requests: Array.from(order, (index) => this.#requests[index]!),
      times: sorted,
      isClosedLoop: false,
      skipped,
    };
  }
}

function isAllowed({ method, path, headers }: ReplayRequest): boolean {
  try {
    checkMethod(method);
    checkPath(path);
    fieldLines(headers);
    return true;
  } catch {
    return false;
  }
}

/** On one line, without control characters, which could confuse a terminal. */
function shortened(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]/g, "?");
  return safe.length <= shownLetters ? safe : `${safe.slice(0, shownLetters)}...`;
}
