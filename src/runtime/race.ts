/** Bodies that run beside each other for their values: all of them, or the first. */

import { checkFunction, ownOptions, rangeMistake, typeMistake } from "../values/checks.ts";
import type { Fiber } from "./fiber.ts";
import { type MemberFiber, runScope, Scope, type ScopeOptions } from "./scope.ts";

/** Options of `all`, `any` and `race`. */
export interface GatherOptions<T> extends ScopeOptions {
  /** Shown by `dump()` and by errors. */
  name?: string | undefined;
  /**
   * Called with each value that is not returned: those of losers, and those of bodies that had succeeded
   * before another one failed. It is for values that must be closed. The call throws an exception of this
   * function; what it returns is not awaited.
   */
  discard?: ((value: T) => void) | undefined;
}

export type Body<T> = () => T | PromiseLike<T>;

/** The values of a tuple of bodies, as a tuple. */
export type ValuesOf<Bodies extends readonly Body<unknown>[]> = {
  -readonly [Index in keyof Bodies]: Awaited<ReturnType<Bodies[Index]>>;
};

type ValueOf<Bodies extends readonly Body<unknown>[]> = Awaited<ReturnType<Bodies[number]>>;

type Discard = (value: unknown) => void;

/** A scope with a fiber for each body of a list. The scope's own body only starts them. */
abstract class Gathering extends Scope {
  protected readonly fibers: Fiber<unknown>[] = [];
  readonly #discard: Discard | undefined;

  constructor(kind: string, name: string, discard: Discard | undefined) {
    super(kind, name);
    this.#discard = discard;
  }

  /** Starts the bodies, until one of them has decided. */
  start(bodies: readonly Body<unknown>[]): void {
    for (const body of bodies) {
      if (this.isCancelled) return;
      this.fibers.push(this.spawn(body));
    }
  }

  override memberSettled(member: MemberFiber<unknown>, hasFailed: boolean, error: unknown): void {
    if (this.isBody(member)) super.memberSettled(member, hasFailed, error);
    else if (member.state === "done") this.succeeded(member);
    // A fiber that has cancelled itself has no value: it counts as failed.
    else if (hasFailed || !this.isCancelled) this.failed(error, member);
  }

  protected succeeded(_fiber: Fiber<unknown>): void {}

  protected failed(error: unknown, _fiber: Fiber<unknown>): void {
    this.fail(error);
  }

  /** Whether its value is part of the result. */
  protected abstract isWanted(fiber: Fiber<unknown>): boolean;

  protected override conclude(): void {
    if (this.#discard === undefined) return;
    for (const fiber of this.fibers) if (!this.isWanted(fiber)) this.#lose(fiber);
    if (!this.isLost) return;
    for (const fiber of this.fibers) if (this.isWanted(fiber)) this.#lose(fiber);
  }

  #lose(fiber: Fiber<unknown>): void {
    if (fiber.state !== "done") return;
    try {
      this.#discard?.(fiber.value);
    } catch (error) {
      this.fail(error);
    }
  }
}

class All extends Gathering {
  protected override isWanted(): boolean {
    return true;
  }

  protected override get value(): unknown {
    return this.fibers.map((fiber) => fiber.value);
  }
}

/** Decided by the first to end, by success or failure. */
class Race extends Gathering {
  protected winner: Fiber<unknown> | undefined = undefined;
  protected isDecided = false;

  protected override isWanted(fiber: Fiber<unknown>): boolean {
    return fiber === this.winner;
  }

  protected override get value(): unknown {
    return this.winner?.value;
  }

  protected override succeeded(fiber: Fiber<unknown>): void {
    if (this.isCancelled) return;
    this.isDecided = true;
    this.winner = fiber;
    this.cancel("another one has won");
  }

  protected override failed(error: unknown, _fiber: Fiber<unknown>): void {
    // The losers' errors are dropped like their values.
    if (this.isDecided) return;
    this.isDecided = !this.isCancelled;
    this.fail(error);
  }
}

/** Decided by the first to succeed. */
class Any extends Race {
  readonly #errors = new Map<Fiber<unknown>, unknown>();

  protected override failed(error: unknown, fiber: Fiber<unknown>): void {
    if (this.isCancelled) super.failed(error, fiber);
    else this.#errors.set(fiber, error);
  }

  protected override conclude(): void {
    const errors = this.fibers.filter((fiber) => this.#errors.has(fiber));
    const inOrder = errors.map((fiber) => this.#errors.get(fiber));
    if (this.hasFailed && !this.isDecided) for (const error of inOrder) this.fail(error);
    if (!this.isCancelled)
      this.fail(new AggregateError(inOrder, `every body of ${this.title} has failed`));
    super.conclude();
  }
}

const gatherOptions: ReadonlySet<string> = new Set(["name", "signal", "deadline", "discard"]);

type GatheringClass = new (kind: string, name: string, discard: Discard | undefined) => Gathering;

function gather<T>(
  kind: string,
  Kind: GatheringClass,
  bodies: readonly Body<unknown>[],
  given: GatherOptions<T>,
): Promise<unknown> {
  if (!Array.isArray(bodies)) throw typeMistake(`${kind} takes an array of functions`);
  for (const body of bodies) {
    if (typeof body !== "function") throw typeMistake(`${kind} takes an array of functions`);
  }
  if (bodies.length === 0 && kind !== "all") {
    throw rangeMistake(`${kind} takes at least one function: of none, none can be the first`);
  }
  const options = ownOptions(given, gatherOptions, kind);
  checkFunction(options.discard, "discard");
  const scope = new Kind(kind, options.name ?? "", options.discard as Discard | undefined);
  return runScope(scope, () => scope.start([...bodies]), options);
}

/**
 * Runs each body on a fiber of its own, and returns their values in the order of the bodies. The first
 * error cancels the others, and is thrown when they have ended. Errors, deadline and signal work as for
 * `scope`.
 *
 * @throws {TypeError} {RangeError} for values that are not functions, and for options that are unknown or
 *   wrong
 */
export async function all<const Bodies extends readonly Body<unknown>[]>(
  bodies: Bodies,
  options: GatherOptions<ValueOf<Bodies>> = {},
): Promise<ValuesOf<Bodies>> {
  return gather("all", All, bodies, options) as Promise<ValuesOf<Bodies>>;
}

/**
 * Runs each body on a fiber of its own. The first to end, by success or failure, decides: the others are
 * cancelled, and when they have ended too, its value is returned or its error thrown. It does not matter
 * how the losers end; their values go to `discard`. Deadline and signal work as for `scope`.
 *
 * @throws {RangeError} for an empty list
 * @throws {TypeError} {RangeError} for values that are not functions, and for options that are unknown or
 *   wrong
 */
export async function race<const Bodies extends readonly Body<unknown>[]>(
  bodies: Bodies,
  options: GatherOptions<ValueOf<Bodies>> = {},
): Promise<ValueOf<Bodies>> {
  return gather("race", Race, bodies, options) as Promise<ValueOf<Bodies>>;
}

/**
 * Like `race`, but the first to succeed decides. A failure leaves the others running.
 *
 * @throws {AggregateError} when every body fails; its `errors` are in the order of the bodies
 * @throws {RangeError} for an empty list
 * @throws {TypeError} {RangeError} for values that are not functions, and for options that are unknown or
 *   wrong
 */
export async function any<const Bodies extends readonly Body<unknown>[]>(
  bodies: Bodies,
  options: GatherOptions<ValueOf<Bodies>> = {},
): Promise<ValueOf<Bodies>> {
  return gather("any", Any, bodies, options) as Promise<ValueOf<Bodies>>;
}
