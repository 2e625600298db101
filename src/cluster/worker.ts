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
import { dump, stats } from "../process/observe.ts";
import { sleep } from "../runtime/sleep.ts";
import { checkFunction, typeMistake } from "../values/checks.ts";
import { type Deadline, hasPassed } from "../values/deadlines.ts";
import {
  type Assignment,
  assignmentKey,
  errorOf,
  type Question,
  type Report,
  type Request,
  reportOf,
} from "./messages.ts";

/** What the `setup` of a cluster's module gets. */
export interface WorkerContext {
  /** The number of the worker, from 1 on. A restarted worker keeps its number. */
  readonly worker: number;
  readonly workers: number;
  /** The option `data` of the cluster. */
  readonly data: unknown;
}

/** The exports of a cluster's module. */
export interface ClusterModule {
  default: Handler;
  setup?: (context: WorkerContext) => unknown;
}

const assignment = foundAssignment();

/** Whether this thread is a cluster's worker. */
export const isClusterWorker = assignment !== undefined;

function foundAssignment(): Assignment | undefined {
  if (Bun.isMainThread) return undefined;
  const { workerData } = workerThreads();
  if (typeof workerData !== "object" || workerData === null) return undefined;
  if (!Object.hasOwn(workerData, assignmentKey)) return undefined;
  return (workerData as { [assignmentKey]: Assignment })[assignmentKey];
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
    const cleanUp = await setup?.({ worker, workers, data });
    if (cleanUp !== undefined) checkFunction(cleanUp, "what setup returns");
    const listener = await listen(
      { ...given.listen, reusePort: true, onError: given.forwardsErrors ? onError : undefined },
      handler,
    );
    const served = new Served(listener, cleanUp as (() => unknown) | undefined, onError);
    port.on("message", (request: Request) => {
      if (request.what === "dumpSignal") install(request.signal);
      else void served.answer(request).then(tell);
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

class Served {
  readonly #listener: Listener;
  readonly #onError: (error: unknown) => void;
  readonly #cleanUp: (() => unknown) | undefined;
  /** The clean-up once it has begun. Several calls of `close` share it. */
  #cleaning: Promise<void> | undefined;

  constructor(
    listener: Listener,
    cleanUp: (() => unknown) | undefined,
    onError: (error: unknown) => void,
  ) {
    this.#listener = listener;
    this.#cleanUp = cleanUp;
    this.#onError = onError;
  }

  async answer(request: Question & { id: number }): Promise<Report> {
    const { id } = request;
    try {
      return { kind: "answer", id, value: await this.#do(request) };
    } catch (error) {
      return { kind: "refusal", id, error: reportOf(error) };
    }
  }

  #do(request: Question): unknown {
    switch (request.what) {
      case "stats":
        return stats();
      case "dump":
        return dump();
      case "setTls":
        return this.#listener.setTls(request.tls);
      case "close":
        return this.#close(request.deadline, request.cancel && errorOf(request.cancel));
    }
  }

  async #close(deadline: Deadline, cancel: unknown): Promise<void> {
    await this.#listener.close({ deadline, cancel });
    // The process may end after this, and the kernel would drop what closed sockets have not sent yet.
    while (stats().lingering > 0 && !hasPassed(deadline)) {
      await sleep(lingerInterval);
    }
    this.#cleaning ??= this.#clean();
    await this.#cleaning;
  }

  async #clean(): Promise<void> {
    try {
      await this.#cleanUp?.();
    } catch (error) {
      this.#onError(error);
    }
  }
}

if (assignment !== undefined) void serveAssignment(assignment);
