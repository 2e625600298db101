/** Taking connections off a listening socket, as fast as there is somebody to have them. */

import { Status, WaitKind } from "./abi.ts";
import { codeOf, SocketError } from "./errors.ts";
import { core } from "./native.ts";
import { ParkingWait } from "./parking.ts";
import { attend, enlist, notParked, type Parked } from "./scheduler.ts";
import type { Socket } from "./socket.ts";

/** Connections that one wake-up accepts, so that those which are served get their turn as well. */
const acceptsPerWake = 64;

/** While no descriptors are left it tries again after so many milliseconds, doubling. */
const shortestPause = 5;
const longestPause = 500;

const closedHandle = -1;

/** No status: connections have come for which there is no place now. */
const noRoom = -1;

/** Where connections go. */
interface Host {
  /** Whether a connection would have somewhere to go. */
  readonly wantsConnection: boolean;
  /** Whether one more can be taken now; if not, that may change without a notice. */
  hasRoom(): boolean;
  welcome(handle: number): void;
  report(error: unknown): boolean;
}

/** Waits for the next connection of a listener without a handler. */
export class AcceptWait extends ParkingWait<Socket> {
  readonly #acceptor: Acceptor;
  #isForgotten = false;

  constructor(acceptor: Acceptor) {
    super();
    this.#acceptor = acceptor;
  }

  override get syscall(): string {
    return "accept";
  }

  override startUntil(deadline: number): Promise<Socket> {
    const socket = super.startUntil(deadline);
    if (!this.#isForgotten) this.#acceptor.addCaller(this);
    return socket;
  }

  override forget(): void {
    this.#isForgotten = true;
    this.#acceptor.removeCaller(this);
  }
}

/** The one consumer of a listening socket. It is parked only while somebody wants connections. */
export class Acceptor implements Parked {
  waiter = notParked;
  /** The listener decides whether the process stays alive. */
  readonly keepsAlive = false;
  #handle: number;
  readonly #host: Host;
  readonly #callers = new Set<AcceptWait>();
  /** Milliseconds of the last pause; 0 when connections are accepted. */
  #pause = 0;
  #isAccepting = false;

  constructor(handle: number, host: Host) {
    this.#handle = handle;
    this.#host = host;
  }

  get closed(): boolean {
    return this.#handle === closedHandle;
  }

  get hasCallers(): boolean {
    return this.#callers.size > 0;
  }

  addCaller(wait: AcceptWait): void {
    this.#callers.add(wait);
    this.resume();
  }

  removeCaller(wait: AcceptWait): void {
    this.#callers.delete(wait);
  }

  /** Gives a connection to whoever has waited for longest. */
  serveCaller(socket: Socket): void {
    for (const wait of this.#callers) {
      this.#callers.delete(wait);
      wait.finish(socket);
      return;
    }
    // `wantsConnection` was asked just before, and nobody has run since.
    throw new Error("plait: a connection was accepted for nobody");
  }

  /** Parks for the next connection, if it is wanted. */
  resume(): void {
    if (this.waiter !== notParked || this.#isAccepting) return;
    if (this.closed || !this.#host.wantsConnection) return;
    this.#park(core.wait(this.#handle, WaitKind.readable, 0, 0));
  }

  wake(status: number): void {
    if (this.closed) return;
    // What is closed on the way makes room, which the next round of the loop sees.
    this.#isAccepting = true;
    try {
      const failure = status === Status.ok ? this.#accept() : Status.ok;
      if (failure === noRoom) this.#rest(shortestPause);
      else if (failure !== Status.ok) this.#beginPause(failure);
    } finally {
      this.#isAccepting = false;
      // What else wakes it is the end of a pause.
      this.resume();
    }
  }

  /** Accepts what has come. Returns why no more can be accepted, if that is so. */
  #accept(): number {
    const listening = this.#handle;
    try {
      for (let count = 0; count < acceptsPerWake && this.#host.wantsConnection; count++) {
        if (!this.#host.hasRoom()) return noRoom;
        const handle = core.accept(listening);
        if (handle < 0) return -handle === Status.wouldBlock ? Status.ok : -handle;
        this.#pause = 0;
        // The handler runs up to its first wait, and may close the listener.
        this.#host.welcome(handle);
        if (this.closed) break;
      }
      return Status.ok;
    } finally {
      core.endAccept(listening);
    }
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

  #rest(milliseconds: number): void {
    this.#park(core.sleep(core.now() + milliseconds));
  }

  #park(waiter: number): void {
    if (waiter >= 0) enlist(this, waiter);
    else this.#host.report(new SocketError(codeOf(-waiter), { syscall: "accept" }));
  }

  /** Stops for good. Callers fail with `ERR_SOCKET_CLOSED`. */
  close(): void {
    if (this.closed) return;
    const handle = this.#handle;
    this.#handle = closedHandle;
    core.close(handle);
    for (const wait of [...this.#callers]) wait.failNow(Status.closed);
    attend();
  }
}
