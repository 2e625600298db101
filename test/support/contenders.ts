/** Fibers in one wait each, held against a model that says how each has to end. */

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

/** Yields until all have ended that have to: each spends the budget of one turn at most. */
const roundsAtMost = 1000;

/** More than it takes a call that has failed to be told to the model. */
const hops = 12;

/** Lets some microtasks run, and no turn of the scheduler. */
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
  /** Whether the model knows of it, or could. */
  hasBegun = false;
  /** How it has to end; undefined while it has to wait. */
  expected: Ending | undefined;
  /** What it has to be served with, if that is known. */
  expectedValue: unknown;

  constructor(contest: Contest, call: () => Promise<T>, onLate: (contender: Contender<T>) => void) {
    this.fiber = spawn(async () => {
      try {
        this.value = await call();
        this.ending = "served";
      } catch (error) {
        this.ending = endingBy(error);
        // Nobody knows beforehand which deadlines pass; one that was served does not end so.
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

  /** The model says how a contender ends. */
  expect<T>(contender: Contender<T>, ending: Ending, value?: unknown): void {
    contender.expected = ending;
    contender.expectedValue = value;
    this.#due.push(contender as Contender<unknown>);
  }

  /** One has ended of whom the model has to say so yet. */
  surprise<T>(contender: Contender<T>): void {
    this.#surprises.push(contender as Contender<unknown>);
  }

  mistake(description: string): void {
    this.#mistake ??= description;
  }

  /** Cancels somebody who has been served, and may not know it yet. */
  cancelServed(random: Random): boolean {
    if (this.#due.length === 0) return false;
    const { expected, fiber } = random.pick(this.#due);
    if (expected !== "served") return false;
    fiber.cancel();
    return true;
  }

  /** Fails unless all have ended that have to, as they have to. */
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
