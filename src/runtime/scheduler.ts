/**
 * The two drivers of the thread's scheduler. Both take the same turn: poll the core, try what is ready,
 * run the microtasks that follow.
 *
 * Attached, Bun's event loop is in charge: the core's waker thread rings a bell in that loop, and the
 * bell starts a turn. Blocking, `runUntil` owns the thread and takes one turn after another.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Limits, Shared } from "../core/abi.ts";
import {
  core,
  drainMicrotasks,
  onReplaced,
  sharedFloat64,
  sharedInt32,
  sharedUint32,
} from "../core/native.ts";
import { after, type Deadline, hasPassed, never } from "../values/deadlines.ts";

/** Called when its socket of the core is ready. */
export interface Subscriber {
  readonly handle: number;
  /** `ready` has bits of `Ready`. An exception is reported. */
  ready(ready: number): void;
}

/** Called when a waiter of the core is woken. */
export interface Sleeper {
  /** Called once for each time that it was enlisted. An exception is reported. */
  wake(status: number, waiter: number): void;
}

/** Called in the next turn. */
export interface Due {
  /** An exception is reported. */
  proceed(): void;
}

/** Takes the notices of TLS connections; set by those who know of TLS. */
let takeNotices = (): void => {};

/** Sets what takes the notices when `Shared.tlsNotices` is not 0. */
export function onTlsNotices(take: () => void): void {
  takeNotices = take;
}

/** How long the attached driver runs before Bun's loop gets a turn. */
const turnMilliseconds = 1;

/**
 * How long a turn that found work waits for more before it arms the waker. Ringing the bell costs
 * two context switches, and most peers answer sooner than that. The wait ends at once when Bun's
 * loop has something to do. Where the core cannot tell, it is far shorter.
 */
const spinMicroseconds = 1000;

/**
 * Entries of the ring between two runs of the microtasks. With fewer there are more runs (one for each
 * entry costs 0.6 us a request). With more, the first sockets have left the CPU's cache when they are
 * sent to.
 */
const entriesPerDrain = 256;

/**
 * How long the blocking driver stays in one call of the core in a Worker: `terminate()` takes effect only
 * between calls. The main thread cannot be terminated.
 */
const sliceMicroseconds = Bun.isMainThread ? -1 : 100_000;

/**
 * How many calls all fibers together may complete without a wait, for each portion of the ring. Each
 * `bytesPerCall` that are moved count as one more call, a failure as `callsPerFailure`. A request takes two
 * calls, and a portion has at most 256 requests.
 */
const budgetPerDrain = 1024;
const bytesPerCall = 16_384;
const callsPerFailure = 8;

/** Indexed by the socket's slot, which is the lower bits of a handle. */
const subscribers: (Subscriber | undefined)[] = [];
const slotMask = Limits.sockets - 1;
/** Indexed by the waiter's number. */
const sleepers: (Sleeper | undefined)[] = [];
/** Items for the next turn, and the rest of those of this turn. */
let later: Due[] = [];
let due: Due[] = [];
let dueNext = 0;

/** The rest of the budget until the microtasks run. */
let budget = budgetPerDrain;
/** External waits, and listeners that `unref` was not called on: the process stays alive for them. */
let holds = 0;
/** The number of waits that something outside of the thread can end. */
let expected = 0;
/** The number of descriptors that are watched for plait's own sake. */
let ownDescriptors = 0;
/** How many waits something outside has ended. */
let wakeups = 0;
/** A turn is under way, or the blocking driver is. */
let turning = false;
/** The next turn is on Bun's queue of immediates: then it need not be armed. */
let scheduled = false;
/** The waker rings for what comes, and the core for what a call outside of a turn makes ready. A turn ends it. */
let armed = false;
/** A newer instance of this module has the thread's scheduler. */
let isReplaced = false;
/** When a turn last found work, on the monotonic clock in milliseconds. */
let lastWork = 0;

let bell: { ref(): void; unref(): void } | undefined;
let bellHolds = false;

// Bun.connect takes a connected descriptor, although its types do not say so.
Bun.connect({
  fd: core.takeBell(),
  socket: {
    open(socket: { ref(): void; unref(): void }) {
      bell = socket;
      bell.unref();
      updateBell();
    },
    data() {
      turn(0);
    },
  },
} as unknown as Bun.UnixSocketOptions).catch((error: unknown) => {
  throw new Error("plait: Bun's loop has not taken the waker's bell", { cause: error });
});

const retirements = new Set<() => void>();

