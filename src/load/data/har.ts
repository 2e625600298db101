/** Replays of HAR files (HTTP Archive 1.2), as the developer tools of browsers save them. */

import { DataFileError, readText } from "./files.ts";
import { type Replay, ReplayBuilder, type ReplayRequest } from "./replay.ts";

/** Bytes of a HAR file. Most of them are bodies of answers, which are not kept. */
export const mostHarBytes = 256 * 1024 * 1024;

/**
 * Reads the requests of a HAR file. Those of WebSockets, of `data:` and of other schemes than HTTP are left out, and
 * counted. So are the headers of the connection and of the framing, Host, and the pseudo headers of HTTP/2.
 *
 * @throws {DataFileError} if it cannot be read, is larger than 256 MiB, is no HAR, or has no request to replay
 */
export function readHar(path: string): Replay {
  const text = readText(path, mostHarBytes);
  let har: unknown;
  try {
    har = JSON.parse(text);
  } catch (error) {
    throw new DataFileError(`${path} is no HAR: ${(error as Error).message}`);
  }
  const entries = member(member(har, "log"), "entries");
  if (!Array.isArray(entries)) throw new DataFileError(`${path} is no HAR: it has no log.entries`);
  const builder = new ReplayBuilder(path, "a HAR");
  for (const entry of entries) addEntry(builder, entry);
  return builder.finish();
}

function addEntry(builder: ReplayBuilder, entry: unknown): void {
  const request = member(entry, "request");
  const address = member(request, "url");
  const method = member(request, "method");
  if (typeof address !== "string" || typeof method !== "string") {
    builder.skip("an entry has no method or no URL", JSON.stringify(entry) ?? "");
    return;
  }
  const shown = `${method} ${address}`;
  const url = URL.parse(address);
  const reason = unusable(url, method, entry);
  if (reason !== undefined) {
    builder.skip(reason, shown);
    return;
  }
  const time = timeOf(member(entry, "startedDateTime"));
  if (time === undefined) {
    builder.skip("an entry has no time (ISO 8601)", shown);
    return;
  }
  const { origin, pathname, search } = url!;
  const body = bodyOf(member(request, "postData"));
  const headers = headersOf(member(request, "headers"));
  if (body === undefined && hadBody(request)) {
    builder.skip("the HAR does not have its body", shown);
    return;
  }
  const type = member(member(request, "postData"), "mimeType");
  const hasType = Object.keys(headers).some((name) => name.toLowerCase() === "content-type");
  if (body !== undefined && !hasType && typeof type === "string" && type !== "") {
    headers["content-type"] = [type];
  }
  const replayed: ReplayRequest = { method, origin, path: pathname + search, headers, body };
  builder.add(time, replayed, shown);
}

/** Why an entry cannot be replayed; undefined if it can. */
function unusable(url: URL | null, method: string, entry: unknown): string | undefined {
  if (url === null) return "its URL is none";
  const { protocol } = url;
  const isWebSocket =
    protocol === "ws:" || protocol === "wss:" || member(entry, "_resourceType") === "websocket";
  if (isWebSocket) return "it is a WebSocket";
  if (protocol === "data:") return "a data: URL is never sent";
  if (protocol !== "http:" && protocol !== "https:") return `${protocol} is not HTTP`;
  if (method === "CONNECT") return "CONNECT is for proxies";
  return undefined;
}

/** Milliseconds of a time of ISO 8601 with its zone. */
function timeOf(text: unknown): number | undefined {
  const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)$/;
  if (typeof text !== "string" || !iso.test(text)) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) return undefined;
  // `Date` has whole milliseconds, and some recordings have more digits.
  const digits = /\.\d{3}(\d+)/.exec(text)?.[1];
  return digits === undefined ? time : time + Number(`0.${digits}`);
}

/** Headers that belong to the connection, to the framing of the request, or that the URL says (RFC 9110, 7.6.1). */
const left: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function headersOf(list: unknown): Record<string, string[]> {
  const headers: Record<string, string[]> = Object.create(null);
  if (!Array.isArray(list)) return headers;
  const pairs: [string, string][] = [];
  for (const each of list) {
    const name = member(each, "name");
    const value = member(each, "value");
    if (typeof name === "string" && typeof value === "string") pairs.push([name, value]);
  }
  // Connection names further headers that are meant for the next hop alone.
  const hop = pairs
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) =>
      value
        .toLowerCase()
        .split(",")
        .map((each) => each.trim()),
    );
  // A header that came twice is sent twice, by the name that came first.
  const names = new Map<string, string>();
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    if (name.startsWith(":") || left.has(lower) || hop.includes(lower)) continue;
    const first = names.get(lower) ?? name;
    names.set(lower, first);
    (headers[first] ??= []).push(value);
  }
  return headers;
}

/** The body of a request: its text, or the parameters of a form. */
function bodyOf(postData: unknown): Uint8Array | undefined {
  const text = member(postData, "text");
  if (typeof text === "string" && text !== "") {
    const isBase64 = member(postData, "encoding") === "base64";
    return isBase64 ? new Uint8Array(Buffer.from(text, "base64")) : new TextEncoder().encode(text);
  }
  const params = member(postData, "params");
  if (!Array.isArray(params) || params.length === 0) return undefined;
  const type = member(postData, "mimeType");
  // Parts of files have no contents in a HAR.
  if (typeof type === "string" && !/^application\/x-www-form-urlencoded\b/i.test(type)) {
    return undefined;
  }
  const form = new URLSearchParams();
  for (const param of params) {
    form.append(String(member(param, "name") ?? ""), String(member(param, "value") ?? ""));
  }
  return new TextEncoder().encode(form.toString());
}

/** Whether a request had a body, which may be missing in the HAR. */
function hadBody(request: unknown): boolean {
  const params = member(member(request, "postData"), "params");
  return Number(member(request, "bodySize")) > 0 || (Array.isArray(params) && params.length > 0);
}

/** A property of what may be an object. */
function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}
