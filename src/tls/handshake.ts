/** Handshakes. The core does them; what is awaited here is their end, or a listener's choice by name. */

import { Status, TlsText } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { cancellation, endWith, type Operation, Wait } from "../runtime/wait.ts";
import { type ErrorDetails, SocketError } from "../values/errors.ts";
import { follow, isInstance } from "../values/foreign_values.ts";
import { byteLengthOf } from "../values/views.ts";
import { failureOf, TlsError } from "./errors.ts";
import { listenToNotices, type NoticeListeners, noticesFor, takeTlsNotices } from "./notices.ts";
import type { ServerNameChoice, TlsContext } from "./options.ts";
import { addressable } from "./parsed.ts";
import { sealSession, unsealSession } from "./sessions.ts";
import { tlsText } from "./text.ts";

/** What a handshake needs of its socket. */
export interface HandshakeSocket {
  readonly handle: number;
  readonly closed: boolean;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Keeps the peer's address, which errors show when the socket is closed. */
  rememberRemote(): void;
  becomeSecure(): void;
  close(): void;
}

/** One connection's part of the options, beside its context. */
export interface HandshakeSetup {
  readonly context: TlsContext;
  readonly isServer: boolean;
  /** What a client asks for and checks. */
  readonly serverName: string | undefined;
  readonly session: Uint8Array | undefined;
  readonly onSession: NoticeListeners["onSession"];
}

const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);

function detailsOf(socket: HandshakeSocket): ErrorDetails {
  const { remoteAddress: address, remotePort: port } = socket;
  return { syscall: "handshake", address, port };
}

/** A step of a handshake that is waited for: its end, its pause, or what the `sni` function chooses. */
class Handshake implements Operation {
  readonly syscall = "handshake";
  readonly #socket: HandshakeSocket;

  constructor(socket: HandshakeSocket) {
    this.#socket = socket;
  }

  details(): ErrorDetails {
    return detailsOf(this.#socket);
  }
}

/** The core goes on with the handshake until it has ended or has to ask. */
class HandshakeStep extends Handshake {
  get woken(): typeof endWith {
    return endWith;
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
  socket: HandshakeSocket,
  setup: HandshakeSetup,
  deadline: number,
  onWait?: (giveUp: () => void) => void,
): Promise<void> {
  start(socket, setup);
  try {
    for (;;) {
      checkOpen(socket);
      const status = -core.tlsHandshake(socket.handle);
      if (status === Status.ok) break;
      if (status === Status.tlsServerName) await choose(socket, setup.context, deadline);
      else if (status !== Status.wouldBlock)
        throw failureOf(socket.handle, status, detailsOf(socket));
      else {
        const wait = new Wait<void>(new HandshakeStep(socket));
        onWait?.(() => wait.interrupt(Status.cancelled));
        await wait.beginUnder(core.tlsWaitHandshake(socket.handle, deadline));
      }
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
function checkOpen(socket: HandshakeSocket): void {
  if (socket.closed) throw new SocketError("ERR_SOCKET_CLOSED", detailsOf(socket));
  const cancelled = cancellation("handshake");
  if (cancelled) throw cancelled;
}

/** Begins it. When this throws nothing has happened to the connection. */
function start(socket: HandshakeSocket, setup: HandshakeSetup): void {
  const { context, isServer, serverName = "", onSession } = setup;
  const { parsed, onKeyLog } = context.settings;
  if (!isServer) parsed.loadTrust();
  const { handle } = socket;
  const session = setup.session ? unsealSession(setup.session, parsed, serverName) : noBytes;
  const listeners: NoticeListeners = {
    onSession: onSession && ((bytes) => onSession(sealSession(bytes, parsed, serverName))),
    onKeyLog,
  };
  parsed.notify(noticesFor(listeners));
  const name = encoder.encode(serverName);
  // A session of another version of plait's, or a broken one, costs a full handshake and no more.
  const outcome = core.tlsStart(
    handle,
    context.id,
    isServer ? 1 : 0,
    addressable(name),
    byteLengthOf(name),
    addressable(session),
    byteLengthOf(session),
  );
  if (outcome < 0) throw failureOf(handle, -outcome, detailsOf(socket));
  listenToNotices(handle, listeners);
}

type Choice = Awaited<ReturnType<ServerNameChoice>>;

/** Has the listener's `sni` function choose, for no longer than until the deadline. */
async function choose(
  socket: HandshakeSocket,
  context: TlsContext,
  deadline: number,
): Promise<void> {
  const { handle } = socket;
  const name = tlsText(handle, TlsText.serverName) ?? "";
  let id = 0;
  try {
    let choice = context.settings.chooseByName?.(name);
    if (isInstance(choice, Promise)) {
      // As a function: a rejected promise would be unhandled when the wait is over, or ends in a later turn.
      const wait = new Wait<() => Choice>(new Handshake(socket));
      const chosen = wait.begin(deadline);
      follow(
        choice,
        (value) => wait.finish(() => value),
        (error: unknown) =>
          wait.finish(() => {
            throw error;
          }),
      );
      choice = (await chosen)();
    }
    const chosen = context.settings.chosen(choice);
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
