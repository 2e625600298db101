/** What a request takes from its URL: where it goes, what it asks for, and credentials. */

import { typeMistake } from "../values/checks.ts";
import { hostField } from "./request.ts";

/** The parts of a URL, as a request has them. */
export interface RequestUrl {
  /** Without credentials. A fragment stays: it is not sent, but a redirect inherits it. */
  readonly url: URL;
  /** The host to connect to: a name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** The path and the query, as they stand in the request line. */
  readonly path: string;
  /** The value of Host. */
  readonly hostField: string;
  /** The value of Authorization for the URL's user and password; undefined without them. */
  readonly authorization: string | undefined;
}

/**
 * Takes a URL apart, which may be relative to a base. A relative one has the base's credentials.
 *
 * @throws {TypeError} for what is no URL, for another scheme than http and https, and for a user's name with a
 *   colon
 */
export function requestUrl(given: string | URL, base?: string | URL): RequestUrl {
  let url: URL;
  try {
    url = new URL(given, base);
  } catch {
    throw typeMistake(
      base === undefined ? `"${given}" is no URL` : `"${given}" is no URL at "${base}"`,
    );
  }
  const { protocol } = url;
  if (protocol !== "http:" && protocol !== "https:") {
    throw typeMistake(`a request is made by http: or https:, not by ${protocol}`);
  }
  const isSecure = protocol === "https:";
  const authorization = basicOf(url);
  url.username = "";
  url.password = "";
  return {
    url,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isSecure ? 443 : 80) : Number(url.port),
    isSecure,
    path: url.pathname + url.search,
    hostField: hostField(url),
    authorization,
  };
}

/** The credentials of a URL in the Basic scheme (RFC 7617). */
function basicOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  const user = decodedPart(username);
  if (user.includes(":")) throw typeMistake("the user's name of a URL has no colon");
  return `Basic ${Buffer.from(`${user}:${decodedPart(password)}`).toString("base64")}`;
}

/** A part of a URL without its percent-encoding; as it is if that is malformed. */
function decodedPart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
