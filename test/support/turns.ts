/** Ways to reach a state of code within one turn of the scheduler, without chance. */

import type { Fiber } from "../../index.ts";

const hopsAtMost = 100_000;

/**
 * Runs a fiber that always finds what it waits for, until it must wait because the turn's budget is
 * spent.
 */
export async function untilHeldUp(fiber: Fiber): Promise<void> {
  for (let hop = 0; fiber.state !== "waiting"; hop++) {
    if (hop === hopsAtMost) throw new Error("the turn's budget is never spent");
    await null;
  }
}
