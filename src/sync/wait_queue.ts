/** Waits in the order in which they came, each of which may leave from wherever it stands. */

import { assert } from "../asserts.ts";
import { core } from "../native.ts";
import { ParkingWait } from "../parking.ts";

interface Queued {
  before: Queued | undefined;
  after: Queued | undefined;
}

/** A wait that stands in a queue until it is served, is cancelled, or its deadline passes. */
export abstract class QueuedWait<T> extends ParkingWait<T> implements Queued {
  readonly queue: WaitQueue<Queued>;
  before: Queued | undefined = undefined;
  after: Queued | undefined = undefined;

  constructor(queue: WaitQueue<Queued>) {
    super();
    this.queue = queue;
  }

  /** Begins to wait, behind all others. */
  enqueue(deadline: number): Promise<T> {
    if (deadline === 0) {
      this.queue.push(this);
      return this.begin();
    }
    const waiter = core.sleep(deadline);
    if (waiter >= 0) this.queue.push(this);
    return this.park(waiter);
  }

  override forget(): void {
    this.queue.remove(this);
  }
}

export class WaitQueue<W extends Queued> {
  #first: Queued | undefined = undefined;
  #last: Queued | undefined = undefined;

  /** The one that has waited longest. */
  get first(): W | undefined {
    return this.#first as W | undefined;
  }

  push(wait: Queued): void {
    wait.before = this.#last;
    if (this.#last === undefined) this.#first = wait;
    else this.#last.after = wait;
    this.#last = wait;
  }

  /** Takes the first out. */
  shift(): W | undefined {
    const wait = this.#first;
    if (wait !== undefined) this.remove(wait);
    return wait as W | undefined;
  }

  remove(wait: Queued): void {
    const { before, after } = wait;
    const isMember = before !== undefined || this.#first === wait;
    assert(isMember, "a wait leaves a queue that it is not in");
    if (!isMember) return;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    wait.before = undefined;
    wait.after = undefined;
  }
}
