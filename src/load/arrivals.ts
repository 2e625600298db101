/**
 * When the iterations of an open loop are due. A rate over time says how many are due by then; its inverse
 * gives the due time of each. Poisson arrivals go through the same inverse with random steps in place of 1:
 * so both follow any rate.
 *
 * The arrivals are those of the whole run, whatever the number of threads: a thread takes every nth of them.
 */

import type { Random } from "./random.ts";

/** The rate goes in a straight line from one value to another. Zero milliseconds are a step. */
export interface Stage {
  /** How long it lasts. */
  readonly milliseconds: number;
  /** Iterations per second at its begin; connections for `connectionStages`. */
  readonly from: number;
  /** The same at its end. */
  readonly to: number;
}

/** A stage with what lies before it. */
interface Placed extends Stage {
  /** When it begins, in milliseconds, and how many iterations are due by then. */
  readonly start: number;
  readonly before: number;
  /** How many are due in it. */
  readonly count: number;
}

/** The number of arrivals over time. */
export class Rate {
  readonly #stages: readonly Placed[];
  /** Milliseconds of all stages. */
  readonly milliseconds: number;
  /** The arrivals of all stages; seldom a whole number. */
  readonly total: number;

  constructor(stages: readonly Stage[]) {
    const placed: Placed[] = [];
    let start = 0;
    let before = 0;
    for (const stage of stages) {
      const count = (((stage.from + stage.to) / 2) * stage.milliseconds) / 1000;
      placed.push({ ...stage, start, before, count });
      start += stage.milliseconds;
      before += count;
    }
    this.#stages = placed;
    this.milliseconds = start;
    this.total = before;
  }

  static constant(perSecond: number, milliseconds: number): Rate {
    return new Rate([{ milliseconds, from: perSecond, to: perSecond }]);
  }

  /** Arrivals per second at a time. */
  at(milliseconds: number): number {
    const stage = this.#stages.findLast(({ start }) => start <= milliseconds);
    if (stage === undefined || milliseconds >= this.milliseconds) return 0;
    return (
      stage.from + ((stage.to - stage.from) * (milliseconds - stage.start)) / stage.milliseconds
    );
  }

  /** A cursor through the due times. */
  cursor(): RateCursor {
    return new RateCursor(this.#stages, this.total);
  }
}

/** Finds times for numbers of arrivals that grow. */
export class RateCursor {
  readonly #stages: readonly Placed[];
  readonly #total: number;
  #index = 0;

  constructor(stages: readonly Placed[], total: number) {
    this.#stages = stages;
    this.#total = total;
  }

  /** When so many arrivals are due, in milliseconds from the start; infinity behind the end. */
  timeOf(arrivals: number): number {
    if (arrivals >= this.#total) return Number.POSITIVE_INFINITY;
    let stage = this.#stages[this.#index]!;
    while (arrivals >= stage.before + stage.count) stage = this.#stages[++this.#index]!;
    const { from, to, milliseconds, start } = stage;
    const inStage = arrivals - stage.before;
    if (inStage === 0) return start;
    if (from === to) return start + (inStage * 1000) / from;
    // The root of from * t + slope / 2 * t^2 = inStage, without the difference of two close numbers.
    const slope = (to - from) / (milliseconds / 1000);
    const root = Math.sqrt(Math.max(from * from + 2 * slope * inStage, 0));
    return start + (2000 * inStage) / (from + root);
  }
}

/** The due times of a run, in their order. */
export class Arrivals {
  readonly #cursor: RateCursor;
  readonly #random: Random | undefined;
  #position: number;

  /** Evenly spaced, or with `random` a Poisson process. */
  constructor(rate: Rate, random?: Random) {
    this.#cursor = rate.cursor();
    this.#random = random;
    this.#position = random === undefined ? 0 : random.exponential();
  }

  /** The next due time in milliseconds from the start; infinity when there are no more. */
  next(): number {
    const time = this.#cursor.timeOf(this.#position);
    this.#position += this.#random === undefined ? 1 : this.#random.exponential();
    return time;
  }
}
