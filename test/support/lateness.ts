/** Measuring how long after its deadline a wait ends. */

import { deadline, now } from "../../index.ts";

const roundsAtMost = 20;
const triesPerRound = 5;

export interface Lateness {
  /** The earliest of all tries in milliseconds; negative if one ended before its deadline. */
  readonly least: number;
  /** The median of the best round: other programs of the machine spoil single tries. */
  readonly median: number;
}

/**
 * Tries a wait until the median of a round is good enough, or all rounds are done. `prepare` runs
 * before the time of a try begins.
 */
export async function latenessOf<T = void>(
  wait: (until: number, prepared: T) => Promise<unknown>,
  goodEnough: number,
  prepare?: () => Promise<T>,
): Promise<Lateness> {
  let least = Number.POSITIVE_INFINITY;
  let median = Number.POSITIVE_INFINITY;
  for (let round = 0; round < roundsAtMost && median > goodEnough; round++) {
    const tries: number[] = [];
    for (let index = 0; index < triesPerRound; index++) {
      const prepared = (await prepare?.()) as T;
      const until = deadline(2.5 + index * 0.7);
      await wait(until, prepared);
      tries.push(now() - until);
    }
    tries.sort((left, right) => left - right);
    least = Math.min(least, tries[0]!);
    median = Math.min(median, tries[(triesPerRound - 1) / 2]!);
  }
  return { least, median };
}
