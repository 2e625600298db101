/**
 * The two drivers of the thread's scheduler. Both do the same turn: poll the core, hand each
 * wake-up to the wait that is parked under it, run the microtasks that come of it.
 *
 * Attached, Bun's event loop is in charge: the core's waker thread rings a bell in that loop, and the
 * bell starts a turn. Blocking, `runUntil` owns the thread and takes one turn after another.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Shared } from "./abi.ts";
import {
  core,
  drainMicrotasks,
  onReplaced,
  sharedFloat64,
  sharedInt32,
  sharedUint32,
} from "./native.ts";

/** Tells of what TLS connections have to tell; set by those who know of TLS. */
let takeNotices: () => void = () => {};

/** Sets what is called when `Shared.tlsNotices` is not 0 after a poll. */
export function onTlsNotices(take: () => void): void {
  takeNotices = take;
}

/** What is parked in the core under a waiter's number. */
export interface Parked {
  /** The waiter, or `notParked`. */
  waiter: number;
  /** Whether the process stays alive for it. */
  readonly keepsAlive: boolean;
  /** Called once for each time that it was parked. */
  wake(status: number): void;
}

export const notParked = -1;

/** How long the attached driver goes on before it lets Bun's loop have a turn. */
const turnMilliseconds = 1;

/**
 * How long a turn that found work waits for more before it arms the waker. Ringing the bell costs
 * two context switches, and most peers answer sooner than that. The wait ends at once when Bun's
 * loop has something to do. Where the core cannot tell, it is far shorter.
 */
const lingerMicroseconds = 500;

/**
 * Wake-ups between two runs of the microtasks. Fewer cost more runs (one for each: 0.6 us a request);
 * for more, the first sockets have left the processor's cache when they are sent to.
 */
const wakeupsPerDrain = 256;

/**
 * How long the blocking driver stays in one call of the core in a Worker: `terminate()` takes effect
 * only between calls. The main thread has nobody to terminate it.
 */
const sliceMicroseconds = Bun.isMainThread ? -1 : 100_000;

const parked: (Parked | undefined)[] = [];

/** Waits and listeners for which the process stays alive. */
let holds = 0;
/** Waiters that wake no fiber, each of them for a descriptor of its own. */
let idle = 0;
/** A turn is under way, or the blocking driver is. */
let turning = false;
/** The next turn is on Bun's queue of immediates. */
let scheduled = false;
/** The waker will ring. */
let armed = false;
/** A newer instance of this module has the thread's scheduler. */
let isReplaced = false;
/** When a turn has last woken anything, on the monotonic clock in milliseconds. */
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
      armed = false;
      turn(0);
    },
  },
} as unknown as Bun.UnixSocketOptions).catch((error: unknown) => {
  throw new Error("plait: Bun's loop has not taken the waker's bell", { cause: error });
});

const retirements = new Set<() => void>();

/** Has something done when a newer instance of this module takes over, as `bun --hot` lets it. */
export function onRetired(retire: () => void): () => void {
  retirements.add(retire);
  return () => retirements.delete(retire);
}

onReplaced(() => {
  isReplaced = true;
  for (const retire of retirements) retire();
  bell?.unref();
});

/** The clock as precisely as the moment of parking needs it. */
export function parkingTime(): number {
  return turning ? sharedFloat64[Shared.nowMillisecondsFloat64]! : core.now();
}

/** Parks under a waiter that a call of the core has just returned. */
export function enlist(wait: Parked, waiter: number): void {
  parked[waiter] = wait;
  wait.waiter = waiter;
  if (wait.keepsAlive) holds++;
  if (!turning) attend();
}

/** Takes back what was parked under a waiter of `core.sleep` or `core.wait`, without a wake-up. */
export function delist(wait: Parked): void {
  const { waiter } = wait;
  if (waiter === notParked) return;
  parked[waiter] = undefined;
  wait.waiter = notParked;
  // In the scheduler that has taken this one's place the number is somebody else's.
  if (!isReplaced) core.drop(waiter);
  release(wait);
}

/** Wakes a parked wait with a status, in its turn, if it was not woken before. */
export function interrupt(wait: Parked, status: number): void {
  if (wait.waiter === notParked || isReplaced || core.cancel(wait.waiter, status) === 0) return;
  if (!turning) attend();
}

/** Keeps the process alive until `release` is called as often. */
export function hold(): void {
  holds++;
  if (!turning) updateBell();
}

export function unhold(): void {
  holds--;
  if (!turning) updateBell();
}

/** Counts a waiter that wakes no fiber, from now on or no longer. */
export function countIdle(change: 1 | -1): void {
  idle += change;
}

/** Waiters and watched descriptors that are nobody's business but the library's own. */
export function idleCount(): number {
  return idle;
}

function release(wait: Parked): void {
  if (wait.keepsAlive) unhold();
}

