/** Handing items from fiber to fiber. */

import { admission, type Call, immediate, type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { checkedInteger, typeMistake } from "../values/checks.ts";
import { ChannelClosedError } from "../values/errors.ts";
import { Ring } from "./ring.ts";

const sending = "channel send";
const send: Call = { syscall: sending };
const receiving = "channel receive";

type Received<T> = T | null | IteratorResult<T, undefined>;

/**
 * Carries items from senders to receivers, and serves both in the order in which they came. An item
 * is neither null, which stands for the end, nor undefined.
 *
 *     const jobs = new Channel<Job>(16);
 *     spawn(async () => {
 *       for await (const job of jobs) await work(job);
 *     });
 *     await jobs.send(job, deadline(1000));
 *     jobs.close();
 */
export class Channel<T extends NonNullable<unknown>> implements AsyncIterable<T>, Disposable {
  /** How many items the channel holds at most; with 0 each sender waits for its receiver. */
  readonly capacity: number;
  readonly #items = new Ring<T>();
  // Senders wait only while the channel is full, receivers only while it has no item and no sender.
  readonly #senders = new WaitQueue<void>();
  readonly #receivers = new WaitQueue<Received<T>>();
  #isClosed = false;

  /**
   * @throws {TypeError} for a capacity that is not a whole number
   * @throws {RangeError} for one below 0
   */
  constructor(capacity = 0) {
    this.capacity = checkedInteger(capacity, "the capacity", 0, Number.MAX_SAFE_INTEGER);
  }

  /** How many items the channel holds now. Those of waiting senders do not count. */
  get length(): number {
    return this.#items.length;
  }

  /** Whether `close` was called. Items that it holds can still be received. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Waits until the channel or a receiver has the item. If this fails, no receiver gets it.
   *
   * @throws {TypeError} for null and undefined
   * @throws {ChannelClosedError} when the channel is closed, or is closed meanwhile
   * @throws {TimeoutError} when the deadline passes first, or has passed
   * @throws {CancelledError} when the fiber is cancelled
   */
  send(item: T, deadline?: number): Promise<void> {
    try {
      checkItem(item);
    } catch (error) {
      return Promise.reject(error);
    }
    const until = admission(send, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    if (this.#isClosed) return Promise.reject(new ChannelClosedError(sending));
    if (this.#give(item)) return immediate(undefined, sending);
    return new Wait<void>(new Send(item)).begin(until, this.#senders);
  }

  /**
   * Sends if that needs no waiting, and returns whether it did.
   *
   * @throws {TypeError} for null and undefined
   * @throws {ChannelClosedError} when the channel is closed
   */
  trySend(item: T): boolean {
    checkItem(item);
    if (this.#isClosed) throw new ChannelClosedError(sending);
    return this.#give(item);
  }

  /**
   * Waits for the next item. Null at the end: the channel is closed and no item is left.
   *
   * @throws {TimeoutError} when the deadline passes first, or has passed; no item is lost
   * @throws {CancelledError} when the fiber is cancelled; no item is lost
   */
  receive(deadline?: number): Promise<T | null> {
    return this.#receive(deadline, receive) as Promise<T | null>;
  }

  /** The next item; undefined when there is none now, and null at the end. */
  tryReceive(): T | null | undefined {
    return this.#take() ?? (this.#isClosed ? null : undefined);
  }

  /**
   * Ends the stream of items. Those that the channel holds can still be received. Senders that wait
   * fail, and their items are not sent. Closing again does nothing.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (let wait = this.#senders.shift(); wait; wait = this.#senders.shift()) {
      wait.finishWithError(new ChannelClosedError(sending));
    }
    for (let wait = this.#receivers.shift(); wait; wait = this.#receivers.shift()) {
      wait.finish(received<T>(wait.operation, null));
    }
  }

  /** Closes. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** The items until the end. Leaving the loop early leaves the channel as it is. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.#receive(undefined, iterate) as Promise<IteratorResult<T, undefined>>,
    };
  }

  #receive(deadline: number | undefined, operation: Operation): Promise<Received<T>> {
    const until = admission(operation, deadline);
    if (typeof until !== "number") return Promise.reject(until);
    const item = this.tryReceive();
    if (item !== undefined) return immediate(received(operation, item), receiving);
    return new Wait<Received<T>>(operation).begin(until, this.#receivers);
  }

  #give(item: T): boolean {
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) receiver.finish(received(receiver.operation, item));
    else if (this.#items.length < this.capacity) this.#items.push(item);
    else return false;
    return true;
  }

  #take(): T | undefined {
    const sender = this.#senders.shift();
    let item = (sender?.operation as Send<T> | undefined)?.item;
    if (this.#items.length > 0) {
      const oldest = this.#items.shift();
      if (item !== undefined) this.#items.push(item);
      item = oldest;
    }
    sender?.finish();
    return item;
  }
}

function checkItem(item: unknown): void {
  if (item === undefined || item === null) {
    throw typeMistake(`a channel takes no ${item}: receive returns null at the end`);
  }
}

/** A sender's wait, with its item. */
class Send<T> implements Operation {
  readonly syscall = sending;
  readonly item: T;

  constructor(item: T) {
    this.item = item;
  }
}

const receive: Operation = { syscall: receiving };
/** As `receive`, for a `for await` loop, which gets an IteratorResult. */
const iterate: Operation = { syscall: receiving };

/** The result of one of the two, for an item, or for null at the end. */
function received<T>(operation: Operation, item: T | null): Received<T> {
  if (operation === receive) return item;
  return item === null ? { value: undefined, done: true } : { value: item, done: false };
}
