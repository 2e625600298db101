/** The calls of a reader. They are served in their order, and receive until their units have come. */

import type { Socket } from "../net/socket.ts";
import { callDetails } from "../net/socket_failures.ts";
import { admission, type Operation, rejected, runningCancellation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { type Deadline, never } from "../values/deadlines.ts";
import type { ErrorDetails } from "../values/errors.ts";
import { Fill } from "./fill.ts";
import type { Units } from "./units.ts";

/** Takes a unit. It returns undefined while the unit is not complete, and throws when it cannot be. */
export type Take<Argument, Unit> = (units: Units, argument: Argument) => Unit | undefined;

const syscall = "read";

export class Calls implements Operation {
  readonly #socket: Socket;
  readonly #units: Units;
  readonly #fill: Fill;
  /** Whether a call waits, and the calls behind it. */
  #isBusy = false;
  #queue: WaitQueue | undefined = undefined;

  constructor(socket: Socket, units: Units) {
    this.#socket = socket;
    this.#units = units;
    this.#fill = new Fill(socket, units.unread);
  }

  get syscall(): string {
    return syscall;
  }

  details(): ErrorDetails {
    return callDetails(this.#socket, syscall);
  }

  /** Whether a call waits. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Takes a unit, and receives until there is one. */
  read<Argument, Unit>(
    take: Take<Argument, Unit>,
    argument: Argument,
    deadline: number | undefined,
  ): Promise<Unit> {
    const until =
      deadline === undefined && runningCancellation() === undefined
        ? never
        : admission(this, deadline);
    if (typeof until !== "number") return rejected(until, syscall);
    if (this.#isBusy) return this.#complete(take, argument, until);
    try {
      const unit = take(this.#units, argument);
      return unit === undefined ? this.#complete(take, argument, until) : Promise.resolve(unit);
    } catch (error) {
      return rejected(error, syscall);
    }
  }

  #complete<Argument, Unit>(
    take: Take<Argument, Unit>,
    argument: Argument,
    until: Deadline,
  ): Promise<Unit> {
    return this.#inTurn(until, async () => {
      for (;;) {
        const unit = take(this.#units, argument);
        if (unit !== undefined) return unit;
        await this.receive(until);
      }
    });
  }

  /** Runs a call that receives by itself. `check` reports a mistake at once, and copies what may change. */
  async run<Input, Result>(
    deadline: number | undefined,
    check: () => Input,
    action: (until: Deadline, input: Input) => Promise<Result>,
  ): Promise<Result> {
    const input = check();
    const until = admission(this, deadline);
    if (typeof until !== "number") throw until;
    return await this.#inTurn(until, () => action(until, input));
  }

  /** Runs a call when those before it have ended. */
  async #inTurn<T>(until: Deadline, action: () => Promise<T>): Promise<T> {
    if (this.#isBusy) {
      this.#queue ??= new WaitQueue();
      await new Wait(this).begin(until, this.#queue);
    }
    this.#isBusy = true;
    try {
      return await action();
    } finally {
      const next = this.#queue?.shift();
      if (next === undefined) this.#isBusy = false;
      else next.finish(undefined);
    }
  }

  /** Receives once, for the call whose turn it is. Returns the number of bytes, 0 at the end. */
  receive(until: Deadline): Promise<number> {
    return this.#socket.receive(this.#fill, until);
  }
}
