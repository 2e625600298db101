/** Waits in the order in which they came. Each can leave from any place. */

import type { Wait, WaitPlace } from "./wait.ts";

export class WaitQueue<T = unknown> implements WaitPlace {
  #first: Wait<unknown> | undefined = undefined;
  #last: Wait<unknown> | undefined = undefined;

  /** The wait that has waited longest. */
  get first(): Wait<T> | undefined {
    return this.#first as Wait<T> | undefined;
  }

  push(wait: Wait<unknown>): void {
    wait.queue = this;
    wait.before = this.#last;
    if (this.#last === undefined) this.#first = wait;
    else this.#last.after = wait;
    this.#last = wait;
  }

  /** Does nothing for a wait that is not in this queue. */
  remove(wait: Wait<unknown>): void {
    if (wait.queue !== this) return;
    const { before, after } = wait;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
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
