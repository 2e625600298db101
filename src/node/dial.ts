/** Making the connection of a socket: the look-up of its host, and the attempts at its addresses. */

import net, { isIP, type LookupFunction } from "node:net";
import { core } from "../core/native.ts";
import { ConnectRace, type RaceTarget } from "../net/connect_race.ts";
import { addressesOf, interleaved } from "../net/names.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedPath, checkedPort } from "./arguments.ts";
import {
  connectError,
  nodeError,
  outOfRange,
  unsupported,
  wrongType,
  wrongValue,
} from "./errors.ts";
import type { AddressFilter } from "./options.ts";

/** What a socket tells its listeners while it connects. */
export interface DialEvents {
  lookedUp(error: Error | null, address?: string, family?: number, host?: string): void;
  attempted(address: string, port: number, family: number, isOneOfSeveral: boolean): void;
  attemptFailed(address: string, port: number, family: number, error: Error): void;
}

/** The target of a connect, checked. */
export interface Target {
  readonly path: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly family: 0 | 4 | 6;
  readonly localAddress: string | undefined;
  /** 0 is any. */
  readonly localPort: number;
  readonly lookup: LookupFunction | undefined;
  readonly hints: number;
  /** Whether all addresses of the host are tried, and not the first alone. */
  readonly triesAll: boolean;
  /** Milliseconds of head start of an address before the next one. */
  readonly attemptDelay: number;
  readonly blockList: AddressFilter | undefined;
}

// The runtime knows the options of its command line.
let triesAllByDefault = net.getDefaultAutoSelectFamily();
let defaultAttemptDelay = net.getDefaultAutoSelectFamilyAttemptTimeout();
const leastAttemptDelay = 10;

/** Whether `connect` tries all addresses of a host name, when `autoSelectFamily` is not given. */
export function getDefaultAutoSelectFamily(): boolean {
  return triesAllByDefault;
}

export function setDefaultAutoSelectFamily(value: boolean): void {
  triesAllByDefault = checkedBoolean(value, "value");
}

/** The milliseconds after which the next address is tried too. */
export function getDefaultAutoSelectFamilyAttemptTimeout(): number {
  return defaultAttemptDelay;
}

export function setDefaultAutoSelectFamilyAttemptTimeout(value: number): void {
  defaultAttemptDelay = checkedDelay(value, "value");
}

function checkedBoolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw wrongType(name, "of type boolean", value);
  return value;
}

function checkedDelay(value: unknown, name: string): number {
  if (typeof value !== "number") throw wrongType(name, "of type number", value);
  if (!Number.isInteger(value)) throw outOfRange(name, "an integer", value);
  if (value < 1 || value > 0x7fff_ffff) throw outOfRange(name, ">= 1 && <= 2147483647", value);
  return Math.max(value, leastAttemptDelay);
}

/** @internal Checks a `blockList`: a `net.BlockList`. */
export function checkedFilter(value: unknown): AddressFilter | undefined {
  if (value === undefined || value === null) return undefined;
  const filter = value as Partial<AddressFilter>;
  if (typeof filter.check === "function") return filter as AddressFilter;
  throw wrongType("options.blockList", "an instance of net.BlockList", value);
}

export function isBlocked(filter: AddressFilter | undefined, address: string): boolean {
  const version = filter === undefined ? 0 : isIP(address);
  return version !== 0 && filter!.check(address, version === 6 ? "ipv6" : "ipv4");
}

function familyOf(value: unknown): 0 | 4 | 6 {
  if (value === 4 || value === "IPv4") return 4;
  return value === 6 || value === "IPv6" ? 6 : 0;
}

/** The hints for a function that looks hosts up. plait's own look-up needs none. */
function checkedHints(hints: unknown): number {
  if (hints === undefined || hints === null || hints === 0) return 0;
  if (typeof hints !== "number") throw wrongType("options.hints", "of type number", hints);
  const { ADDRCONFIG, ALL, V4MAPPED } = process.getBuiltinModule("node:dns");
  if (hints & ~(ADDRCONFIG | ALL | V4MAPPED)) throw wrongValue("hints", hints, "is invalid");
  return hints;
}

/** Checks the options of `connect`, and throws what Node throws. */
export function checkedTarget(options: Record<string, unknown>): Target {
  const { path, port, localAddress, localPort, lookup, hints, family } = options;
  const hasPath = path !== undefined && path !== null && path !== "";
  if (!hasPath && port === undefined) {
    const text = 'The "options" or "port" or "path" argument must be specified';
    throw nodeError("ERR_MISSING_ARGS", text, TypeError);
  }
  if (options.handle !== undefined) throw unsupported("the option handle");
  const common = {
    family: familyOf(family),
    lookup: lookup as LookupFunction | undefined,
    hints: checkedHints(hints),
    triesAll: triesAllByDefault,
    attemptDelay: defaultAttemptDelay,
    localAddress: undefined,
    localPort: 0,
    blockList: checkedFilter(options.blockList),
  };
  if (hasPath) {
    if (typeof path !== "string") throw wrongType("options.path", "of type string", path);
    return { ...common, path, host: "", port: 0 };
  }
  const { host } = options;
  if (host !== undefined && host !== null && typeof host !== "string") {
    throw wrongType("options.host", "of type string", host);
  }
  if (localAddress && (typeof localAddress !== "string" || isIP(localAddress) === 0)) {
    throw nodeError("ERR_INVALID_IP_ADDRESS", `Invalid IP address: ${localAddress}`, TypeError);
  }
  if (localPort && typeof localPort !== "number") {
    throw wrongType("options.localPort", "of type number", localPort);
  }
  const checked = checkedPort(port, "options.port");
  const { autoSelectFamily, autoSelectFamilyAttemptTimeout: delay } = options;
  if (lookup !== undefined && lookup !== null && typeof lookup !== "function") {
    throw wrongType("options.lookup", "of type function", lookup);
  }
  return {
    ...common,
    path: undefined,
    host: host || "localhost",
    port: checked,
    localAddress: (localAddress as string) || undefined,
    localPort: localPort ? checkedPort(localPort, "options.localPort") : 0,
    triesAll:
      autoSelectFamily === undefined || autoSelectFamily === null
        ? triesAllByDefault
        : checkedBoolean(autoSelectFamily, "options.autoSelectFamily"),
    attemptDelay:
      delay === undefined || delay === null
        ? defaultAttemptDelay
        : checkedDelay(delay, "options.autoSelectFamilyAttemptTimeout"),
  };
}