/** Calls a function when a newer instance of this module takes over, as `bun --hot` lets it. */
export function onRetired(retire: () => void): () => void {
  retirements.add(retire);
  return () => retirements.delete(retire);
}

onReplaced(() => {
  isReplaced = true;
  for (const retire of retirements) retire();
  bell?.unref();
});

/** The time of parking, as precise as it needs to be. */
export function parkingTime(): number {
  return turning ? sharedFloat64[Shared.nowMillisecondsFloat64]! : core.now();
}

// -- Subscribers and sleepers

/** Calls `subscriber` when its socket is ready, until `unsubscribe`. */
export function subscribe(subscriber: Subscriber): void {
  subscribers[subscriber.handle & slotMask] = subscriber;
}

export function unsubscribe(handle: number): void {
  subscribers[handle & slotMask] = undefined;
}

/** In place of the number of a waiter of the core. */
export const noWaiter = -1;

/** Calls `sleeper` when the core wakes a waiter that a call has just returned. */
export function enlist(sleeper: Sleeper, waiter: number): void {
  sleepers[waiter] = sleeper;
}

/** Frees a waiter that is no longer needed. */
export function drop(waiter: number): void {
  sleepers[waiter] = undefined;
  // In the scheduler that has replaced this one, the number belongs to another waiter.
  if (!isReplaced) core.drop(waiter);
}

/** Calls `item` in the next turn, before the readiness that the core reports then. */
export function proceedLater(item: Due): void {
  later.push(item);
  if (!turning) attend();
}

/** Draws on the budget. False when it is spent: then the caller goes on in the next turn. */
export function spend(): boolean {
  return --budget >= 0;
}

/** The same for a call that fails: an error with its trace takes as long as several calls. */
export function spendFailure(): boolean {
  budget -= callsPerFailure;
  return budget >= 0;
}

/** Draws on the budget for bytes that were moved, beside the call itself. */
export function spendBytes(count: number): void {
  budget -= Math.floor(count / bytesPerCall);
}

/** Whether calls may still succeed in this turn without waiting. */
export function mayProceed(): boolean {
  return budget > 0;
}

// -- What keeps the process alive, and `block` waiting

/** Keeps the process alive until `unhold` is called as often. */
export function hold(): void {
  holds++;
  if (!turning) updateBell();
}

export function unhold(): void {
  holds--;
  if (!turning) updateBell();
}

/** Counts a wait that something outside can end: while there is one, `block` can go on. */
export function expect(change: 1 | -1): void {
  expected += change;
}

/** Counts a wait that something outside ends. It keeps the process alive. */
export function beginExternal(): void {
  holds++;
  expected++;
  if (!turning) attend();
}

export function endExternal(): void {
  holds--;
  expected--;
  wakeups++;
  if (!turning) updateBell();
}

/** Counts a descriptor that is watched for plait's own sake, and that `stats` does not show. */
export function countOwnDescriptor(): void {
  ownDescriptors++;
}

export function ownDescriptorCount(): number {
  return ownDescriptors;
}

/** How many waits something outside can end, and how many it has ended. */
export function waitCounts(): { waiting: number; ended: number } {
  return { waiting: expected, ended: wakeups };
}

// -- The attached driver

/** Schedules a turn, or arms the waker, for work that was added outside of a turn. */
export function attend(): void {
  if (turning || isReplaced) return;
  if (later.length > 0 || sharedUint32[Shared.readyUint32] !== 0) schedule();
  else if (!armed && !scheduled) arm();
  updateBell();
}

/** As `attend`, after a deadline was set that may be the next one. */
export function attendDeadline(): void {
  if (turning || isReplaced) return;
  if (armed) core.setTimer();
  attend();
}

/** The next turn comes when the kernel or the core has something. */
function arm(): void {
  armed = true;
  core.arm();
}

const outsideOfAll = AsyncLocalStorage.snapshot();

/** The next turn comes as soon as Bun's loop lets it: something is there already. */
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  // Outside of the caller's asynchronous context, so that fibers of this turn do not inherit it.
  outsideOfAll(setImmediate, scheduledTurn);
}

function scheduledTurn(): void {
  scheduled = false;
  turn(spinMicroseconds);
}

function updateBell(): void {
  const wanted = holds > 0 && !isReplaced;
  if (wanted === bellHolds || bell === undefined) return;
  bellHolds = wanted;
  if (wanted) bell.ref();
  else bell.unref();
}

/**
 * One turn of the attached driver: polls until nothing comes or the time is up. `spin` is how many
 * microseconds the first poll may wait.
 */
