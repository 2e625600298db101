/** The target of a run: where the connections lead, and what is said to the server on them. */

import { requestUrl } from "../http/request_url.ts";
import { typeMistake } from "../values/checks.ts";

export type Protocol = "http" | "websocket" | "raw";

export interface Target {
  /** As it was given, without its password. */
  readonly text: string;
  readonly protocol: Protocol;
  readonly isTls: boolean;
  /** The host of the URL, without the brackets of an IPv6 address: for the certificate and SNI. */
  readonly host: string;
  /** The value of the Host field. */
  readonly hostField: string;
  /** The user and the password of the URL as the field Authorization has them (RFC 7617). */
  readonly authorization: string | undefined;
  /** Path and query. */
  readonly path: string;
  /** Where the connections lead: a host and a port, or the path of a Unix socket. */
  readonly place: Place;
}

export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

const protocols: Readonly<Record<string, { protocol: Protocol; isTls: boolean; port?: number }>> = {
  "http:": { protocol: "http", isTls: false, port: 80 },
  "https:": { protocol: "http", isTls: true, port: 443 },
  "ws:": { protocol: "websocket", isTls: false, port: 80 },
  "wss:": { protocol: "websocket", isTls: true, port: 443 },
  "tcp:": { protocol: "raw", isTls: false },
  "tls:": { protocol: "raw", isTls: true },
};

/** A URL whose user and password are not shown. */
export function withoutUser(text: string): string {
  return text.replace(/^((?:https?|wss?|tcp|tls):[/\\]*)[^/?#\\]*@/i, "$1...@");
}

/**
 * Reads a target: a URL of `http:`, `https:`, `ws:`, `wss:`, `tcp:` or `tls:`, or `unix:` and a path.
 *
 * @param connectTo where to connect in place of the URL's host and port: `host:port`, or `unix:` and a path
 * @throws {TypeError}
 */
export function targetOf(given: string | URL, connectTo?: string): Target {
  const text = withoutUser(String(given));
  if (text.startsWith("unix:")) {
    if (connectTo !== undefined) throw typeMistake("connectTo has no meaning with a unix: target");
    const place = unixPlace(text);
    return {
      ...{ text, protocol: "raw", isTls: false, host: "", hostField: "", path: "/", place },
      authorization: undefined,
    };
  }
  const url = URL.parse(String(given));
  if (url === null) throw typeMistake(`the target "${text}" is no URL`);
  const known = protocols[url.protocol];
  if (known === undefined) {
    throw typeMistake(
      `the target is a URL of http:, https:, ws:, wss:, tcp:, tls: or unix:, not "${text}"`,
    );
  }
  const { protocol, isTls } = known;
  const port = url.port === "" ? known.port : Number(url.port);
  if (url.hostname === "") throw typeMistake(`the target "${text}" has no host`);
  if (port === undefined) throw typeMistake(`the target "${text}" needs a port`);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const place = connectTo === undefined ? { host, port } : placeOf(connectTo);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  const authorization = isHttp ? requestUrl(url).authorization : undefined;
  const path = protocol === "raw" ? "/" : `${url.pathname}${url.search}`;
  return { text, protocol, isTls, host, hostField: url.host, authorization, path, place };
}

function unixPlace(text: string): Place {
  const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  if (path === "") throw typeMistake(`"${text}" has no path of a Unix socket`);
  return { path };
}

/** Reads where to connect: `host:port`, `[IPv6]:port`, or `unix:` and a path. */
function placeOf(text: string): Place {
  if (text.startsWith("unix:")) return unixPlace(text);
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) {
    throw typeMistake(`connectTo is host:port, [IPv6]:port or unix:/path, not "${text}"`);
  }
  return { host: (match[1] ?? match[2])!, port };
}
