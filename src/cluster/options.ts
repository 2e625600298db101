/** The options of a cluster, and what of them a Worker can have. */

import { isAbsolute } from "node:path";
import { checkedNames } from "../tls/checks.ts";
import { serverContext } from "../tls/context.ts";
import { materialBytes, materialList } from "../tls/material.ts";
import { optionNames, TlsContext, type TlsOptions } from "../tls/options.ts";
import {
  checkedInteger,
  checkedPort,
  checkFunction,
  checkLimit,
  joinedOptions,
  ownOptions,
  typeMistake,
} from "../values/checks.ts";

export interface ClusterOptions {
  /**
   * The module that every worker loads: a `file:` URL or an absolute path. Its default export is the
   * handler, which serves a connection as that of `listen` does. It may export a function `setup`, which
   * runs before the worker listens, is given a `WorkerContext`, and may return another one, which runs
   * when the worker has drained, for a second or two if that was by the deadline of `close`.
   *
   * `new URL("./handler.js", import.meta.url)` finds handler.ts from the source, and what `bun build`
   * has made of it, compiled or not, if handler.ts is named there as an entry point of its own. In a
   * bundle it must load plait itself: `import "plait"` does if it needs nothing else of it.
   */
  module: string | URL;
  /** How many; as many as there are processors if not given. */
  workers?: number | undefined;
  /** The address or name to listen at, as for `listen`. */
  host?: string | undefined;
  /** 0 picks a free one, the same for all workers, which `Cluster.port` tells. */
  port: number;
  /** Of each worker: connections that the kernel completes ahead of `accept`. */
  backlog?: number | undefined;
  /** Of each worker: connections at a time. */
  maxConnections?: number | undefined;
  /** Of each worker: TLS handshakes at a time, as for `listen`. */
  maxHandshakes?: number | undefined;
  /**
   * As for `listen`, with what can be cloned: neither functions nor a `TlsContext`. Files are read here,
   * once, and not again for a worker that is restarted; `setTls` renews.
   */
  tls?: TlsOptions | undefined;
  /** Given to each worker's `setup`: anything that structuredClone takes. */
  data?: unknown;
  /**
   * Told, in this thread, of what `onError` of `listen` would be told of in a worker, and of each
   * worker that dies, by a `WorkerError`. Without it a handler that throws anything but the weather of
   * the network is an unhandled rejection and ends its worker, and deaths are printed to stderr.
   */
  onError?: ((error: unknown, worker: number) => void) | undefined;
  /** Told when a worker listens again, and how often it was restarted so far. */
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

/** Checks everything but the host, which `listen` does, and makes it fit for a Worker. */
export function checkedCluster(given: ClusterOptions): CheckedOptions {
  const options = ownOptions(given, clusterOptions, "cluster");
  checkFunction(options.onError, "onError");
  checkFunction(options.onRestart, "onRestart");
  checkedPort(options.port);
  checkLimit(options.maxConnections, "maxConnections");
  checkLimit(options.maxHandshakes, "maxHandshakes");
  const workers = options.workers ?? navigator.hardwareConcurrency;
  return joinedOptions<ClusterOptions>(options, {
    module: checkedModule(options.module),
    workers: checkedInteger(workers, "workers", 1, mostWorkers),
    data: checkedData(options.data),
    tls: options.tls === undefined ? undefined : checkedTls(options.tls, "tls"),
  }) as CheckedOptions;
}

function checkedModule(module: unknown): string {
  if (module instanceof URL && module.protocol === "file:") return module.href;
  if (typeof module === "string") {
    if (module.startsWith("file:")) return Bun.pathToFileURL(Bun.fileURLToPath(module)).href;
    if (isAbsolute(module)) return Bun.pathToFileURL(module).href;
  }
  throw typeMistake(
    `module is a file: URL or an absolute path, such as new URL("./handler.js", import.meta.url)`,
  );
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

const materials: ReadonlySet<string> = new Set(["cert", "key", "pfx", "ca", "crl"]);

/**
 * Options of TLS that can be cloned, the files read.
 *
 * @throws {TypeError} {RangeError} {TlsError} for those that cannot be, and for all that a listener refuses
 */
export function checkedTls(options: TlsOptions, what: string): TlsOptions {
  const cloneable = cloneableTls(options, what);
  serverContext(cloneable, what);
  return cloneable;
}

function cloneableTls(options: unknown, what: string): TlsOptions {
  if (options instanceof TlsContext) {
    throw typeMistake(
      `${what} is a TlsContext, which belongs to its thread: give the options instead`,
    );
  }
  const own = ownOptions(options as TlsOptions, optionNames.server, what);
  const copy: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(own)) {
    const place = `${what}.${name}`;
    if (typeof value === "function") {
      throw typeMistake(`${place} is a function, which cannot be cloned to a Worker`);
    }
    if (name === "context") {
      throw typeMistake(`${place} belongs to its thread: give the options instead`);
    }
    if (materials.has(name)) copy[name] = readMaterial(value, name);
    else if (name === "sni") copy[name] = cloneableNames(value, place);
    else copy[name] = Array.isArray(value) ? [...value] : value;
  }
  return copy as TlsOptions;
}

function cloneableNames(sni: unknown, place: string): Record<string, TlsOptions> {
  const table: Record<string, TlsOptions> = Object.create(null);
  for (const { name, value } of checkedNames(sni)) {
    table[name] = cloneableTls(value, `${place}["${name}"]`);
  }
  return table;
}

function readMaterial(value: unknown, name: string): Uint8Array | Uint8Array[] {
  return Array.isArray(value) ? materialList(value, name) : materialBytes(value, name);
}
