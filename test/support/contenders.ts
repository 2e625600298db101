/** Fibers in one wait each, compared with a model that says how each must end. */

import {
  CancelledError,
  ChannelClosedError,
  type Fiber,
  spawn,
  TimeoutError,
  yieldNow,
} from "../../index.ts";
import type { Random } from "./random.ts";

export type Ending = "served" | "cancelled" | "late" | "closed";

/** Yields until all have ended that must: each uses up the budget of at most one turn. */
const roundsAtMost = 1000;

/** More turns than the model needs to learn of a call that has failed. */
const hops = 12;

/** Runs some microtasks, but no turn of the scheduler. */
export async function microtasks(): Promise<void> {
  for (let hop = 0; hop < hops; hop++) await null;
}

function endingBy(error: unknown): Ending {
  if (error instanceof CancelledError) return "cancelled";
  if (error instanceof TimeoutError) return "late";
  if (error instanceof ChannelClosedError) return "closed";
  throw error;
}

export class Contender<T> {
  readonly fiber: Fiber<void>;
  value: T | undefined;
  ending: Ending | undefined;
  /** Whether the model knows of its end, or could. */
  hasBegun = false;
  /** How it must end; undefined while it must wait. */
  expected: Ending | undefined;
  /** The value that it must be served with, if that is known. */
  expectedValue: unknown;

  constructor(contest: Contest, call: () => Promise<T>, onLate: (contender: Contender<T>) => void) {
    this.fiber = spawn(async () => {
      try {
        this.value = await call();
        this.ending = "served";
      } catch (error) {
        this.ending = endingBy(error);
        // It is not known beforehand which deadlines pass. A fiber that was served does not end so.
        if (this.ending === "late" && this.hasBegun && this.expected === undefined) {
          contest.expect(this, "late");
          onLate(this);
        }
      }
      if (this.expected === undefined) contest.surprise(this);
    });
  }
}

export class Contest {
  /** How many have ended in each way. */
  readonly endings: Record<Ending, number> = { served: 0, cancelled: 0, late: 0, closed: 0 };
  #due: Contender<unknown>[] = [];
  #surprises: Contender<unknown>[] = [];
  #mistake: string | undefined;

  /** The model decides how a contender must end. */
  expect<T>(contender: Contender<T>, ending: Ending, value?: unknown): void {
    contender.expected = ending;
    contender.expectedValue = value;
    this.#due.push(contender as Contender<unknown>);
  }

  /** A contender has ended, for which the model must have decided that. */
  surprise<T>(contender: Contender<T>): void {
    this.#surprises.push(contender as Contender<unknown>);
  }

  mistake(description: string): void {
    this.#mistake ??= description;
  }

  /** Cancels a fiber that was served, and may not know it yet. */
  cancelServed(random: Random): boolean {
    if (this.#due.length === 0) return false;
    const { expected, fiber } = random.pick(this.#due);
    if (expected !== "served") return false;
    fiber.cancel();
    return true;
  }

  /** Fails unless all contenders that must end have ended, in the right way. */
  async settle(): Promise<void> {
    for (let round = 0; ; round++) {
      await yieldNow();
      await microtasks();
      this.#due = this.#due.filter(
        (contender) => contender.ending === undefined || this.#check(contender),
      );
      if (this.#due.length === 0 || round === roundsAtMost) break;
    }
    for (const { ending, expected } of this.#surprises) {
      if (expected === undefined) this.mistake(`${ending} instead of waiting`);
    }
    this.#surprises = [];
    for (const { expected } of this.#due) this.mistake(`still waits, instead of ${expected}`);
    if (this.#mistake !== undefined) throw new Error(this.#mistake);
  }

  /** @returns false: nothing more is due of it */
  #check(contender: Contender<unknown>): false {
    const { expected, value, expectedValue } = contender;
    const ending = contender.ending!;
    this.endings[ending]++;
    if (ending !== expected) this.mistake(`${ending} instead of ${expected}`);
    else if (expectedValue !== undefined && value !== expectedValue) {
      this.mistake(`served with ${value} instead of ${expectedValue}`);
    }
    return false;
  }
}
