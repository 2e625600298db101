// Records failures, so that one broken server does not end the comparison of the others.

import type { ServerKind } from "./servers.ts";

export class Outcome {
  readonly #skipped = new Set<string>();

  /** Does the work unless this server has failed before. */
  async attempt(kind: ServerKind, work: () => Promise<void>): Promise<void> {
    if (this.#skipped.has(kind.name)) return;
    try {
      await work();
    } catch (error) {
      if (kind.isYardstick) throw error;
      this.#skipped.add(kind.name);
      const reason = error instanceof Error ? error.message : String(error);
      console.log(`skipping ${kind.title}: ${reason}`);
    }
  }
}
