/**
 * Redirects (RFC 9110, section 15.4, and the Fetch standard, "HTTP-redirect fetch"): the request that follows
 * from an answer. Nothing is sent here.
 */

import { checkedInteger, checkedSwitch, ownOptions } from "../values/checks.ts";
import { SocketError } from "../values/errors.ts";
import type { Answer } from "./answer.ts";
import type { Body } from "./body.ts";
import type { Headers } from "./request.ts";

/** A request, as far as redirects are concerned with it. */
export interface RedirectableRequest {
  /** It may have credentials and a fragment. */
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: Body | undefined;
}

export interface RedirectOptions {
  /** How many redirects are followed; 20 if not given, as by the Fetch standard. */
  most?: number | undefined;
  /** Whether https: may lead to http:. */
  allowInsecure?: boolean | undefined;
}

const redirectOptions: ReadonlySet<string> = new Set(["most", "allowInsecure"]);

/** How many redirects are followed, if the caller does not say. */
export const mostRedirects = 20;

/** An answer redirects to where its request must not go. */
export class RedirectError extends SocketError {
  override readonly name = "RedirectError";
  /** Why it is not followed, in words. */
  readonly reason: string;

  constructor(reason: string) {
    super("ERR_HTTP_REDIRECT", { syscall: "redirect", reason });
    this.reason = reason;
  }
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The headers that describe a body which is sent no more. */
const bodyHeaders: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
  "expect",
  "transfer-encoding",
]);

/** The headers that are meant for one origin. */
const originHeaders: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "host",
  "proxy-authorization",
]);

/**
 * The request that an answer redirects to. GET follows from 303, and from 301 and 302 after POST, without a body;
 * HEAD stays HEAD. Otherwise the request is repeated with its body. What is meant for the origin of the request
 * is not sent to another one: its credentials, Authorization, Cookie and Host.
 *
 * @param count the redirects that were followed before
 * @returns undefined if the answer is no redirect, or has no Location
 * @throws {RedirectError} when it must not be followed: too many, a Location that is no URL of http: or https:,
 *   from https: to http:, a body that cannot be sent again
 */
export function redirectOf(
  answer: Answer,
  request: RedirectableRequest,
  count: number,
  given: RedirectOptions = {},
): RedirectableRequest | undefined {
  const options = ownOptions(given, redirectOptions, "redirects");
  const most = checkedInteger(options.most ?? mostRedirects, "most", 0, Number.MAX_SAFE_INTEGER);
  const allowsInsecure = checkedSwitch(options.allowInsecure, "allowInsecure", false);
  if (!redirectStatuses.has(answer.status)) return undefined;
  const locations = answer.headers("location");
  if (locations.length === 0) return undefined;
  if (locations.length > 1) throw new RedirectError("it has several of Location");
  if (count >= most) throw new RedirectError(`it is the redirect number ${count + 1}, of ${most}`);
  const url = locationOf(locations[0]!, request.url);
  if (request.url.protocol === "https:" && url.protocol === "http:" && !allowsInsecure) {
    throw new RedirectError("it leads from https: to http:");
  }
  const becomesGet = changesMethod(answer.status, request.method);
  const { body } = request;
  if (!becomesGet && body !== undefined && !body.isRepeatable) {
    throw new RedirectError("the body of the request is a stream, which cannot be sent again");
  }
  const isElsewhere = url.origin !== request.url.origin;
  const headers: Record<string, Headers[string]> = Object.create(null);
  for (const [name, value] of Object.entries(request.headers)) {
    const small = name.toLowerCase();
    if (becomesGet && bodyHeaders.has(small)) continue;
    if (isElsewhere && originHeaders.has(small)) continue;
    headers[name] = value;
  }
  return {
    url,
    method: becomesGet ? "GET" : request.method,
    headers,
    body: becomesGet ? undefined : body,
  };
}

function changesMethod(status: number, method: string): boolean {
  if (status === 303) return method !== "GET" && method !== "HEAD";
  return (status === 301 || status === 302) && method === "POST";
}

/** Where a Location leads (RFC 9110, section 10.2.2). */
function locationOf(location: string, from: URL): URL {
  // Bytes above ASCII are UTF-8, as browsers take them.
  const text = Buffer.from(location, "latin1").toString();
  let url: URL;
  try {
    url = new URL(text, from);
  } catch {
    throw new RedirectError(`its Location is no URL: "${text}"`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new RedirectError(`it leads to ${url.protocol}`);
  }
  // `URL` gives a relative reference the credentials of its base. An absolute one of the same origin has them too.
  if (url.origin === from.origin && url.username === "" && url.password === "") {
    url.username = from.username;
    url.password = from.password;
  }
  if (url.hash === "") url.hash = from.hash;
  return url;
}
