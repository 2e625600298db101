/**
 * The way of a signal of the process to this thread. The core's handler, in whichever thread it
 * runs, sends a byte to every thread that listens: so signals come under both drivers.
 */

import { constants } from "node:os";
import { Direction } from "../core/abi.ts";
import { core } from "../core/native.ts";
import {
  attend,
  countOwnDescriptor,
  enlist,
  onRetired,
  type Sleeper,
} from "../runtime/scheduler.ts";
import { rangeMistake, typeMistake } from "../values/checks.ts";
import { codeOf, SocketError } from "../values/errors.ts";
import { callProgram } from "../values/foreign_values.ts";

const signalNames = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGTERM",
  "SIGCONT",
  "SIGTSTP",
  "SIGWINCH",
  "SIGINFO",
] as const;

/** The signals that a program can catch with a purpose; SIGINFO where the system has it. */
export type SignalName = (typeof signalNames)[number];

/** Called when the signal has come, once or several times. What it throws is an unhandled rejection. */
export type SignalListener = (signal: SignalName) => void;

const listeners = new Map<SignalName, Set<SignalListener>>();
/** Signals that are listened to for ever. */
const kept = new Set<SignalName>();

let isLineOpen = false;

onRetired(() => {
  for (const signal of listeners.keys()) if (!kept.has(signal)) letGo(signal);
  listeners.clear();
  common.cores.delete(core);
});

/** What waits for the next byte. It wakes no fiber, and `dump` does not show it. */
const line: Sleeper = {
  wake() {
    const signals = core.takeSignals();
    parkLine();
    for (const [name, set] of listeners) {
      if ((signals >> (numberOf(name) - 1)) & 1) {
        for (const listener of [...set]) callProgram(() => listener(name));
      }
    }
  },
};

function parkLine(): number {
  const descriptor = core.signalLine();
  const waiter = descriptor < 0 ? descriptor : core.watch(descriptor, Direction.readable, 0);
  if (waiter >= 0) enlist(line, waiter);
  attend();
  return waiter;
}

function openLine(): void {
  if (isLineOpen) return;
  const waiter = parkLine();
  if (waiter < 0) throw new SocketError(codeOf(-waiter), { syscall: "signal" });
  countOwnDescriptor();
  isLineOpen = true;
}

/** What is common to the copies of plait in this thread, and to the instances of one that `bun --hot` loads. */
interface Common {
  readonly doNothing: () => void;
  /** The cores of the copies. The handler of one may stand above that of another. */
  readonly cores: Set<typeof core>;
  /** Those that listen to a signal. */
  readonly listening: Map<SignalName, Set<typeof core>>;
}

const global: { [key: symbol]: Common | undefined } = globalThis;
const common = (global[Symbol.for("plait.signals")] ??= {
  doNothing() {},
  cores: new Set(),
  listening: new Map(),
});
const { doNothing } = common;
common.cores.add(core);

/**
 * Calls `listener` when the signal comes, until `ignoreSignal` or for ever. Handlers of
 * `process.on` are called as before.
 *
 * @throws {SocketError} `EMFILE` when no descriptors are left
 */
export function listenToSignal(
  signal: SignalName,
  listener: SignalListener,
  forEver = false,
): void {
  openLine();
  const set = listeners.get(signal);
  if (set !== undefined) {
    set.add(listener);
    if (!forEver) return;
  }
  // With the first listener of `process.on` Bun installs its own handler in place of any other, and
  // after the last one it restores the default action. So a listener is added first, and the core's
  // handler comes after it.
  const hasListener = process.listeners(signal as NodeJS.Signals).includes(doNothing);
  if (Bun.isMainThread && !hasListener) process.on(signal, doNothing);
  const status = core.listenToSignal(numberOf(signal), forEver ? 1 : 0);
  if (status < 0) {
    if (Bun.isMainThread && !hasListener) process.off(signal, doNothing);
    throw new SocketError(codeOf(-status), { syscall: "signal" });
  }
  if (set === undefined) listeners.set(signal, new Set([listener]));
  const listening = common.listening.get(signal);
  if (listening === undefined) common.listening.set(signal, new Set([core]));
  else listening.add(core);
  if (forEver) kept.add(signal);
}

/** Stops calling `listener`. After the last listener of a signal, the signal does what it did before. */
export function ignoreSignal(signal: SignalName, listener: SignalListener): void {
  const set = listeners.get(signal);
  if (set === undefined) return;
  set.delete(listener);
  if (set.size > 0) return;
  listeners.delete(signal);
  letGo(signal);
}

function letGo(signal: SignalName): void {
  core.ignoreSignal(numberOf(signal));
  if (!Bun.isMainThread) return;
  const listening = common.listening.get(signal) ?? new Set();
  listening.delete(core);
  for (const other of common.cores) {
    // A copy that let go earlier could not take its handler away while this one stood above it.
    if (other !== core && !listening.has(other)) other.ignoreSignal(numberOf(signal));
  }
  if (listening.size > 0) return;
  process.off(signal, doNothing);
  // Bun removes its handler only if it is the installed one. It is not while other threads listen.
  if (process.listenerCount(signal) === 0) core.forgetPreviousHandler(numberOf(signal));
}

function numberOf(signal: SignalName): number {
  return (constants.signals as Record<string, number | undefined>)[signal] ?? 0;
}

/** The name of a signal, if it is allowed and this system has it. */
export function checkedSignalName<Name extends SignalName>(
  signal: unknown,
  what: string,
  allowed: readonly Name[],
): Name {
  if (typeof signal !== "string") throw typeMistake(`${what} is a signal's name`);
  const name = allowed.find((each) => each === signal);
  if (name !== undefined && numberOf(name) !== 0) return name;
  throw rangeMistake(`${what} is one of ${allowed.join(", ")}, not ${JSON.stringify(signal)}`);
}

/** The names of signals that a program can catch, each once. */
export function checkedSignals(signals: readonly unknown[]): SignalName[] {
  if (signals.length === 0) throw typeMistake("signals takes at least one signal's name");
  return [...new Set(signals.map((name) => checkedSignalName(name, "a signal", signalNames)))];
}
