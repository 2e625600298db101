/**
 * A worker of a cluster, as its own thread has it. To import this file starts the worker, in a thread
 * whose `workerData` has an assignment, and does nothing in any other: see the end of the file.
 *
 * From the source, this file is the script of the thread (`workerScript` in member.ts). A bundle has no
 * file of this name: there the handler's module is the script, and imports this file with `import "plait"`.
 */

import { workerThreads } from "../core/threads.ts";
import { type Handler, type Listener, listen } from "../net/listener.ts";
import { type DumpSignal, installDumpSignal, nameThread } from "../process/dump_signal.ts";
import { errorOf, reportOf } from "../process/error_reports.ts";
import { dump, stats } from "../process/observe.ts";
import { sleep } from "../runtime/sleep.ts";
import { checkFunction, typeMistake } from "../values/checks.ts";
import { hasPassed } from "../values/deadlines.ts";
import { assignment } from "./assignment.ts";
import type { Assignment, Question, Report, Request } from "./messages.ts";

/** What the `setup` of a cluster's module gets. */
export interface WorkerContext {
  /** The number of the worker, from 1 on. A restarted worker keeps its number. */
  readonly worker: number;
  /** How many workers the cluster has. */
  readonly workers: number;
  /** The option `data` of the cluster. */
  readonly data: unknown;
}

/** The exports of a cluster's module. */
export interface ClusterModule {
  /** Serves a connection, as the handler of `listen` does. */
  default: Handler;
  /** Called in each worker before it listens. It may return a function that cleans up. */
  setup?: (context: WorkerContext) => unknown;
}

/** Serves as the thread's assignment says. The first instance of plait in the thread does it. */
async function serveAssignment(given: Assignment): Promise<void> {
  if (given.isTaken) return;
  given.isTaken = true;
  const { port, worker, workers, data } = given;
  const tell = (report: Report): void => port.postMessage(report);
  nameThread(`worker ${worker} (thread ${workerThreads().threadId})`);
  const onError = (error: unknown): void => tell({ kind: "error", error: reportOf(error) });
  const install = (signal: DumpSignal): void => {
    try {
      installDumpSignal(signal);
    } catch (error) {
      // A worker serves without a dump signal as well.
      onError(error);
    }
  };
  given.dumpSignals.forEach(install);
  try {
    const { default: handler, setup } = await loadModule(given.module);
    const cleanUp = (await setup?.({ worker, workers, data })) as (() => unknown) | undefined;
    checkFunction(cleanUp, "what setup returns");
    const clean = async (): Promise<void> => {
      try {
        await cleanUp?.();
      } catch (error) {
        onError(error);
      }
    };
    // Several calls of `close` share the clean-up.
    let cleaning: Promise<void> | undefined;
    const cleaned = (): Promise<void> => (cleaning ??= clean());
    const listener = await listen(
      { ...given.listen, reusePort: true, onError: given.forwardsErrors ? onError : undefined },
      handler,
    );
    port.on("message", (request: Request) => {
      if (request.what === "dumpSignal") install(request.signal);
      else void reportOn(request, answer(request, listener, cleaned)).then(tell);
    });
    tell({ kind: "listening" });
  } catch (error) {
    tell({ kind: "failed", error: reportOf(error) });
  }
}

async function loadModule(path: string | undefined): Promise<ClusterModule> {
  // If the module is the script of this thread, it is still being loaded, and this waits for the
  // end of that.
  const loaded = (await import(path ?? Bun.main)) as Partial<ClusterModule>;
  if (typeof loaded.default !== "function") {
    throw typeMistake(
      `the default export of ${path ?? Bun.main} is no function that handles a socket`,
    );
  }
  checkFunction(loaded.setup, "setup");
  return loaded as ClusterModule;
}

/** Milliseconds between two checks whether closed sockets have delivered their last bytes. */
const lingerInterval = 10;

async function answer(
  question: Question,
  listener: Listener,
  cleaned: () => Promise<void>,
): Promise<unknown> {
  switch (question.what) {
    case "stats":
      return stats();
    case "dump":
      return dump();
    case "setTls":
      return listener.setTls(question.tls);
    case "close": {
      const { deadline, cancel } = question;
      await listener.close({ deadline, cancel: cancel && errorOf(cancel) });
      // The process may end after this, and the kernel would drop what closed sockets have not sent yet.
      while (stats().lingering > 0 && !hasPassed(deadline)) {
        await sleep(lingerInterval);
      }
      return await cleaned();
    }
  }
}

/** The report of a question's outcome. */
async function reportOn({ id }: { id: number }, outcome: Promise<unknown>): Promise<Report> {
  try {
    return { kind: "answer", id, value: await outcome };
  } catch (error) {
    return { kind: "refusal", id, error: reportOf(error) };
  }
}

if (assignment !== undefined) void serveAssignment(assignment);