function turn(spin: number): void {
  if (turning || isReplaced) return;
  turning = true;
  armed = false;
  core.beginTurn();
  let end = never;
  let isIdle = false;
  try {
    for (;;) {
      if (!hasRest()) {
        const count = spin === 0 || later.length > 0 ? core.poll(0) : core.spinPoll(spin);
        if (count === 0 && later.length === 0 && sharedUint32[Shared.tlsNoticesUint32] === 0) {
          isIdle = true;
          break;
        }
        take(count);
      }
      lastWork = sharedFloat64[Shared.nowMillisecondsFloat64]!;
      const isFirst = end === never;
      if (isFirst) end = after(turnMilliseconds);
      dispatch(end);
      if (hasRest() || (!isFirst && lastWork >= end)) break;
      spin = spinMicroseconds;
    }
  } finally {
    turning = false;
    const hasMore = hasRest() || later.length > 0 || sharedUint32[Shared.readyUint32] !== 0;
    // Bun's loop may be busy for long: without work of its own the scheduler goes to sleep beside it.
    const idleTime = sharedFloat64[Shared.nowMillisecondsFloat64]! - lastWork;
    const isHostsTurn =
      sharedUint32[Shared.hostIsReadyUint32] !== 0 && idleTime * 1000 < spinMicroseconds;
    if (!isIdle || hasMore || isHostsTurn) schedule();
    else if (sharedUint32[Shared.socketsUint32]! + sharedUint32[Shared.waitersUint32]! > 0) arm();
    updateBell();
  }
}

// -- A turn

/** The unread part of the ring: from `ringNext` to `ringEnd`. */
let ringNext = 0;
let ringEnd = 0;

/** Whether a part of the last poll is unread. It must be read before the next poll. */
function hasRest(): boolean {
  return dueNext < due.length || ringNext < ringEnd;
}

/** Takes the due items and the entries that a poll has written into the ring. */
function take(count: number): void {
  ringNext = Shared.ringInt32;
  ringEnd = ringNext + 2 * count;
  due = later;
  dueNext = 0;
  later = [];
}

/**
 * Tries what was taken, and runs the code that waited. At `end` the rest is left for the next turn.
 */
function dispatch(end: Deadline): void {
  // Code between two portions may call `block`, which then goes on with the rest.
  do {
    budget = budgetPerDrain;
    attemptPortion();
    drainMicrotasks();
    if (hasPassed(end)) return;
  } while (hasRest());
}

/** Tries a portion of what was taken. An exception of one attempt is reported, and the others go on. */
function attemptPortion(): void {
  for (let left = entriesPerDrain; ; left--) {
    try {
      // A nested call may have read the ring to its end, and another ring after it.
      for (; left > 0 && budget > 0 && hasRest(); left--) attemptNext();
      // After the attempts and before the microtasks: so a program learns of a session before it reads
      // the data behind it.
      if (sharedUint32[Shared.tlsNoticesUint32] !== 0) takeNotices();
      return;
    } catch (error) {
      reportError(error);
    }
  }
}

/** Tries the next due item, or else the next entry of the ring. */
function attemptNext(): void {
  if (dueNext < due.length) {
    due[dueNext++]!.proceed();
    return;
  }
  const subject = sharedInt32[ringNext]!;
  const what = sharedInt32[ringNext + 1]!;
  ringNext += 2;
  if (subject >= 0) {
    const subscriber = subscribers[subject & slotMask];
    // An entry before this one may have closed the socket, and its slot may have another owner.
    if (subscriber !== undefined && subscriber.handle === subject) subscriber.ready(what);
    return;
  }
  const waiter = ~subject;
  const sleeper = sleepers[waiter];
  if (sleeper === undefined) return;
  sleepers[waiter] = undefined;
  sleeper.wake(what, waiter);
}

/**
 * The blocking driver: runs turns on this thread until `done` returns true.
 *
 * @returns false when nothing is left that could ever wake a fiber.
 */
export function runUntil(start: () => void, done: () => boolean): boolean {
  if (isReplaced) throw new Error("this instance of plait was replaced when it was loaded anew");
  // The caller may itself run in the microtasks of an attached turn, which goes on afterwards.
  const wasTurning = turning;
  turning = true;
  armed = false;
  core.beginBlocking();
  try {
    start();
    drainMicrotasks();
    dispatch(never);
    while (!done()) {
      if (later.length > 0) take(core.poll(0));
      else if (expected > 0) take(core.poll(sliceMicroseconds));
      else return false;
      dispatch(never);
    }
    return true;
  } finally {
    turning = wasTurning;
    if (wasTurning) core.beginTurn();
    attend();
  }
}
