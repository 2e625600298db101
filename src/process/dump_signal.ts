/** A signal at which a live process tells on stderr what it does. */

import { writeSync } from "node:fs";
import { environmentVariable } from "../core/environment.ts";
import { workerThreads } from "../core/threads.ts";
import { dump, stats } from "./observe.ts";
import { checkedSignalName, listenToSignal, type SignalListener } from "./signal_line.ts";

const signals = ["SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGHUP", "SIGWINCH", "SIGINFO"] as const;

/** Those that neither Bun nor the kernel has another use for; SIGINFO where the system has it. */
export type DumpSignal = (typeof signals)[number];

/** What this thread listens for, in the order of installation. */
const installed: DumpSignal[] = [];
let threadName: string | undefined;
let passOn: ((signal: DumpSignal) => void) | undefined;

const printing: SignalListener = {
  signalled: () => writeAll(describeThread()),
};

/**
 * Has a signal print `dump()` and `stats()` of this thread to stderr, whenever it comes: while Bun's
 * loop runs, and under `block`. A thread that computes without a wait prints when it is done, once for
 * all that have come meanwhile. Each thread that calls this prints its own, as do the workers of every
 * `cluster` of a thread that does. The environment's `PLAIT_DUMP_SIGNAL=SIGUSR1` is a call in every
 * thread that loads plait.
 *
 * It keeps nothing alive. Handlers of `process.on` for the same signal are called as before. What a signal
 * does by default, which is to end the process for most, it no longer does. To call it twice is to call
 * it once; it cannot be taken back. Where only a Worker calls it, a first listener of `process.on` that the
 * main thread adds later takes its place.
 *
 * @throws {TypeError} {RangeError} for what is no signal that can be had for this
 * @throws {SocketError} `EMFILE` when no descriptors are left
 */
export function installDumpSignal(signal: DumpSignal = "SIGUSR1"): void {
  const name = checkedSignalName(signal, "signal", signals);
  if (installed.includes(name)) return;
  listenToSignal(name, printing, true);
  installed.push(name);
  passOn?.(name);
}

/** What this thread listens for. */
export function dumpSignals(): readonly DumpSignal[] {
  return installed;
}

/** Sets who is told of signals that are installed later: workers have them as well. */
export function onDumpSignal(pass: (signal: DumpSignal) => void): void {
  passOn = pass;
}

/** Says what this thread is called in its dumps. */
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

/** Attempts at a pipe that is full, 5 ms apart, before the rest is given up. */
const mostAttempts = 200;

/** Writes to stderr at once: under `block`, Bun's own streams rest. */
function writeAll(text: string): void {
  const bytes = Buffer.from(text);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let attempts = 0;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(2, bytes, done);
      attempts = 0;
    } catch (error) {
      // Whoever has closed stderr does not want to hear it.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || ++attempts > mostAttempts) return;
      Atomics.wait(pause, 0, 0, 5);
    }
  }
}

const wanted = environmentVariable("PLAIT_DUMP_SIGNAL");
if (wanted) installDumpSignal(checkedSignalName(wanted, "PLAIT_DUMP_SIGNAL", signals));