/** Draws on the turn's budget. False when it is spent: the caller parks, behind all that are ready. */
export function spend(): boolean {
  return --sharedInt32[Shared.budgetInt32]! >= 0;
}

/** Sees to it that a turn comes for whatever was parked or woken outside of one. */
export function attend(): void {
  if (turning || isReplaced) return;
  if (sharedUint32[Shared.readyUint32] !== 0) schedule();
  else if (!armed) arm();
  else core.setTimer();
  updateBell();
}

function arm(): void {
  armed = true;
  core.arm();
}

const outsideOfAll = AsyncLocalStorage.snapshot();

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  // Whoever runs now must not lend its asynchronous context to whatever the turn starts.
  outsideOfAll(setImmediate, scheduledTurn);
}

function scheduledTurn(): void {
  scheduled = false;
  turn(lingerMicroseconds);
}

function updateBell(): void {
  const wanted = holds > 0 && !isReplaced;
  if (wanted === bellHolds || bell === undefined) return;
  bellHolds = wanted;
  if (wanted) bell.ref();
  else bell.unref();
}

/**
 * One turn of the attached driver: polls until nothing comes or the time is up. `linger` is how many
 * microseconds the first poll may wait.
 */
function turn(linger: number): void {
  if (turning || isReplaced) return;
  turning = true;
  core.beginTurn();
  let end = 0;
  let isIdle = false;
  try {
    for (;;) {
      const count = linger === 0 ? core.poll(0) : core.lingeringPoll(linger);
      if (count === 0 && sharedUint32[Shared.tlsNoticesUint32] === 0) {
        isIdle = true;
        break;
      }
      lastWork = sharedFloat64[Shared.nowMillisecondsFloat64]!;
      dispatch(count);
      if (end === 0) end = lastWork + turnMilliseconds;
      else if (lastWork >= end) break;
      linger = lingerMicroseconds;
    }
  } finally {
    turning = false;
    const hasMore = sharedUint32[Shared.readyUint32] !== 0;
    // Bun's loop may be busy for long: without work of its own the scheduler goes to sleep beside it.
    const idleTime = sharedFloat64[Shared.nowMillisecondsFloat64]! - lastWork;
    const isHostsTurn =
      sharedUint32[Shared.hostIsReadyUint32] !== 0 && idleTime * 1000 < lingerMicroseconds;
    if (!isIdle || hasMore || isHostsTurn) schedule();
    else if (sharedUint32[Shared.socketsUint32]! + sharedUint32[Shared.waitersUint32]! > 0) arm();
    updateBell();
  }
}

/** What is left to be read of the ring: from `ringNext` up to `ringEnd`. */
let ringNext = 0;
let ringEnd = 0;

/** Wakes what was parked under each waiter in the ring, and runs the code that waited. */
function dispatch(count: number): void {
  ringNext = Shared.wakeupInt32;
  ringEnd = ringNext + 2 * count;
  if (sharedUint32[Shared.tlsNoticesUint32] !== 0) {
    try {
      takeNotices();
    } catch (error) {
      reportError(error);
    }
    drainMicrotasks();
  }
  dispatchRest();
}

/** Code that runs between two portions may call `block`, which then goes on with the rest. */
function dispatchRest(): void {
  while (ringNext < ringEnd) {
    const stop = Math.min(ringNext + 2 * wakeupsPerDrain, ringEnd);
    // A nested call may have read the ring to its end, and another ring after it.
    while (ringNext < stop && ringNext < ringEnd) {
      const waiter = sharedInt32[ringNext]!;
      const status = sharedInt32[ringNext + 1]!;
      ringNext += 2;
      const wait = parked[waiter];
      if (wait === undefined) continue;
      parked[waiter] = undefined;
      wait.waiter = notParked;
      if (wait.keepsAlive) holds--;
      try {
        wait.wake(status);
      } catch (error) {
        // Those behind it in the ring are woken all the same.
        reportError(error);
      }
    }
    drainMicrotasks();
  }
}

/**
 * The blocking driver: runs turns on this thread until `done` says so.
 *
 * @returns false when nothing is left that could ever wake a fiber.
 */
export function runUntil(start: () => void, done: () => boolean): boolean {
  if (isReplaced) throw new Error("this instance of plait was replaced when it was loaded anew");
  // The caller may itself run in the microtasks of an attached turn, which goes on afterwards.
  const wasTurning = turning;
  turning = true;
  core.beginBlocking();
  try {
    start();
    drainMicrotasks();
    dispatchRest();
    while (!done()) {
      if (sharedUint32[Shared.waitersUint32]! <= idle) return false;
      // A wait that is bounded closely keeps the processor from a sleep that is dear to end.
      dispatch(core.lingeringPoll(lingerMicroseconds) || core.poll(sliceMicroseconds));
    }
    return true;
  } finally {
    turning = wasTurning;
    if (wasTurning) core.beginTurn();
    attend();
  }
}
