/** Handshakes. The core does them; what is awaited here is their end, or a listener's choice by name. */

import { Status, TlsText, WaitKind } from "../abi.ts";
import { codeOf, type ErrorDetails, SocketError } from "../errors.ts";
import { follow, isInstance } from "../foreign_values.ts";
import { core } from "../native.ts";
import { ParkingWait } from "../parking.ts";
import { interrupt } from "../scheduler.ts";
import type { Socket } from "../socket.ts";
import { byteLengthOf } from "../views.ts";
import { cancellation, Wait } from "../wait.ts";
import type { TlsContext } from "./context.ts";
import { isTlsStatus, TlsError, tlsFailure } from "./errors.ts";
import { noticesFor, type Told, takeTlsNotices, tellOf } from "./notices.ts";
import type { ServerNameChoice } from "./options.ts";
import { passable } from "./parsed.ts";
import { sealSession, unsealSession } from "./sessions.ts";
import { tlsText } from "./text.ts";

/** One connection's part of the options, beside its context. */
export interface HandshakeSetup {
  readonly context: TlsContext;
  readonly isServer: boolean;
  /** What a client asks for and checks. */
  readonly serverName: string | undefined;
  readonly session: Uint8Array | undefined;
  readonly onSession: Told["onSession"];
}

const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);

function detailsOf(socket: Socket): ErrorDetails {
  const { remoteAddress: address, remotePort: port } = socket;
  return { syscall: "handshake", address, port };
}

function failureOf(socket: Socket, status: number): Error {
  const details = detailsOf(socket);
  return isTlsStatus(status)
    ? tlsFailure(socket.handle, status, details)
    : new SocketError(codeOf(status), details);
}

/** Waits until the handshake has ended, or paused for a choice by name: true. */
class HandshakeWait extends Wait<boolean> {
  readonly #socket: Socket;
  readonly #deadline: number;

  constructor(socket: Socket, deadline: number) {
    super();
    this.#socket = socket;
    this.#deadline = deadline;
  }

  override get syscall(): string {
    return "handshake";
  }

  override details(): ErrorDetails {
    return detailsOf(this.#socket);
  }

  /** Asks the core how far it is, and parks if it is not done. */
  start(): Promise<boolean> | boolean {
    const status = -core.tlsHandshake(this.#socket.handle);
    if (status === Status.ok) return false;
    if (status === Status.tlsServerName) return true;
    if (status === Status.wouldBlock) return this.park(this.#wait());
    throw failureOf(this.#socket, status);
  }

  override wake(status: number): void {
    if (status !== Status.ok) {
      this.fail(this.errorOf(status));
      return;
    }
    const outcome = -core.tlsHandshake(this.#socket.handle);
    if (outcome === Status.ok) this.succeed(false);
    else if (outcome === Status.tlsServerName) this.succeed(true);
    else if (outcome === Status.wouldBlock) this.parkAgain(this.#wait());
    else this.fail(failureOf(this.#socket, outcome));
  }

  #wait(): number {
    return core.wait(this.#socket.handle, WaitKind.handshake, this.#deadline, 0);
  }
}

/**
 * Turns a plain connection into TLS. When that fails the socket is closed: neither side could make
 * sense of the other any more.
 *
 * @param onWait gets a function that gives the handshake up
 * @throws {TlsError} {SocketError} {TimeoutError} {CancelledError}
 */
export async function handshake(
  socket: Socket,
  setup: HandshakeSetup,
  deadline: number,
  onWait?: (giveUp: () => void) => void,
): Promise<void> {
  start(socket, setup);
  try {
    for (;;) {
      const wait = new HandshakeWait(socket, deadline);
      onWait?.(() => interrupt(wait, Status.cancelled));
      const isPaused = await wait.start();
      checkOpen(socket);
      if (!isPaused) break;
      await choose(socket, setup.context, deadline);
    }
  } catch (error) {
    socket.rememberRemote();
    socket.close();
    throw error;
  }
  socket.becomeSecure();
  takeTlsNotices();
}

/** A socket may be closed, or its fiber cancelled, between a wake-up and what goes on then. */
function checkOpen(socket: Socket): void {
  if (socket.closed) throw new SocketError("ERR_SOCKET_CLOSED", detailsOf(socket));
  const cancelled = cancellation("handshake");
  if (cancelled) throw cancelled;
}

/** Begins it. When this throws nothing has happened to the connection. */
function start(socket: Socket, setup: HandshakeSetup): void {
  const { context, isServer, serverName = "", onSession } = setup;
  const { parsed } = context;
  if (!isServer) parsed.loadTrust();
  const { handle } = socket;
  const session = setup.session ? unsealSession(setup.session, parsed, serverName) : noBytes;
  const who: Told = {
    onSession: onSession && ((bytes) => onSession(sealSession(bytes, parsed, serverName))),
    onKeyLog: context.onKeyLog,
  };
  parsed.notify(noticesFor(who));
  const name = encoder.encode(serverName);
  // A session of another version of plait's, or a broken one, costs a full handshake and no more.
  const outcome = core.tlsStart(
    handle,
    context.id,
    isServer ? 1 : 0,
    passable(name),
    byteLengthOf(name),
    passable(session),
    byteLengthOf(session),
  );
  if (outcome < 0) throw failureOf(socket, -outcome);
  tellOf(handle, who);
}

type Choice = Awaited<ReturnType<ServerNameChoice>>;

/**
 * Waits for what a listener's `sni` function chooses, and gets a function that returns or throws it: a
 * rejected promise would be nobody's when the wait is over, or has its turn later.
 */
class ChoiceWait extends ParkingWait<() => Choice> {
  readonly #socket: Socket;
  #isOver = false;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
  }

  override get syscall(): string {
    return "handshake";
  }

  override details(): ErrorDetails {
    return detailsOf(this.#socket);
  }

  override forget(): void {
    this.#isOver = true;
  }

  settle(choice: () => Choice): void {
    if (!this.#isOver) this.finish(choice);
  }
}

/** Has the listener's `sni` function choose, for no longer than until the deadline. */
async function choose(socket: Socket, context: TlsContext, deadline: number): Promise<void> {
  const { handle } = socket;
  const name = tlsText(handle, TlsText.serverName) ?? "";
  let id = 0;
  try {
    let choice = context.chooseByName?.(name);
    if (isInstance(choice, Promise)) {
      const wait = new ChoiceWait(socket);
      follow(
        choice,
        (value) => wait.settle(() => value),
        (error: unknown) =>
          wait.settle(() => {
            throw error;
          }),
      );
      choice = (await wait.startUntil(deadline))();
    }
    const chosen = context.chosen(choice);
    if (chosen === null) {
      const reason = `sni refused the name "${name}"`;
      throw new TlsError("ERR_TLS_UNKNOWN_SERVER_NAME", { ...detailsOf(socket), reason });
    }
    id = (chosen ?? context).id;
  } finally {
    // Whatever went wrong, the client learns that there is nothing for this name.
    if (!socket.closed) core.tlsChooseContext(handle, id);
  }
  checkOpen(socket);
}
