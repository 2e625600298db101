/** Every kind of wait of plait, each in a situation in which it cannot end by itself. */

import { truncateSync, writeFileSync } from "node:fs";
import {
  BufferedReader,
  BufferedWriter,
  Channel,
  connect,
  Event,
  type Listener,
  listen,
  Mutex,
  now,
  park,
  Semaphore,
  scope,
  sleepUntil,
  spawn,
  waitReadable,
  waitWritable,
} from "../../index.ts";
import { DescriptorPair, fill } from "./foreign_descriptors.ts";
import { socketPair } from "./socket_pair.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** A situation, with the call that waits in it. */
export interface Situation extends AsyncDisposable {
  /** Waits: for ever, or until the deadline. */
  wait(deadline?: number): Promise<unknown>;
}

export interface WaitKind {
  readonly name: string;
  /** The `syscall` of its errors. */
  readonly syscall: string;
  /** Whether a deadline ends it with an error. */
  readonly failsByDeadline: boolean;
  prepare(): Promise<Situation>;
}

/** More than any socket buffers hold. */
const bulk = new Uint8Array(64 * 1024 * 1024);

function situation(wait: Situation["wait"], ...owned: (AsyncDisposable | Disposable)[]): Situation {
  const stack = new AsyncDisposableStack();
  for (const resource of owned) stack.use(resource);
  return { wait, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function kind(
  name: string,
  syscall: string,
  prepare: () => Situation | Promise<Situation>,
  failsByDeadline = true,
): WaitKind {
  return { name, syscall, failsByDeadline, prepare: async () => prepare() };
}

/** A listener whose queue is full, so that the kernel answers no further attempt to connect. */
export class FullListener implements AsyncDisposable {
  readonly port: number;
  readonly #listener: Listener;
  readonly #stack: AsyncDisposableStack;

  private constructor(listener: Listener, port: number, stack: AsyncDisposableStack) {
    this.#listener = listener;
    this.port = port;
    this.#stack = stack;
  }

  static async open(host = "127.0.0.1", at = 0): Promise<FullListener> {
    const stack = new AsyncDisposableStack();
    const listener = stack.use(await listen({ host, port: at, backlog: 1 }));
    const port = listener.port!;
    // Linux queues one more than the backlog.
    for (let count = 0; count < 2; count++) stack.use(await connect({ host, port }));
    return new FullListener(listener, port, stack);
  }

  /** Takes a connection off the queue: then the kernel answers the next attempt. */
  async makeRoom(): Promise<void> {
    this.#stack.use(await this.#listener.accept());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

export const waitKinds: readonly WaitKind[] = [
  kind("read", "read", async () => {
    const pair = await socketPair();
    return situation((deadline) => pair.client.read(new Uint8Array(16), deadline), pair);
  }),
  kind("next", "read", async () => {
    const pair = await socketPair();
    return situation((deadline) => pair.client.next(deadline), pair);
  }),
  kind("BufferedReader.readLine", "read", async () => {
    const pair = await socketPair();
    await pair.server.write("a part of a line");
    const reader = new BufferedReader(pair.client);
    return situation((deadline) => reader.readLine(deadline), pair);
  }),
  kind("BufferedReader.readLine behind another", "read", async () => {
    const pair = await socketPair();
    const reader = new BufferedReader(pair.client);
    const first = spawn(() => reader.readLine());
    return situation((deadline) => reader.readLine(deadline), pair, first);
  }),
  kind("BufferedWriter.flush behind a write", "write", async () => {
    const pair = await socketPair();
    const first = spawn(() => pair.client.write(bulk));
    const wait = (deadline?: number): Promise<void> => {
      // A writer's error stays, so each flush has a writer of its own.
      const writer = new BufferedWriter(pair.client);
      writer.write("text");
      return writer.flush(deadline);
    };
    return situation(wait, pair, first);
  }),
  kind("write", "write", async () => {
    const pair = await socketPair();
    return situation((deadline) => pair.client.write(bulk, deadline), pair);
  }),
  kind("write of several buffers", "write", async () => {
    const pair = await socketPair();
    return situation((deadline) => pair.client.write(["head", bulk], deadline), pair);
  }),
  kind("sendFile", "sendfile", async () => {
    const pair = await socketPair();
    const folder = new TemporaryFolder();
    const path = folder.file("hole");
    writeFileSync(path, "");
    truncateSync(path, bulk.byteLength);
    return situation((deadline) => pair.client.sendFile(path, { deadline }), pair, folder);
  }),
  kind("shutdown behind a write", "shutdown", async () => {
    const pair = await socketPair();
    const writer = spawn(() => pair.client.write(bulk));
    return situation((deadline) => pair.client.shutdown(deadline), pair, writer);
  }),
  kind("accept", "accept", async () => {
    const listener = await listen({ host: "127.0.0.1", port: 0 });
    return situation((deadline) => listener.accept(deadline), listener);
  }),
  kind("connect", "connect", async () => {
    const full = await FullListener.open();
    return situation((deadline) => connect({ host: "127.0.0.1", port: full.port, deadline }), full);
  }),
  kind(
    "sleepUntil",
    "sleep",
    () => situation((until) => sleepUntil(until ?? now() + 60_000)),
    false,
  ),
  kind("park", "park", () => situation((deadline) => park(deadline))),
  kind("join", "join", () => {
    const other = spawn(() => park());
    return situation((deadline) => other.join(deadline), other);
  }),
  kind("scope", "scope", () => situation((deadline) => scope(() => park(), { deadline }))),
  kind("Mutex.lock", "mutex", () => {
    const mutex = new Mutex();
    return situation((deadline) => mutex.lock(deadline), mutex.tryLock()!);
  }),
  kind("Semaphore.acquire", "semaphore", () => {
    const semaphore = new Semaphore(3);
    return situation((deadline) => semaphore.acquire(3, deadline), semaphore.tryAcquire(1)!);
  }),
  kind("Event.wait", "event", () => {
    const event = new Event();
    return situation((deadline) => event.wait(deadline));
  }),
  kind("Channel.send", "channel send", () => {
    const channel = new Channel<string>(1);
    channel.trySend("in the way");
    return situation((deadline) => channel.send("item", deadline));
  }),
  kind("Channel.receive", "channel receive", () => {
    const channel = new Channel<string>(1);
    return situation((deadline) => channel.receive(deadline));
  }),
  kind("waitReadable", "waitReadable", () => {
    const pipe = DescriptorPair.pipe();
    return situation((deadline) => waitReadable(pipe.first, deadline), pipe);
  }),
  kind("waitWritable", "waitWritable", () => {
    const pipe = DescriptorPair.pipe();
    fill(pipe.second);
    return situation((deadline) => waitWritable(pipe.second, deadline), pipe);
  }),
];
