/** Taking connections off a listening socket, as fast as there is somebody to have them. */

import { Ready, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import {
  attend,
  attendDeadline,
  type Due,
  drop,
  enlist,
  expect,
  proceedLater,
  type Subscriber,
  subscribe,
  unsubscribe,
} from "../runtime/scheduler.ts";
import { type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { codeOf, SocketError } from "../values/errors.ts";
import type { Socket } from "./socket.ts";

/** Connections accepted in one go, so that those which are served get their turn as well. */
const acceptsPerTurn = 64;

/** While no descriptors are left it tries again after so many milliseconds, doubling. */
const shortestPause = 5;
const longestPause = 500;

const closedHandle = -1;

/** Where connections go. */
interface Host {
  /** Whether a connection would have somewhere to go. */
  readonly wantsConnection: boolean;
  /** Whether one more can be taken now; if not, that may change without a notice. */
  hasRoom(): boolean;
  welcome(handle: number): void;
  report(error: unknown): boolean;
}

const accepting: Operation = { syscall: "accept" };

const noWaiter = -1;

/** The one consumer of a listening socket. It accepts only while somebody wants connections. */
export class Acceptor implements Subscriber, Due {
  #handle: number;
  readonly #host: Host;
  readonly #callers = new WaitQueue<Socket>();
  /** Whether it waits for the core to tell of connections, or for the next turn. */
  #isWaiting = false;
  #isDue = false;
  /** Milliseconds of the last pause; 0 when connections are accepted. */
  #pause = 0;
  #pauseWaiter = noWaiter;
  #isAccepting = false;

  constructor(handle: number, host: Host) {
    this.#handle = handle;
    this.#host = host;
    subscribe(this);
  }

  get handle(): number {
    return this.#handle;
  }

  get closed(): boolean {
    return this.#handle === closedHandle;
  }

  get hasCallers(): boolean {
    return this.#callers.first !== undefined;
  }

  /** Waits for the next connection of a listener without a handler. */
  accept(deadline: number): Promise<Socket> {
    const socket = new Wait<Socket>(accepting).begin(deadline, this.#callers);
    this.resume();
    return socket;
  }

  /** Gives a connection to whoever has waited for longest. */
  serveCaller(socket: Socket): void {
    this.#callers.first?.finish(socket);
  }

  /** Accepts from the next turn on, if connections are wanted. */
  resume(): void {
    if (this.#isDue || this.#isAccepting || this.#pauseWaiter !== noWaiter) return;
    if (this.closed || !this.#host.wantsConnection) return;
    this.#isDue = true;
    this.#setWaiting(true);
    proceedLater(this);
  }

  ready(ready: number): void {
    if (ready & Ready.readable && this.#pauseWaiter === noWaiter) this.proceed();
  }

  proceed(): void {
    this.#isDue = false;
    if (this.closed) return;
    let outcome = 0;
    let hasRoom = true;
    // What is closed on the way makes room, which the next round of the loop sees.
    this.#isAccepting = true;
    try {
      for (let count = 0; count < acceptsPerTurn && this.#host.wantsConnection; count++) {
        hasRoom = this.#host.hasRoom();
        if (!hasRoom) break;
        outcome = core.accept(this.#handle);
        if (outcome < 0) break;
        this.#pause = 0;
        // The handler runs up to its first wait, and may close the listener.
        this.#host.welcome(outcome);
        if (this.closed) return;
      }
    } finally {
      this.#isAccepting = false;
      this.#setWaiting(this.#host.wantsConnection && !this.closed);
      // What it throws must not keep the others from being accepted.
      if (outcome >= 0 && hasRoom) this.resume();
    }
    if (!hasRoom) this.#rest(shortestPause);
    else if (outcome < 0 && -outcome !== Status.wouldBlock) this.#beginPause(-outcome);
  }

  /** Most likely no descriptors are left. The connection stays in the backlog. */
  #beginPause(status: number): void {
    if (this.#pause === 0) {
      this.#host.report(new SocketError(codeOf(status), { syscall: "accept" }));
      if (this.closed) return;
    }
    this.#pause = Math.min(Math.max(this.#pause * 2, shortestPause), longestPause);
    this.#rest(this.#pause);
  }

  /** Accepts again when so many milliseconds have passed. */
  #rest(milliseconds: number): void {
    const waiter = core.sleep(core.now() + milliseconds);
    if (waiter < 0) {
      this.#host.report(new SocketError(codeOf(-waiter), { syscall: "accept" }));
      return;
    }
    this.#pauseWaiter = waiter;
    enlist(this, waiter);
    attendDeadline();
  }

  /** The pause is over. */
  wake(): void {
    this.#pauseWaiter = noWaiter;
    this.proceed();
  }

  #setWaiting(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return;
    this.#isWaiting = isWaiting;
    expect(isWaiting ? 1 : -1);
  }

  /** Stops for good. Callers fail with `ERR_SOCKET_CLOSED`. */
  close(): void {
    if (this.closed) return;
    const handle = this.#handle;
    this.#handle = closedHandle;
    unsubscribe(handle);
    if (this.#pauseWaiter !== noWaiter) drop(this.#pauseWaiter);
    this.#setWaiting(false);
    core.close(handle);
    for (let wait = this.#callers.first; wait !== undefined; wait = this.#callers.first) {
      wait.interrupt(Status.closed);
    }
    attend();
  }
}
