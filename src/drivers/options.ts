/** The options that the drivers have in common, checked before a driver connects. */

import { checkPath } from "../net/connect.ts";
import { checkHost } from "../net/names.ts";
import { TlsContext, type TlsOptions } from "../tls/options.ts";
import { clientSetup } from "../tls/start.ts";
import { checkedInteger, ownOptions, refuseOptions, typeMistake } from "../values/checks.ts";

/** Where a server is, and how it is reached. */
export interface DriverOptions {
  /** An address or a name. If not given, it is the driver's own option, or its default. */
  host?: string | undefined;
  port?: number | undefined;
  /** A Unix socket instead, without TLS. */
  path?: string | undefined;
  /**
   * Encrypts the connection, with plait's options: `true` checks the server's certificate against the
   * host. They are parsed once, and files are read then.
   */
  tls?: boolean | TlsOptions | TlsContext | undefined;
}

/** Names of `DriverOptions`. */
export const driverOptions = ["host", "port", "path", "tls"] as const;

/** Options of TLS, parsed, with those of a single connection beside them. */
export type ParsedTls = Pick<TlsOptions, "context" | "serverName" | "session" | "onSession">;

/** The options of a server's place, without those that were not given. */
export interface Place {
  host?: string;
  port?: number;
  path?: string;
}

/** Checks the options. `known` has their names. */
export function checkedOptions<Options extends DriverOptions>(
  options: Options,
  known: readonly string[],
  what: string,
): { own: Options; place: Place; tls: ParsedTls | undefined } {
  const own = ownOptions(options, new Set(known), what);
  const { host, port, path } = own;
  if (path !== undefined) {
    refuseOptions<DriverOptions>(own, ["host", "port", "tls"], "path");
    checkPath(path);
  }
  if (host !== undefined) checkHost(host, 0);
  // Drivers take 0 for a port that is not given.
  if (port !== undefined) checkedInteger(port, "a port", 1, 65_535);
  const place: Place = {};
  if (host !== undefined) place.host = host;
  if (port !== undefined) place.port = port;
  if (path !== undefined) place.path = path;
  return { own, place, tls: parsedTls(own.tls, "tls") };
}

/** Checks options of TLS, and parses them into a context. */
export function parsedTls(tls: DriverOptions["tls"], what: string): ParsedTls | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (tls !== true && (typeof tls !== "object" || tls === null)) {
    throw typeMistake("tls is true, options, or what tlsContext returned");
  }
  // The host is not known yet: any name does to check the options.
  const { context, session, onSession } = clientSetup(tls, "localhost", what);
  if (tls === true || tls instanceof TlsContext) return { context };
  return { context, serverName: tls.serverName, session, onSession };
}
