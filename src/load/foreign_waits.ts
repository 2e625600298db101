/**
 * Finds scenarios that await what is not plait's, such as `fetch`, under the blocking driver: Bun's event loop rests
 * there, and they would wait for ever.
 */

import type { Fiber } from "../runtime/fiber.ts";
import { yieldNow } from "../runtime/sleep.ts";

const foreignWait =
  'the scenario awaits something that is not plait\'s, such as fetch, which never goes on under the blocking driver: run it with driver "attached"';

/** A scenario awaits what does not go on. */
export class ForeignWaitError extends Error {
  override readonly name = "ForeignWaitError";

  constructor() {
    super(foreignWait);
  }
}

export class ForeignWaits {
  readonly #fibers: readonly Fiber<void>[];
  /** Fibers that waited for nothing of plait's at the last look. */
  #suspects = new Set<Fiber<void>>();
  #isLooking = false;
  areThere = false;

  constructor(fibers: readonly Fiber<void>[]) {
    this.#fibers = fibers;
  }

  /** Looks at all fibers. One that runs at two looks, and in the turns between, awaits what is not plait's. */
  look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#lookAgain();
  }

  async #lookAgain(): Promise<void> {
    let running = this.#running(this.#fibers);
    // A fiber that goes on in this turn runs for a moment, and then waits.
    for (let turn = 0; turn < turns && running.length > 0; turn++) {
      await yieldNow();
      running = this.#running(running);
    }
    this.areThere = running.some((fiber) => this.#suspects.has(fiber));
    this.#suspects = new Set(running);
    this.#isLooking = false;
  }

  #running(fibers: readonly Fiber<void>[]): Fiber<void>[] {
    return fibers.filter(({ state }) => state === "running");
  }
}

/** Turns in which a fiber that awaits plait's own is seen to wait. */
const turns = 10;
