/** The options of a cluster, and the part of them that is cloned to its workers. */

import { cloneableTls } from "../tls/cloneable.ts";
import { serverContext } from "../tls/context.ts";
import type { TlsOptions } from "../tls/options.ts";
import {
  checkedInteger,
  checkedPort,
  checkFunction,
  checkLimit,
  joinedOptions,
  ownOptions,
  typeMistake,
} from "../values/checks.ts";
import { checkedModule } from "../values/modules.ts";

/** Options of `cluster`. */
export interface ClusterOptions {
  /**
   * The module that every worker loads: a `file:` URL or an absolute path. Its default export is the
   * handler, which serves a connection as that of `listen` does. It may export a function `setup`, which
   * gets a `WorkerContext` and runs before the worker listens. `setup` may return a clean-up function,
   * which runs when the worker has drained; after the deadline of `close` it has a second or two.
   *
   * `new URL("./handler.js", import.meta.url)` finds handler.ts when the program runs from source, and in
   * a bundle, compiled or not, the output for handler.ts if that was an entry point of its own. In a
   * bundle the module itself must load plait: `import "plait"` does if it uses nothing of it.
   */
  module: string | URL;
  /** How many workers; as many as there are processors if not given. */
  workers?: number | undefined;
  /** The address or name to listen at, as for `listen`. */
  host?: string | undefined;
  /** 0 picks a free port, the same for all workers. `Cluster.port` is its number. */
  port: number;
  /** Connections that the kernel completes ahead of `accept`, for each worker. */
  backlog?: number | undefined;
  /** Connections at a time, for each worker. */
  maxConnections?: number | undefined;
  /** TLS handshakes at a time, for each worker, as for `listen`. */
  maxHandshakes?: number | undefined;
  /**
   * As for `listen`, except for functions and a `TlsContext`, which cannot be cloned. Files are
   * read once, by `cluster`, and not again for a worker that is restarted; `setTls` replaces them.
   */
  tls?: TlsOptions | undefined;
  /** Passed to each worker's `setup`: any value that structuredClone takes. */
  data?: unknown;
  /**
   * Called in this thread for every error that `onError` of `listen` gets in a worker, and with a
   * `WorkerError` for each worker that dies. Without it, an exception of a handler is an unhandled
   * rejection and ends its worker, unless it is an expected network error (see `listen`), and
   * deaths are printed to stderr.
   */
  onError?: ((error: unknown, worker: number) => void) | undefined;
  /** Called when a restarted worker listens, with the number of its restarts so far. */
  onRestart?: ((worker: number, restarts: number) => void) | undefined;
}

const clusterOptions: ReadonlySet<string> = new Set([
  "module",
  "workers",
  "host",
  "port",
  "backlog",
  "maxConnections",
  "maxHandshakes",
  "tls",
  "data",
  "onError",
  "onRestart",
]);

/** Far more than there are processors. */
const mostWorkers = 512;

export interface CheckedOptions extends ClusterOptions {
  /** The module as a `file:` URL. */
  module: string;
  workers: number;
}

/** Checks everything but the host, which `listen` checks, and makes the options fit for cloning. */
export function checkedCluster(given: ClusterOptions): CheckedOptions {
  const options = ownOptions(given, clusterOptions, "cluster");
  checkFunction(options.onError, "onError");
  checkFunction(options.onRestart, "onRestart");
  checkedPort(options.port);
  checkLimit(options.maxConnections, "maxConnections");
  checkLimit(options.maxHandshakes, "maxHandshakes");
  const workers = options.workers ?? navigator.hardwareConcurrency;
  return joinedOptions<ClusterOptions>(options, {
    module: checkedModule(options.module, "module", "handler"),
    workers: checkedInteger(workers, "workers", 1, mostWorkers),
    data: checkedData(options.data),
    tls: options.tls === undefined ? undefined : checkedTls(options.tls, "tls"),
  }) as CheckedOptions;
}

function checkedData(data: unknown): unknown {
  try {
    return structuredClone(data);
  } catch (cause) {
    throw Object.assign(typeMistake(`data cannot be cloned to a Worker: ${String(cause)}`), {
      cause,
    });
  }
}

/**
 * Options of TLS that can be cloned, with the contents of files in place of their paths.
 *
 * @throws {TypeError} {RangeError} {TlsError} for options that cannot be cloned, or that a listener
 *   refuses
 */
export function checkedTls(options: TlsOptions, what: string): TlsOptions {
  const cloneable = cloneableTls(options, "server", what);
  serverContext(cloneable, what);
  return cloneable;
}