const encoder = new TextEncoder();

/** Connects, and returns the handle. Run it in a fiber, whose cancellation ends it. */
export async function dial(target: Target, events: DialEvents): Promise<number> {
  try {
    if (target.path === undefined) return await dialHost(target, events);
    return await dialPath(target.path);
  } catch (error) {
    throw connectError(error, target);
  }
}

function dialPath(path: string): Promise<number> {
  const bytes = encoder.encode(checkedPath(path, "connect"));
  const begin = (): number => core.connectPath(bytes, byteLengthOf(bytes));
  return new ConnectRace({ host: path, port: undefined, addresses: [path], begin }, 0).start();
}

async function dialHost(target: Target, events: DialEvents): Promise<number> {
  const { host, port, localPort } = target;
  const found = isIP(host) === 0 ? await lookUp(target, events) : [host];
  const addresses = found.filter((address) => !isBlocked(target.blockList, address));
  if (addresses.length === 0) {
    throw nodeError("ERR_IP_BLOCKED", `IP(${found[0]}) is blocked by net.BlockList`);
  }
  const race: RaceTarget = {
    host,
    port,
    addresses,
    attemptDelay: target.attemptDelay,
    begin(address) {
      events.attempted(address, port, isIP(address), addresses.length > 1);
      const bytes = encoder.encode(address);
      const local = encoder.encode(localAddressFor(address, target));
      const localLength = byteLengthOf(local);
      // A buffer without a byte has no address.
      const source = localLength === 0 ? bytes : local;
      return core.connect(bytes, byteLengthOf(bytes), port, source, localLength, localPort);
    },
    failed(address, error) {
      events.attemptFailed(address, port, isIP(address), connectError(error, target));
    },
  };
  return await new ConnectRace(race, 0).start();
}

/** The address to connect from; empty if the system chooses it, and the port too. */
function localAddressFor(address: string, { localAddress, localPort }: Target): string {
  if (localAddress !== undefined) return localAddress;
  if (localPort === 0) return "";
  return isIP(address) === 6 ? "::" : "0.0.0.0";
}

/** The addresses of a host in the order in which they are tried, at least one. */
async function lookUp(target: Target, events: DialEvents): Promise<readonly string[]> {
  const { host, localAddress } = target;
  const family = localAddress === undefined ? target.family : (isIP(localAddress) as 4 | 6);
  const isSingle = family !== 0 || !target.triesAll;
  if (target.lookup !== undefined) return await lookUpBy(target.lookup, target, family, events);
  let addresses: readonly string[];
  try {
    addresses = await addressesOf(host, family, 0);
  } catch (error) {
    const failure = connectError(error);
    events.lookedUp(failure, undefined, undefined, host);
    throw failure;
  }
  // As with Node, a family that was asked for leaves all of its addresses but one.
  if (isSingle) addresses = addresses.slice(0, 1);
  for (const address of addresses) events.lookedUp(null, address, isIP(address), host);
  return addresses;
}

interface Found {
  readonly address: unknown;
  readonly family: unknown;
}

/** The addresses from a function of the program, which has the form of `dns.lookup`. */
async function lookUpBy(
  lookup: LookupFunction,
  target: Target,
  family: 0 | 4 | 6,
  events: DialEvents,
): Promise<readonly string[]> {
  const { host, hints, port } = target;
  const all = family === 0 && target.triesAll;
  const found = await new Promise<Found[]>((resolve, reject) => {
    const asked = { family: family || undefined, hints };
    const options = all ? { ...asked, all } : asked;
    lookup(host, options, (error, address, version) => {
      if (error) {
        events.lookedUp(error, undefined, undefined, host);
        reject(error);
      } else if (Array.isArray(address)) resolve(address);
      else resolve([{ address, family: version }]);
    });
  });
  const usable: string[] = [];
  for (const { address, family: version } of found) {
    events.lookedUp(null, address as string, version as number, host);
    const isAddress = typeof address === "string" && isIP(address) !== 0;
    if (isAddress && (version === 4 || version === 6)) usable.push(address);
  }
  if (usable.length > 0) return interleaved(usable);
  const { address, family: version } = found[0] ?? { address: undefined, family: undefined };
  if (typeof address !== "string" || isIP(address) === 0) {
    throw nodeError("ERR_INVALID_IP_ADDRESS", `Invalid IP address: ${address}`, TypeError);
  }
  const text = `Invalid address family: ${version} ${host}:${port}`;
  const error = nodeError("ERR_INVALID_ADDRESS_FAMILY", text, RangeError);
  throw Object.assign(error, { host, port });
}
