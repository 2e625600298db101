/**
 * What a handshake is begun with: the side, the name, the options. All of it is checked before TLS
 * begins.
 */

import { rangeMistake, refuseOptions, typeMistake } from "../values/checks.ts";
import { checkedServerName } from "./checks.ts";
import { contextOf, contextWithCertificate, ownTlsOptions, plainContext } from "./context.ts";
import type { HandshakeSetup } from "./handshake.ts";
import { optionNames, type TlsContext, type TlsOptions } from "./options.ts";

/** Options of `Socket.startTls`. */
export interface StartTlsOptions extends TlsOptions {
  /**
   * Which end this is; if not given, the server for a socket that a listener accepted, else the client.
   */
  side?: "client" | "server" | undefined;
}

/**
 * What a client's handshake is begun with. `host` is the name that the connection was made to, if any.
 */
export function clientSetup(
  options: true | TlsOptions | TlsContext,
  host: string | undefined,
  what: string,
): HandshakeSetup {
  const given = options === true ? plainContext() : options;
  return clientSetupOf(ownTlsOptions(given, optionNames.client, what), host);
}

/** The options have no prototype. */
function clientSetupOf(own: TlsOptions, host: string | undefined): HandshakeSetup {
  const context = contextOf(own);
  const serverName = clientName(context, own.serverName, host);
  const { onSession } = own;
  // A copy: the handshake begins later, and the class of the view may give a wrong length.
  const session = own.session && new Uint8Array(own.session);
  return { context, isServer: false, serverName, session, onSession };
}

/** The name that a client sends and checks: the option's, or else the host's. */
function clientName(
  context: TlsContext,
  option: string | undefined,
  host: string | undefined,
): string | undefined {
  if (option !== undefined) return checkedServerName(option, "serverName");
  if (host !== undefined) return checkedServerName(host, "host");
  if (!context.settings.verifiesPeer) return undefined;
  throw typeMistake("TLS needs a serverName here, to check the peer's certificate against");
}

export function serverSetup(context: TlsContext): HandshakeSetup {
  return {
    context,
    isServer: true,
    serverName: undefined,
    session: undefined,
    onSession: undefined,
  };
}

/** Checks what `startTls` was given. `host` is the name that the connection was made to, if any. */
export function startSetup(
  options: StartTlsOptions | TlsContext,
  isAccepted: boolean,
  host: string | undefined,
): HandshakeSetup {
  const own = ownTlsOptions<StartTlsOptions>(options, startNames, "startTls");
  refuseOptions(own, ["handshakeTimeout"], "a deadline");
  const { side = isAccepted ? "server" : "client" } = own;
  if (side !== "client" && side !== "server") throw rangeMistake('side is "client" or "server"');
  refuseOptions(own, side === "server" ? clientsOnly : serversOnly, `side "${side}"`);
  return side === "server"
    ? serverSetup(contextWithCertificate(own, "startTls"))
    : clientSetupOf(own, host);
}

const clientsOnly = ["serverName", "session", "onSession"] as const;
const serversOnly = ["clientAuth", "sni"] as const;
const startNames = new Set([...optionNames.client, ...optionNames.server, "side"]);
