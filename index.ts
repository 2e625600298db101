/**
 * plait: sockets in straight-line style. Callers suspend with `await` in one scheduler, so that code
 * reads like blocking code while thousands of connections share a thread.
 */

export {
  BufferedReader,
  type BufferedReaderOptions,
  type Newline,
  type PrefixedOptions,
} from "./src/buffered/reader.ts";
export { BufferedWriter, type BufferedWriterOptions } from "./src/buffered/writer.ts";
export type { Cluster } from "./src/cluster/cluster.ts";
export { cluster } from "./src/cluster/entry.ts";
export { WorkerError } from "./src/cluster/errors.ts";
export type { ClusterOptions } from "./src/cluster/options.ts";
export type { ClusterModule, WorkerContext } from "./src/cluster/worker.ts";
export type { WriteData } from "./src/net/buffers.ts";
export { type ConnectOptions, connect } from "./src/net/connect.ts";
export { waitReadable, waitWritable } from "./src/net/descriptors.ts";
export type { KeepAliveOptions } from "./src/net/keep_alive.ts";
export {
  type CloseOptions,
  type Handler,
  type Listener,
  type ListenOptions,
  listen,
} from "./src/net/listener.ts";
export { type ResolveOptions, resolve } from "./src/net/names.ts";
export { type PipedBytes, type PipeOptions, pipe } from "./src/net/pipe.ts";
export type { SendFileOptions } from "./src/net/sendfile.ts";
export { Socket } from "./src/net/socket.ts";
export { type DumpSignal, installDumpSignal } from "./src/process/dump_signal.ts";
export { dump, type Stats, stats } from "./src/process/observe.ts";
export type { SignalName } from "./src/process/signal_line.ts";
export { type Signals, signals } from "./src/process/signals.ts";
export { type Versions, versions } from "./src/process/versions.ts";
export { block } from "./src/runtime/block.ts";
export { deadline, now } from "./src/runtime/clock.ts";
export {
  current,
  type Fiber,
  type FiberState,
  type SpawnOptions,
  spawn,
} from "./src/runtime/fiber.ts";
export { park, unpark } from "./src/runtime/park.ts";
export { all, any, type GatherOptions, race } from "./src/runtime/race.ts";
export { type Scope, type ScopeOptions, scope, shield } from "./src/runtime/scope.ts";
export { sleep, sleepUntil, yieldNow } from "./src/runtime/sleep.ts";
export { waitFor } from "./src/runtime/wait_for.ts";
export { Channel } from "./src/sync/channel.ts";
export { Event } from "./src/sync/event.ts";
export { Mutex, type MutexLock } from "./src/sync/mutex.ts";
export { Semaphore, type SemaphorePermit } from "./src/sync/semaphore.ts";
export { setTlsDefaults, tlsContext } from "./src/tls/context.ts";
export { TlsError } from "./src/tls/errors.ts";
export { TlsInfo } from "./src/tls/info.ts";
export type { TlsMaterial } from "./src/tls/material.ts";
export {
  type ServerNameChoice,
  TlsContext,
  type TlsDefaults,
  type TlsOptions,
  type TlsVersion,
} from "./src/tls/options.ts";
export type { StartTlsOptions } from "./src/tls/start.ts";
export {
  CancelledError,
  ChannelClosedError,
  MessageTooLongError,
  PipeError,
  type PipeWay,
  SocketError,
  TimeoutError,
  UnexpectedEndError,
} from "./src/values/errors.ts";
