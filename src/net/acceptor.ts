/** Accepting connections from a listening socket, while there is a use for them. */

import { Ready, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import {
  attend,
  type Due,
  expect,
  proceedLater,
  type Subscriber,
  subscribe,
  unsubscribe,
} from "../runtime/scheduler.ts";
import { Timer } from "../runtime/timer.ts";
import { type Operation, Wait } from "../runtime/wait.ts";
import { WaitQueue } from "../runtime/wait_queue.ts";
import { after, type Deadline } from "../values/deadlines.ts";
import { codeOf, SocketError } from "../values/errors.ts";
import type { Socket } from "./socket.ts";
import { closedHandle } from "./stream.ts";

/** Connections accepted at once, so that those that are served get their turn. */
const acceptsPerTurn = 96;

/** Milliseconds before it tries again while no descriptors are left. Each failure doubles them. */
const shortestPause = 5;
const longestPause = 500;

/** The owner of an acceptor, which gets the connections. */
interface Host {
  /** Whether there is a use for another connection. */
  readonly wantsConnection: boolean;
  /** Whether another one can be taken now. That may change without a notice. */
  hasRoom(): boolean;
  welcome(handle: number): void;
  report(error: unknown): boolean;
}

type State =
  /** No connection is wanted, or the last accept succeeded: the backlog may hold more. */
  | "idle"
  /** The backlog was empty: an event reports the next connection. */
  | "waiting"
  /** It accepts in the next turn. */
  | "due"
  | "accepting"
  /** It accepts when the pause is over. */
  | "paused";

/** The only consumer of a listening socket. It accepts only while connections are wanted. */
export class Acceptor implements Subscriber, Due {
  #handle: number;
  readonly #host: Host;
  readonly #callers = new WaitQueue<Socket>();
  /** What a caller of `accept` waits for. One that gives up may have been the last who wants a connection. */
  readonly #accepting: Operation = { syscall: "accept", failed: () => this.#updateExpected() };
  #state: State = "idle";
  /** Whether it counts as something that comes from outside, and that something waits for. */
  #isExpected = false;
  /** Milliseconds of the last pause; 0 when connections are accepted. */
  #pause = 0;
  readonly #timer = new Timer(() => this.#accept());

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
  accept(deadline: Deadline): Promise<Socket> {
    const socket = new Wait<Socket>(this.#accepting).begin(deadline, this.#callers);
    this.resume();
    return socket;
  }

  /** Gives a connection to the caller that has waited longest. */
  serveCaller(socket: Socket): void {
    this.#callers.first?.finish(socket);
    this.#updateExpected();
  }

  /** Accepts in the next turn if connections are wanted, unless the acceptor has a later reason to do so. */
  resume(): void {
    this.#updateExpected();
    if (this.#state !== "idle" || !this.#isExpected) return;
    this.#state = "due";
    proceedLater(this);
  }

  /** An event reports a connection. */
  ready(ready: number): void {
    if (this.#state === "due" || this.#state === "paused") return;
    if (ready & Ready.readable) this.#accept();
  }

  /** The acceptor is due. */
  proceed(): void {
    this.#accept();
  }

  #accept(): void {
    if (this.closed) return;
    let outcome = 0;
    let hasRoom = true;
    let mayRest = true;
    // Closing a connection meanwhile makes room, which the next round of the loop sees.
    this.#state = "accepting";
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
      // An exception must not keep the others from being accepted.
      mayRest = this.#endAccepting(outcome === -Status.wouldBlock ? "waiting" : "idle");
      if (outcome >= 0 && hasRoom) this.resume();
      else this.#updateExpected();
    }
    if (!mayRest) return;
    if (!hasRoom) this.#rest(shortestPause);
    else if (outcome < 0) this.#restAfter(-outcome);
  }

  /** False when it must not rest: the backlog is empty, or code that blocked on the way has begun a pause. */
  #endAccepting(state: "idle" | "waiting"): boolean {
    if (this.#state === "due" || this.#state === "paused") return false;
    this.#state = state;
    return state === "idle";
  }

  /** Most likely no descriptors are left. The connection stays in the backlog. */
  #restAfter(status: number): void {
    const isFirst = this.#pause === 0;
    this.#pause = Math.min(Math.max(this.#pause * 2, shortestPause), longestPause);
    this.#rest(this.#pause);
    if (isFirst) this.#host.report(new SocketError(codeOf(status), { syscall: "accept" }));
  }

  /** Accepts again when so many milliseconds have passed. */
  #rest(milliseconds: number): void {
    const status = -this.#timer.start(after(milliseconds));
    if (status === Status.ok) this.#state = "paused";
    else this.#host.report(new SocketError(codeOf(status), { syscall: "accept" }));
  }

  #updateExpected(): void {
    const isExpected = !this.closed && this.#host.wantsConnection;
    if (this.#isExpected === isExpected) return;
    this.#isExpected = isExpected;
    expect(isExpected ? 1 : -1);
  }

  /** Stops for good. Callers of `accept` fail with `ERR_SOCKET_CLOSED`. */
  close(): void {
    if (this.closed) return;
    const handle = this.#handle;
    this.#handle = closedHandle;
    unsubscribe(handle);
    this.#timer.stop();
    this.#updateExpected();
    core.close(handle);
    for (let wait = this.#callers.first; wait !== undefined; wait = this.#callers.first) {
      wait.interrupt(Status.closed);
    }
    attend();
  }
}
