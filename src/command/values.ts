/** The values of options that are more than a number or a time. Each error is one sentence. */

import { isIP } from "node:net";
import { checkMethod, fieldLines } from "../http/request.ts";
import type { FeederOrder } from "../load/data/feeder.ts";
import { perSecond, wholeNumber } from "../load/durations.ts";
import { type StatusRange, statusRanges } from "../load/statuses.ts";

/** A command line that is wrong. The message is one sentence; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Where a host's connections go instead. */
export interface ConnectTo {
  /** Whose connections; undefined for all. */
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | { readonly path: string };
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The body of a request: a text, or the path of a file. */
export type BodySource = { readonly text: string } | { readonly file: string };

/** Rows for a scenario. */
export interface DataSource {
  readonly name: string;
  readonly file: string;
  readonly order: FeederOrder;
}

export interface SearchRange {
  readonly from: number;
  readonly to: number;
}

export function parseMethod(text: string): string {
  try {
    checkMethod(text);
  } catch {
    throw new UsageError(`--method is a method such as GET or POST, not "${text}"`);
  }
  return text;
}

/** Headers that are written by themselves, with what says them instead. */
const ownHeaders: ReadonlyMap<string, string> = new Map([
  ["content-length", "the body has a length"],
  ["transfer-encoding", "the body has a length"],
  ["connection", "use --no-keep-alive"],
]);

export function parseHeader(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(":");
  if (colon < 1) {
    throw new UsageError(`--header is 'NAME: VALUE', not ${JSON.stringify(text)}`);
  }
  const name = text.slice(0, colon).trim();
  const value = text.slice(colon + 1).trim();
  const instead = ownHeaders.get(name.toLowerCase());
  if (instead !== undefined) {
    throw new UsageError(`--header cannot set ${name}, which is written by itself: ${instead}`);
  }
  try {
    fieldLines({ [name]: value });
  } catch (error) {
    throw new UsageError(`--header ${JSON.stringify(text)}: ${(error as Error).message}`);
  }
  return [name, value];
}

export function parseBody(text: string): BodySource {
  if (text.startsWith("@@")) return { text: text.slice(1) };
  if (!text.startsWith("@")) return { text };
  if (text === "@") throw new UsageError("--body @ has no file: write @FILE");
  return { file: text.slice(1) };
}

export function parseExpect(text: string): readonly StatusRange[] {
  return statusRanges(text, "--expect");
}

export function parseSearch(text: string): SearchRange {
  const [from, to, ...rest] = text.split(":");
  if (from === undefined || to === undefined || rest.length > 0) {
    throw new UsageError(`--search is two rates such as 1k:50k, not "${text}"`);
  }
  const range = { from: perSecond(from, "--search"), to: perSecond(to, "--search") };
  if (range.from <= 0) throw new UsageError("--search begins above 0");
  if (range.to <= range.from) throw new UsageError(`--search: ${text} ends before it begins`);
  return range;
}

export function parseSpeed(text: string): number {
  if (text === "max") return Number.POSITIVE_INFINITY;
  const speed = /^(?:\d+(?:\.\d+)?|\.\d+)$/.test(text) ? Number(text) : 0;
  if (speed > 0) return speed;
  throw new UsageError(`--speed is a number above 0, such as 2, or max, not "${text}"`);
}

export function parseConnectTo(text: string): ConnectTo {
  if (text.startsWith("unix:") && text.length > 5) {
    return { from: undefined, to: { path: text.slice(5) } };
  }
  const host = "(\\[[0-9A-Fa-f:.%]+\\]|[^:[\\]/]+)";
  const two = new RegExp(`^(?:${host}:(\\d+):)?${host}:(\\d+)$`).exec(text);
  const toPath = new RegExp(`^${host}:(\\d+):unix:(.+)$`).exec(text);
  if (toPath !== null) {
    return { from: endpoint(toPath[1]!, toPath[2]!), to: { path: toPath[3]! } };
  }
  if (two === null) {
    throw new UsageError(
      `--connect-to is HOST:PORT, unix:PATH or FROM:PORT:TO:PORT, not "${text}"`,
    );
  }
  const [, fromHost, fromPort, toHost, toPort] = two;
  return {
    from: fromHost === undefined ? undefined : endpoint(fromHost, fromPort!),
    to: endpoint(toHost!, toPort!),
  };

  function endpoint(name: string, port: string): Endpoint {
    return { host: name.replace(/^\[|\]$/g, ""), port: checkedPort(port, "--connect-to") };
  }
}

export function parseSource(text: string): string[] {
  return text.split(",").map((each) => {
    const address = each.trim().replace(/^\[|\]$/g, "");
    if (isIP(address) !== 0) return address;
    throw new UsageError(`--source is an address such as 127.0.0.2, not "${each.trim()}"`);
  });
}

export function parseListenAddress(text: string): Endpoint {
  const found = /^(?:(\[[0-9A-Fa-f:.]+\]|[^:[\]/]*):)?(\d+)$/.exec(text);
  if (found === null) {
    throw new UsageError(`--prometheus is :PORT or HOST:PORT, not "${text}"`);
  }
  const host = (found[1] ?? "").replace(/^\[|\]$/g, "");
  // Figures of a run are for this machine alone unless an address says otherwise.
  return { host: host || "127.0.0.1", port: checkedPort(found[2]!, "--prometheus", 0) };
}

export function parseData(text: string): DataSource {
  const found = /^([A-Za-z_][\w-]*)=(.+?)(?::(sequential|random|once))?$/.exec(text);
  if (found === null) {
    throw new UsageError(`--data is NAME=FILE, such as users=users.csv:random, not "${text}"`);
  }
  const [, name, file, order = "sequential"] = found;
  if (!/\.(?:csv|json)$/i.test(file!)) {
    throw new UsageError(`--data takes .csv and .json files, not "${file}"`);
  }
  return { name: name!, file: file!, order: order as FeederOrder };
}

/** One of several words. */
export function parseChoice<Choice extends string>(
  text: string,
  what: string,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((each) => each === text);
  if (found !== undefined) return found;
  const last = choices.at(-1);
  throw new UsageError(`${what} is ${choices.slice(0, -1).join(", ")} or ${last}, not "${text}"`);
}

/** A whole number from 1 on. */
export function parsePositive(text: string, what: string): number {
  const value = wholeNumber(text, what);
  if (value === 0) throw new UsageError(`${what} is at least 1, not 0`);
  return value;
}

const schemes = ["http:", "https:", "tcp:", "tls:", "unix:"];

/** Whether a positional argument is the file of a scenario. */
export function isScenario(text: string): boolean {
  return /\.[cm]?[jt]sx?$/i.test(text) && !/^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

/** Checks a target. The result is as it was given. */
export function parseTarget(text: string): string {
  const url = URL.parse(text);
  const scheme = /^([a-z][a-z0-9+.-]*:)(?:\/\/|\/)/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined && /[<>]/.test(text)) {
    throw new UsageError(`"${text}" is no URL: did you mean --threshold '${text}'?`);
  }
  if (scheme === undefined || url === null) {
    const guess = URL.parse(`http://${text}`);
    const isHost = guess !== null && /^[\w.-]+(?::\d+)?(?:[/?]|$)|^\[/.test(text);
    const hint = isHost ? `: did you mean http://${text}?` : ", and no scenario such as load.ts";
    throw new UsageError(`"${text}" is no URL${hint}`);
  }
  if (scheme === "ws:" || scheme === "wss:") {
    const right = scheme === "ws:" ? "http:" : "https:";
    throw new UsageError(
      `a scenario opens WebSockets itself: write ${right} in place of ${scheme}`,
    );
  }
  if (!schemes.includes(scheme)) {
    throw new UsageError(`"${text}": a target is ${schemes.join(", ")} or a scenario`);
  }
  const hasUser = url.username !== "" || url.password !== "";
  if (hasUser && !/^https?:$/.test(scheme)) {
    throw new UsageError(`a target of ${scheme} has no user and no password in it`);
  }
  if ((scheme === "tcp:" || scheme === "tls:") && url.port === "") {
    throw new UsageError(`"${text}" has no port: write ${scheme}//HOST:PORT`);
  }
  return text;
}

function checkedPort(text: string, what: string, least = 1): number {
  const port = Number(text);
  if (port >= least && port <= 65_535) return port;
  throw new UsageError(`${what}: a port is between ${least} and 65535, not ${text}`);
}
