/** Replays of access logs in the common and the combined format, as nginx and Apache write them. */

import { ownOptions, typeMistake } from "../../values/checks.ts";
import { readLines } from "./files.ts";
import { type Replay, ReplayBuilder, type ReplayRequest } from "./replay.ts";

/** Options of `readAccessLog`. */
export interface AccessLogOptions {
  /**
   * POST, PUT and PATCH, whose bodies a log does not have: `skip` leaves them out (the default), and `send` sends
   * them without a body.
   */
  readonly withoutBody?: "skip" | "send" | undefined;
  /** Whether the Referer and the User-Agent of the combined format are sent. True by default. */
  readonly headers?: boolean | undefined;
}

/** Bytes of a line. Longer ones do not parse. */
export const mostLogLineBytes = 65_536;

const quoted = '"((?:[^"\\\\]|\\\\.)*)"';
/** Host, identity, user, time, request, status and bytes; then perhaps Referer and User-Agent; more may follow. */
const line = new RegExp(
  `^\\S+ \\S+ [^"[\\]]+ \\[(\\d\\d)/([A-Z][a-z][a-z])/(\\d{4}):(\\d\\d):(\\d\\d):(\\d\\d) ([+-])(\\d\\d)(\\d\\d)\\] ` +
    `${quoted} \\d{3} (?:\\d+|-)(?: ${quoted} ${quoted}(?: .*)?)?$`,
);
const requestLine = /^(\S+) (\S+) HTTP\/\d(?:\.\d)?$/;
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const bodied: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/**
 * Reads the requests of an access log. Its times have whole seconds: requests of the same second are spread evenly
 * over it. Lines that do not parse are counted, and the first one is shown.
 *
 * @throws {TypeError} for wrong options
 * @throws {DataFileError} if it cannot be read, or has no request or too many
 */
export function readAccessLog(path: string, options: AccessLogOptions = {}): Replay {
  const own = ownOptions(options, new Set(["withoutBody", "headers"]), "readAccessLog");
  const { withoutBody = "skip", headers: hasHeaders = true } = own;
  if (withoutBody !== "skip" && withoutBody !== "send") {
    throw typeMistake('withoutBody is "skip" or "send"');
  }
  if (typeof hasHeaders !== "boolean") throw typeMistake("headers is true or false");
  const builder = new ReplayBuilder(path, "an access log");
  /** Equal requests are one object: a long log has mostly few. Undefined is for what does not parse. */
  const known = new Map<string, ReplayRequest | undefined>();
  readLines(path, mostLogLineBytes, (text) => {
    if (text === "") return;
    const found = text === undefined ? null : line.exec(text);
    const time = found === null ? undefined : timeOf(found);
    const request = found === null ? undefined : requestOf(found);
    if (time === undefined || request === undefined) {
      builder.skip(
        "a line does not parse",
        text ?? `a line of more than ${mostLogLineBytes} bytes`,
      );
    } else if (withoutBody === "skip" && bodied.has(request.method)) {
      builder.skip(`the log has no bodies, as of ${request.method}`, text!);
    } else {
      builder.add(time, request, text!);
    }
  });
  return builder.finish(1000);

  function requestOf(found: RegExpExecArray): ReplayRequest | undefined {
    const [, , , , , , , , , , request, referer, agent] = found;
    // A quote within a field is written with a backslash.
    const key = hasHeaders ? `${request}"${referer}"${agent}` : request!;
    if (!known.has(key)) known.set(key, parsedRequest(found, hasHeaders));
    return known.get(key);
  }
}

function parsedRequest(found: RegExpExecArray, hasHeaders: boolean): ReplayRequest | undefined {
  const [, method, target] = requestLine.exec(unescaped(found[10]!)) ?? [];
  if (method === undefined || target === undefined) return undefined;
  // A proxy's log has whole URLs.
  const path = target.replace(/^https?:\/\/[^/?#]+(?=[/?]|$)/i, "") || "/";
  if (!path.startsWith("/") && !(path === "*" && method === "OPTIONS")) return undefined;
  const headers: Record<string, string> = {};
  if (hasHeaders) {
    addHeader(headers, "referer", found[11]);
    addHeader(headers, "user-agent", found[12]);
  }
  return { method, origin: undefined, path, headers, body: undefined };
}

function addHeader(
  headers: Record<string, string>,
  name: string,
  logged: string | undefined,
): void {
  if (logged !== undefined && logged !== "-" && logged !== "") headers[name] = unescaped(logged);
}

function timeOf(found: RegExpExecArray): number | undefined {
  const [, day, monthName, year, hour, minute, second, sign, zoneHours, zoneMinutes] = found;
  const month = months.indexOf(monthName!);
  const local = Date.UTC(
    Number(year),
    month,
    Number(day),
    Number(hour),
    Number(minute),
    // A leap second is the last one of its minute.
    Math.min(Number(second), 59),
  );
  const date = new Date(local);
  const isDate =
    month >= 0 &&
    date.getUTCDate() === Number(day) &&
    date.getUTCHours() === Number(hour) &&
    date.getUTCMinutes() === Number(minute) &&
    Number(second) <= 60;
  if (!isDate) return undefined;
  const zone = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  return sign === "+" ? local - zone : local + zone;
}

/** What nginx and Apache have written as `\x22`, `\"`, `\\`, `\n` and so on. */
function unescaped(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\(?:x([0-9A-Fa-f]{2})|(.))/g, (whole, hex?: string, letter?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    const controls: Record<string, string> = {
      n: "\n",
      r: "\r",
      t: "\t",
      b: "\b",
      v: "\v",
      f: "\f",
    };
    if (letter === '"' || letter === "\\") return letter;
    return controls[letter!] ?? whole;
  });
}
