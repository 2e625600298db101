/**
 * Structured concurrency: a scope owns fibers, and ends when all of them have ended.
 *
 * The body of a scope runs on a fiber of its own, since only fibers can be cancelled: so the scope can be
 * cancelled without the code around it.
 */

import { Status } from "../core/abi.ts";
import { abortReason, isAborted } from "../values/abort_signals.ts";
import { checkedAbortSignal, ownOptions, typeMistake } from "../values/checks.ts";
import { checkedDeadline, type Deadline, hasPassed, never } from "../values/deadlines.ts";
import { CancelledError, type ErrorDetails, TimeoutError } from "../values/errors.ts";
import { isInstance } from "../values/foreign_values.ts";
import { CancelTriggers, type Triggered } from "./cancel_triggers.ts";
import { checkedSpawn, Fiber, type Named, nameOf, type SpawnOptions, startFiber } from "./fiber.ts";
import {
  type Call,
  type Cancellation,
  cancelAll,
  detailsOf,
  type Operation,
  refusalStatus,
  statusError,
  Wait,
  type WaitOwner,
} from "./wait.ts";

/** Options of `scope`. */
export interface ScopeOptions {
  /** Shown by `dump()` and by errors; the body function's name if not given. */
  name?: string | undefined;
  /** Cancels the scope when it is aborted; its reason becomes the cancellation's. */
  signal?: AbortSignal | undefined;
  /** Cancels the scope at this point in time; it then rejects with a `TimeoutError`. */
  deadline?: number | undefined;
}

/** Fibers that end together; `scope` gives one to its body. */
export class Scope implements Triggered {
  readonly #kind: string;
  readonly #named: Named;
  /** @internal */
  wait: Wait<unknown> | undefined = undefined;
  /** Its fibers that have not ended, the body's included, the oldest first. */
  #first: MemberFiber<unknown> | undefined = undefined;
  #last: MemberFiber<unknown> | undefined = undefined;
  #body: BodyFiber | undefined = undefined;
  #triggers: CancelTriggers | undefined = undefined;
  #hasEnded = false;
  #cancellation: Cancellation | undefined = undefined;
  /** The cancellation came from outside: then the value of the body is not returned. */
  #isCutShort = false;
  #hasFailed = false;
  #error: unknown = undefined;
  #suppressed: Set<unknown> | undefined = undefined;

  /** @internal Scopes come from `scope`. */
  constructor(kind: string, named: Named) {
    this.#kind = kind;
    this.#named = named;
  }

