/** Beginning TLS: which end, which name, with which options. All checks come before anything happens. */

import { checkOptions, rangeMistake, refuseOptions } from "../checks.ts";
import type { Socket } from "../socket.ts";
import { clientName, contextOf, serverContext, TlsContext } from "./context.ts";
import { type HandshakeSetup, handshake } from "./handshake.ts";
import { optionNames, type TlsOptions } from "./options.ts";

export interface StartTlsOptions extends TlsOptions {
  /** Which end this is; the server's for a socket that a listener accepted, if not given. */
  side?: "client" | "server" | undefined;
}

/** What a client's handshake needs. `host` is what the connection was made to, if it has a name. */
export function clientSetup(
  options: true | TlsOptions | TlsContext,
  host: string | undefined,
  what: string,
): HandshakeSetup {
  const context = contextOf(options, "client", what);
  const own: TlsOptions = options === true || options instanceof TlsContext ? {} : options;
  const serverName = clientName(context, own.serverName, host);
  const { session, onSession } = own;
  return { context, isServer: false, serverName, session, onSession };
}

export function serverSetup(context: TlsContext): HandshakeSetup {
  return { context, isServer: true };
}

/** Checks what `startTls` was given, and returns what begins the handshake. */
export function startTls(
  socket: Socket,
  options: StartTlsOptions | TlsContext,
): (deadline: number) => Promise<void> {
  if (options instanceof TlsContext) return startTls(socket, { context: options });
  checkOptions(options, startNames, "startTls");
  refuseOptions(options, ["handshakeTimeout"], "a deadline");
  const { side = socket.isAccepted ? "server" : "client", ...rest } = options;
  if (side !== "client" && side !== "server") throw rangeMistake('side is "client" or "server"');
  refuseOptions(options, side === "server" ? clientsOnly : serversOnly, `side "${side}"`);
  const setup =
    side === "server"
      ? serverSetup(serverContext(rest, "startTls"))
      : clientSetup(rest, socket.host, "startTls");
  return (deadline) => handshake(socket, setup, deadline);
}

const clientsOnly = ["serverName", "session", "onSession"] as const;
const serversOnly = ["clientAuth", "sni"] as const;
const startNames = new Set([...optionNames.client, ...optionNames.server, "side"]);
