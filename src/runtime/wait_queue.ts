/** Waits in the order in which they came. Each can leave from any place. */

import type { Wait, WaitPlace } from "./wait.ts";

/** The waits are a ring: the neighbour before the first one is the last one. */
export class WaitQueue<T = unknown> implements WaitPlace {
  #first: Wait<unknown> | undefined = undefined;

  /** The wait that has waited longest. */
  get first(): Wait<T> | undefined {
    return this.#first as Wait<T> | undefined;
  }

  push(wait: Wait<unknown>): void {
    const first = (this.#first ??= wait);
    const last = first.before ?? wait;
    wait.queue = this;
    wait.before = last;
    wait.after = first;
    last.after = wait;
    first.before = wait;
  }

  /** Does nothing for a wait that is not in this queue. */
  remove(wait: Wait<unknown>): void {
    if (wait.queue !== this) return;
    const { before, after } = wait;
    before!.after = after;
    after!.before = before;
    if (this.#first === wait) this.#first = after === wait ? undefined : after;
    wait.queue = undefined;
    wait.before = undefined;
    wait.after = undefined;
  }

  /** Removes the first wait, and returns it. */
  shift(): Wait<T> | undefined {
    const { first } = this;
    if (first !== undefined) this.remove(first);
    return first;
  }
}
