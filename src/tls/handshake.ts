/** Handshakes. The core does them. Here their end is awaited, and a listener's choice by name. */

import { Status, TlsText } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { endWith, type Operation, refusalStatus, statusError, Wait } from "../runtime/wait.ts";
import { type Deadline, never } from "../values/deadlines.ts";
import type { ErrorDetails } from "../values/errors.ts";
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
  becomeSecure(): void;
  close(): void;
}

/** The options of one connection, beside those of its context. */
export interface HandshakeSetup {
  readonly context: TlsContext;
  readonly isServer: boolean;
  /** The name that a client sends and checks. */
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

/** The wait for the end of a handshake, for its choice by name, or for the promise of that choice. */
function operationOf(socket: HandshakeSocket): Operation {
  return { syscall: "handshake", details: () => detailsOf(socket), woken: endWith };
}

/**
 * Turns a plain connection into TLS. When that fails the socket is closed, since neither side can
 * read what the other sends.
 *
 * @throws {TlsError} {SocketError} {TimeoutError} {CancelledError}
 */
export async function handshake(
  socket: HandshakeSocket,
  setup: HandshakeSetup,
  deadline: Deadline,
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
        const step = new Wait<void>(operationOf(socket));
        await step.beginUnder(core.tlsWaitHandshake(socket.handle, deadline));
      }
    }
  } catch (error) {
    // Looked up while it is open, so that later errors can show it.
    void socket.remoteAddress;
    socket.close();
    throw error;
  }
  socket.becomeSecure();
  takeTlsNotices();
}

/** Between a wake-up and this code, the socket may have been closed or the fiber cancelled. */
function checkOpen(socket: HandshakeSocket): void {
  const status = refusalStatus(never, socket.closed);
  if (status !== Status.ok) throw statusError(status, detailsOf(socket));
}

/** Begins the handshake. When this throws, the connection is as it was. */
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
  // OpenSSL ignores a session that is broken or of another version, and does a full handshake.
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

/** Lets the listener's `sni` function choose. The deadline bounds the wait for its promise. */
async function choose(
  socket: HandshakeSocket,
  context: TlsContext,
  deadline: Deadline,
): Promise<void> {
  const { handle } = socket;
  const name = tlsText(handle, TlsText.serverName) ?? "";
  let id = 0;
  try {
    let choice = context.settings.chooseByName?.(name);
    if (isInstance(choice, Promise)) {
      const wait = new Wait<Choice>(operationOf(socket));
      const chosen = wait.begin(deadline);
      follow(
        choice,
        (value) => wait.finish(value),
        (error) => wait.finishWithError(error),
      );
      choice = await chosen;
    }
    const chosen = context.settings.chosen(choice);
    if (chosen === null) {
      const reason = `sni refused the name "${name}"`;
      throw new TlsError("ERR_TLS_UNKNOWN_SERVER_NAME", { ...detailsOf(socket), reason });
    }
    id = (chosen ?? context).id;
  } finally {
    // If anything failed, the client learns that there is nothing for this name.
    if (!socket.closed) core.tlsChooseContext(handle, id);
  }
}
