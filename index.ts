/**
 * plait: sockets in straight-line style. Callers suspend with `await` in one scheduler, so that code
 * reads like blocking code while thousands of connections share a thread.
 */

export { block } from "./src/block.ts";
export type { WriteData } from "./src/buffers.ts";
export { deadline, now } from "./src/clock.ts";
export { type Cluster, cluster } from "./src/cluster/cluster.ts";
export { WorkerError } from "./src/cluster/member.ts";
export type { ClusterOptions } from "./src/cluster/options.ts";
export type { ClusterModule, WorkerContext } from "./src/cluster/worker.ts";
export { type ConnectOptions, connect } from "./src/connect.ts";
export { waitReadable, waitWritable } from "./src/descriptors.ts";
export { type DumpSignal, installDumpSignal } from "./src/dump_signal.ts";
export { CancelledError, ChannelClosedError, SocketError, TimeoutError } from "./src/errors.ts";
export { current, type Fiber, type FiberState, type SpawnOptions, spawn } from "./src/fiber.ts";
export type { SendFileOptions } from "./src/files.ts";
export type { KeepAliveOptions } from "./src/keep_alive.ts";
export {
  type CloseOptions,
  type Handler,
  type Listener,
  type ListenOptions,
  listen,
} from "./src/listener.ts";
export { type ResolveOptions, resolve } from "./src/names.ts";
export { dump, type Stats, stats } from "./src/observe.ts";
export { park, unpark } from "./src/park.ts";
export { all, any, type GatherOptions, race } from "./src/race.ts";
export { type Scope, type ScopeOptions, scope, shield } from "./src/scope.ts";
export type { SignalName } from "./src/signal_line.ts";
export { type Signals, signals } from "./src/signals.ts";
export { sleep, sleepUntil, yieldNow } from "./src/sleep.ts";
export { Socket } from "./src/socket.ts";
export { Channel } from "./src/sync/channel.ts";
export { Event } from "./src/sync/event.ts";
export { Mutex, type MutexLock } from "./src/sync/mutex.ts";
export { Semaphore, type SemaphorePermit } from "./src/sync/semaphore.ts";
export { setTlsDefaults, TlsContext, tlsContext } from "./src/tls/context.ts";
export { TlsError } from "./src/tls/errors.ts";
export { TlsInfo } from "./src/tls/info.ts";
export type { TlsMaterial } from "./src/tls/material.ts";
export type { ServerNameChoice, TlsDefaults, TlsOptions, TlsVersion } from "./src/tls/options.ts";
export type { StartTlsOptions } from "./src/tls/start.ts";
export { type Versions, versions } from "./src/versions.ts";
export { waitFor } from "./src/wait_for.ts";
