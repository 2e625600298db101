/** A signal at which a live process prints its state to stderr. */

import { writeSync } from "node:fs";
import { environmentVariable } from "../core/environment.ts";
import { workerThreads } from "../core/threads.ts";
import { dump, stats } from "./observe.ts";
import { checkedSignalName, listenToSignal } from "./signal_line.ts";

const signals = ["SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGHUP", "SIGWINCH", "SIGINFO"] as const;

/** Signals that neither Bun nor the kernel uses; SIGINFO where the system has it. */
export type DumpSignal = (typeof signals)[number];

/** The signals that this thread prints at, in the order of installation. */
const installed: DumpSignal[] = [];
let threadName: string | undefined;
let passOn: ((signal: DumpSignal) => void) | undefined;

const print = (): void => writeAll(describeThread());

/**
 * Prints `dump()` and `stats()` of this thread to stderr whenever a signal comes, while Bun's loop
 * runs and under `block`. A thread that computes without a wait prints when it waits again, once
 * for all signals that have come meanwhile. Each thread that calls this prints its own state, and
 * so do the workers of every `cluster` that it has. The environment's `PLAIT_DUMP_SIGNAL=SIGUSR1`
 * calls it in every thread that loads plait.
 *
 * It does not keep the process alive. Handlers of `process.on` for the same signal are called as
 * before. The signal's default action, which for most is to end the process, no longer happens. A
 * second call for the same signal does nothing, and there is no way to undo the first. If only a
 * Worker has called it, and the main thread then adds its first listener of `process.on` for the
 * signal, that listener replaces it.
 *
 * @throws {TypeError} {RangeError} for a value that is not one of these signals
 * @throws {SocketError} `EMFILE` when no descriptors are left
 */
export function installDumpSignal(signal: DumpSignal = "SIGUSR1"): void {
  const name = checkedSignalName(signal, "signal", signals);
  if (installed.includes(name)) return;
  listenToSignal(name, print, true);
  installed.push(name);
  passOn?.(name);
}

/** The signals that this thread prints at. */
export function dumpSignals(): readonly DumpSignal[] {
  return installed;
}

/**
 * Sets a function that is called for each signal that is installed later, so that workers have it too.
 */
export function onDumpSignal(pass: (signal: DumpSignal) => void): void {
  passOn = pass;
}

/** Sets the thread's name in its dumps. */
export function nameThread(name: string): void {
  threadName = name;
}

function describeThread(): string {
  threadName ??= Bun.isMainThread ? "the main thread" : `thread ${workerThreads().threadId}`;
  const counters = Object.entries(stats()).map(([name, value]) => `${name} ${value}`);
  const lines = [
    `plait: ${threadName} of process ${process.pid}, ${new Date().toISOString()}`,
    `  ${counters.join(", ")}`,
  ];
  const fibers = dump();
  if (fibers !== "") lines.push(...fibers.split("\n").map((line) => `  ${line}`));
  return `${lines.join("\n")}\n`;
}

/**
 * How often a write to a full pipe is attempted again, each time after 5 ms, before the rest is given up.
 */
const mostAttempts = 200;

/** Writes to stderr synchronously, since Bun's own streams rest under `block`. */
function writeAll(text: string): void {
  const bytes = Buffer.from(text);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let attempts = 0;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(2, bytes, done);
      attempts = 0;
    } catch (error) {
      // Without a reader, or with a closed stderr, the text is lost.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || ++attempts > mostAttempts) return;
      Atomics.wait(pause, 0, 0, 5);
    }
  }
}

const wanted = environmentVariable("PLAIT_DUMP_SIGNAL");
if (wanted) installDumpSignal(checkedSignalName(wanted, "PLAIT_DUMP_SIGNAL", signals));