  /** The name that `scope` was given, or that of the body. */
  get name(): string {
    return nameOf(this.#named);
  }

  /** @internal Its name in errors and in `dump`. */
  get title(): string {
    return `${this.#kind} ${this.name}`.trimEnd();
  }

  /** @internal */
  details(): ErrorDetails {
    return { syscall: this.title };
  }

  /** Whether the body and all fibers have ended. Then no fiber can be spawned in it any more. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether it is being cancelled, by any cause. */
  get isCancelled(): boolean {
    return this.#cancellation !== undefined;
  }

  /**
   * Starts a fiber that the scope waits for. If the fiber fails, or is ended by its deadline, the scope
   * fails with that error, joined or not. Once the scope is cancelled, its new fibers are cancelled from
   * their start: they run up to their first wait.
   *
   * @throws {TypeError} {RangeError} for arguments that `spawn` refuses
   * @throws {Error} when the scope has ended
   */
  spawn<T>(body: () => T | PromiseLike<T>, options?: SpawnOptions): Fiber<T> {
    const own = checkedSpawn(body, options);
    if (this.#hasEnded) throw new Error(`${this.title} has ended: no fiber can start in it`);
    const fiber = new MemberFiber<T>(own?.name ?? body, this);
    if (this.#cancellation !== undefined) fiber.cancel(this.#cancellation.reason);
    if (own !== undefined) fiber.setTriggers(own.signal, checkedDeadline(own.deadline));
    return startFiber(fiber, body);
  }

  /**
   * Cancels the body and all fibers. That is not a failure: `scope` returns the body's value if the body
   * still returns one, and otherwise rejects with a `CancelledError`.
   */
  cancel(reason?: unknown): void {
    cancelAll(this.becomeCancelled(reason));
  }

  /** @internal Begins the cancellation, and returns the waits to interrupt. */
  becomeCancelled(reason: unknown): Wait<unknown>[] {
    const waits: Wait<unknown>[] = [];
    if (this.isCancelled || this.#hasEnded) return waits;
    this.#cancellation = { reason };
    // Abort listeners may end some of them.
    for (const member of [...this.members()]) {
      for (const wait of member.becomeCancelledAsMember(reason)) waits.push(wait);
    }
    return waits;
  }

  /** @internal Runs the body, and waits until it and all spawned fibers have ended. */
  run(
    body: (scope: this) => unknown,
    signal: AbortSignal | undefined,
    deadline: Deadline,
    isShielded = false,
  ): Promise<unknown> {
    const wait = new Wait<unknown>(new ScopeEnd(this, isShielded));
    const ended = wait.begin(never);
    this.wait = wait;
    this.#body = new BodyFiber(this.#named, this);
    if (signal !== undefined || deadline !== never)
      this.#triggers = new CancelTriggers(this, signal, deadline);
    startFiber(this.#body, body as (scope: unknown) => unknown, this);
    return ended;
  }

  /** @internal */
  becomeCancelledFromOutside(reason: unknown): Wait<unknown>[] {
    if (!this.isCancelled) this.#isCutShort = true;
    return this.becomeCancelled(reason);
  }

  /** @internal */
  triggered(reason: unknown, isLate: boolean): void {
    if (!isLate) cancelAll(this.becomeCancelledFromOutside(reason));
    // A scope that is being cancelled already is not cancelled again by its deadline.
    else if (!this.isCancelled) this.fail(reason);
  }

  /** @internal Takes an error. The first one becomes the error of the scope, and cancels it. */
  fail(error: unknown): void {
    if (this.#hasFailed) {
      this.#suppressed ??= new Set();
      this.#suppressed.add(error);
      return;
    }
    this.#hasFailed = true;
    this.#error = error;
    this.cancel(error);
  }

  /** @internal Whether it will reject, as far as is known. */
  get isLost(): boolean {
    return this.#hasFailed || this.#isCutShort;
  }

  /** @internal */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** @internal */
  isBody(member: MemberFiber<unknown>): boolean {
    return member === this.#body;
  }

  /** @internal */
  add(member: MemberFiber<unknown>): void {
    member.previousMember = this.#last;
    if (this.#last === undefined) this.#first = member;
    else this.#last.nextMember = member;
    this.#last = member;
  }

  /** @internal A fiber has ended. */
  remove(member: MemberFiber<unknown>): void {
    const { previousMember, nextMember } = member;
    if (previousMember === undefined) this.#first = nextMember;
    else previousMember.nextMember = nextMember;
    if (nextMember === undefined) this.#last = previousMember;
    else nextMember.previousMember = previousMember;
    member.previousMember = undefined;
    member.nextMember = undefined;
    if (this.#first === undefined) this.#end();
  }

  /** @internal */
  *members(): Generator<MemberFiber<unknown>> {
    for (let member = this.#first; member !== undefined; member = member.nextMember) yield member;
  }

  /** @internal Takes the outcome of a fiber that has ended. */
  memberSettled(_member: MemberFiber<unknown>, hasFailed: boolean, error: unknown): void {
    if (hasFailed) this.fail(error);
  }

  /** @internal Called when all have ended, for clean-up and late errors. */
  protected conclude(): void {}

  /** @internal The result of a scope that did not fail. */
  protected get value(): unknown {
    return this.#body!.value;
  }

  #end(): void {
    this.#hasEnded = true;
    this.#triggers?.lift();
    this.conclude();
    if (!this.isLost && this.#body!.state === "done") {
      this.wait!.finish(this.value);
      return;
    }
    const error = this.#hasFailed
      ? withSuppressed(this.#error, this.#suppressed, this.title)
      : new CancelledError(this.#cancellation?.reason, this.details());
    this.wait!.finishWithError(error);
  }
}

const ordinary = { configurable: true, enumerable: true, writable: true };

/** The first error, with the others in its list; or an AggregateError of all if it cannot have a list. */
function withSuppressed(first: unknown, others: Set<unknown> | undefined, title: string): unknown {
  // Joiners of a failed fiber may have thrown the same error again.
  others?.delete(first);
  if (others === undefined || others.size === 0) return first;
  if (suppressOn(first, others)) return first;
  return new AggregateError([first, ...others], `several fibers of ${title} have failed`);
}

/** How long the list of an error may be before no more is added. */
const mostSuppressed = 1000;

/** Adds errors to the list of another one, if it can have a list. */
function suppressOn(first: unknown, others: Set<unknown>): boolean {
  try {
    if (!isInstance(first, Error)) return false;
    const { suppressed = [] } = first as { suppressed?: unknown };
    if (!Array.isArray(suppressed)) return false;
    // An error that is thrown repeatedly must not collect errors without end.
    const { length } = suppressed;
    if (length > mostSuppressed) return false;
    const value = Array.from({ length }, (_, index) => suppressed[index]).concat([...others]);
    return Reflect.defineProperty(first, "suppressed", { ...ordinary, value });
  } catch {
    // A getter or a proxy threw. The scope must end all the same.
    return false;
  }
}

/** A fiber of a scope. */
export class MemberFiber<T> extends Fiber<T> {
  readonly scope: Scope;
  /** @internal The neighbours in the list of the scope's live fibers, in the order of their start. */
  previousMember: MemberFiber<unknown> | undefined = undefined;
  /** @internal */
  nextMember: MemberFiber<unknown> | undefined = undefined;

  constructor(named: Named, scope: Scope) {
    super(named);
    this.scope = scope;
    scope.add(this as MemberFiber<unknown>);
  }

  /** @internal */
  becomeCancelledAsMember(reason: unknown): Wait<unknown>[] {
    return this.becomeCancelled(reason);
  }

  /** The scope takes every failure as its own. */
  protected override takesFailure(): boolean {
    return true;
  }

  protected override onSettled(hasFailed: boolean, error: unknown): void {
    this.scope.memberSettled(this as MemberFiber<unknown>, hasFailed, error);
    this.scope.remove(this as MemberFiber<unknown>);
  }
}

/** The fiber of the body. To cancel it is to cancel the scope. */
class BodyFiber extends MemberFiber<unknown> {
  override becomeCancelled(reason: unknown): Wait<unknown>[] {
    return this.scope.becomeCancelled(reason);
  }

  override becomeCancelledAsMember(reason: unknown): Wait<unknown>[] {
    return super.becomeCancelled(reason);
  }
}

/** The wait for a scope's end, which lasts as long as the scope, also when the fiber is cancelled. */
export class ScopeEnd implements Operation {
  readonly scope: Scope;
  readonly #isShielded: boolean;

  constructor(scope: Scope, isShielded: boolean) {
    this.scope = scope;
    this.#isShielded = isShielded;
  }

  get syscall(): string {
    return this.scope.title;
  }

  cancelled(wait: Wait<unknown>): Wait<unknown>[] | undefined {
    if (this.#isShielded) return undefined;
    return this.scope.becomeCancelledFromOutside(wait.owner.cancellation?.reason);
  }
}

/** @internal The owner that waits for the scope of a fiber, if it has one. */
export function scopeOwner(fiber: Fiber<unknown>): WaitOwner | undefined {
  return fiber instanceof MemberFiber ? fiber.scope.wait?.owner : undefined;
}

/** @internal Checks the options and runs the body, unless a cancellation or the deadline comes first. */
export function runScope<S extends Scope>(
  scope: S,
  body: (scope: S) => unknown,
  options: ScopeOptions | undefined,
): Promise<unknown> {
  const deadline = checkedDeadline(options?.deadline);
  const signal = checkedAbortSignal(options?.signal);
  const isGivenUp = signal !== undefined && isAborted(signal);
  // The signal comes after a cancellation and before the deadline.
  const status = refusalStatus(isGivenUp ? never : deadline);
  if (status !== Status.ok) throw statusError(status, scope.details());
  if (isGivenUp) throw new CancelledError(abortReason(signal), scope.details());
  return scope.run(body as (scope: Scope) => unknown, signal, deadline);
}

/** The scope of a call that takes a signal. Its errors are those of the call. */
class CallScope extends Scope {
  readonly #call: Call;

  constructor(call: Call) {
    super(call.syscall, "");
    this.#call = call;
  }

  override details(): ErrorDetails {
    return detailsOf(this.#call);
  }
}

/**
 * @internal Runs the body of a call, and cancels it when the call's signal is aborted. Without a signal the
 *   body needs no fiber of its own.
 */
export function withSignal<T>(
  call: Call,
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return body();
  return runScope(new CallScope(call), body, { signal }) as Promise<T>;
}

const scopeOptions: ReadonlySet<string> = new Set(["name", "signal", "deadline"]);

/**
 * Runs a body that spawns fibers with `s.spawn`, and returns its value when the body and all of these
 * fibers have ended, in every case. The body runs at once, up to its first `await`, on a fiber of its
 * own: so `current()` is another one in it.
 *
 * An error, the deadline, the signal or a cancellation cancels all fibers of the scope, and the scope
 * waits until they have ended. It then rejects with the first error, whose `suppressed` lists the later
 * ones. A `CancelledError` that the scope itself has caused does not count. If the first error cannot
 * have a list (it is not an `Error`, is frozen, or has another `suppressed`), the scope rejects with an
 * `AggregateError` of all.
 *
 * @throws the first error of the body or of a fiber of the scope
 * @throws {TimeoutError} when the deadline passes first, or has passed already; then nothing runs
 * @throws {CancelledError} when the caller's fiber is cancelled, the signal is aborted, or `s.cancel` has
 *   ended the body. In the first two cases the value of a body that still returned is lost.
 * @throws {TypeError} {RangeError} for a body that is not a function, and for options that are unknown or
 *   wrong
 */
export function scope<T>(
  body: (s: Scope) => T | PromiseLike<T>,
  options?: ScopeOptions,
): Promise<T> {
  try {
    if (typeof body !== "function") throw typeMistake("scope takes a function");
    const own = options === undefined ? undefined : ownOptions(options, scopeOptions, "scope");
    const scope = new Scope("scope", own?.name ?? body);
    return runScope(scope, body, own) as Promise<T>;
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Runs a body that can wait although the caller's fiber is or will be cancelled: for clean-up. It runs on
 * a fiber of its own. The cancellation takes effect at the next wait after it.
 *
 * @param deadline cancels the body at this point in time; 0 for never, if that is needed
 * @throws what the body throws
 * @throws {TimeoutError} when the deadline passes first, or has passed already; then nothing runs
 * @throws {TypeError} without a deadline: what cannot be cancelled should have a bound
 */
export async function shield<T>(body: () => T | PromiseLike<T>, deadline: number): Promise<T> {
  if (typeof body !== "function") throw typeMistake("shield takes a function");
  if (deadline === undefined) throw typeMistake("shield takes a deadline, or 0 for none");
  const until = checkedDeadline(deadline);
  const scope = new Scope("shield", body);
  if (hasPassed(until)) throw new TimeoutError(scope.details());
  return scope.run(() => body(), undefined, until, true) as Promise<T>;
}
