/**
 * How this thread hears of the process's signals: the core's handler, wherever it runs, sends a byte to
 * every thread that listens. So they come under both drivers.
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

/** Those that a program can do something about; SIGINFO where the system has it. */
export type SignalName = (typeof signalNames)[number];

export interface SignalListener {
  /** The signal has come, once or more often. Must not throw. */
  signalled(signal: SignalName): void;
}

const listeners = new Map<SignalName, Set<SignalListener>>();
/** Those that are listened to for ever. */
const kept = new Set<SignalName>();

/** The wait for what comes next. It wakes no fiber, and is shown nowhere. */
class SignalLine implements Sleeper {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  start(): void {
    const waiter = this.#park();
    if (waiter < 0) throw new SocketError(codeOf(-waiter), { syscall: "signal" });
    countOwnDescriptor();
  }

  wake(): void {
    const signals = core.takeSignals();
    this.#park();
    for (const [name, told] of listeners) {
      if ((signals >> (constants.signals[name as NodeJS.Signals] - 1)) & 1) {
        for (const listener of [...told]) listener.signalled(name);
      }
    }
  }

  #park(): number {
    const waiter = core.watch(this.#descriptor, Direction.readable, 0);
    if (waiter >= 0) enlist(this, waiter);
    attend();
    return waiter;
  }
}

let line: SignalLine | undefined;
let isRetired = false;

onRetired(() => {
  isRetired = true;
  for (const signal of listeners.keys()) if (!kept.has(signal)) letGo(signal);
});

function theLine(): SignalLine {
  if (line === undefined) {
    const descriptor = core.signalLine();
    if (descriptor < 0) throw new SocketError(codeOf(-descriptor), { syscall: "signal" });
    const started = new SignalLine(descriptor);
    started.start();
    line = started;
  }
  return line;
}

/** One and the same for every instance of this module that `bun --hot` loads. */
const shared: { [key: symbol]: (() => void) | undefined } = globalThis;
const doNothing = (shared[Symbol.for("plait.signal")] ??= () => {});

/**
 * Tells a listener of a signal, from now on until `ignoreSignal`, or for ever. Handlers of `process.on`
 * are called as before.
 *
 * @throws {SocketError} `EMFILE` when no descriptors are left
 */
export function listenToSignal(
  signal: SignalName,
  listener: SignalListener,
  forEver = false,
): void {
  theLine();
  const told = listeners.get(signal);
  if (told !== undefined) {
    told.add(listener);
    if (!forEver) return;
  }
  // Bun puts its own handler in the place of any other with the first listener, and the default action
  // with the end of the last. So there is a listener from now on, and the core's handler comes after it.
  const hasListener = process.listeners(signal as NodeJS.Signals).includes(doNothing);
  if (Bun.isMainThread && !hasListener) process.on(signal, doNothing);
  const status = core.listenToSignal(numberOf(signal), forEver ? 1 : 0);
  if (status < 0) {
    if (Bun.isMainThread && !hasListener) process.off(signal, doNothing);
    throw new SocketError(codeOf(-status), { syscall: "signal" });
  }
  if (told === undefined) listeners.set(signal, new Set([listener]));
  if (forEver) kept.add(signal);
}

/** With the last listener of a signal it does what it did before. */
export function ignoreSignal(signal: SignalName, listener: SignalListener): void {
  const told = listeners.get(signal);
  if (isRetired || told === undefined) return;
  told.delete(listener);
  if (told.size > 0) return;
  listeners.delete(signal);
  letGo(signal);
}

function letGo(signal: SignalName): void {
  core.ignoreSignal(numberOf(signal));
  if (!Bun.isMainThread) return;
  process.off(signal, doNothing);
  // Bun takes its handler away if it is in place, which it is not while other threads listen.
  if (process.listenerCount(signal) === 0) core.forgetPreviousHandler(numberOf(signal));
}

function numberOf(signal: SignalName): number {
  return (constants.signals as Record<string, number | undefined>)[signal] ?? 0;
}

/** A signal's name, one of those that are allowed and that this system has. */
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

/** Any that a program can do something about. */
export function checkedSignals(signals: readonly unknown[]): SignalName[] {
  if (signals.length === 0) throw typeMistake("signals takes at least one signal's name");
  return [...new Set(signals.map((name) => checkedSignalName(name, "a signal", signalNames)))];
}
