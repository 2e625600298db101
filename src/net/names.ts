/** Resolving host names, with the core's resolver threads. */

import { AddressFamily, Status } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { withSignal } from "../runtime/scope.ts";
import {
  checkAdmission,
  immediate,
  type Operation,
  refusal,
  rejected,
  Wait,
} from "../runtime/wait.ts";
import { checkedAbortSignal, ownOptions, rangeMistake, typeMistake } from "../values/checks.ts";
import { checkedDeadline, type Deadline, never } from "../values/deadlines.ts";
import type { ErrorDetails } from "../values/errors.ts";
import { byteLengthOf } from "../values/views.ts";

/** The family of the addresses; 0 is both. */
export type Family = 0 | 4 | 6;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Room for the addresses of nearly every name. */
const textScratch = new Uint8Array(4096);

/** A look-up by the core's resolver. */
class LookUp implements Operation {
  readonly syscall = "getaddrinfo";
  readonly #host: string;

  constructor(host: string) {
    this.#host = host;
  }

  details(): ErrorDetails {
    return { syscall: this.syscall, address: this.#host };
  }

  woken(wait: Wait<unknown>, status: number, waiter: number): void {
    const addresses = status === Status.ok ? takeAddresses(waiter) : [];
    if (addresses.length > 0) wait.succeed(interleaved(addresses));
    else wait.interrupt(status === Status.ok ? Status.ENOTFOUND : status);
  }
}

function coreFamily(family: Family): number {
  if (family === 4) return AddressFamily.ipv4;
  return family === 6 ? AddressFamily.ipv6 : AddressFamily.unspecified;
}

/** The result of a look-up, with each address once. */
function takeAddresses(waiter: number): string[] {
  let text = textScratch;
  let length = core.takeAddresses(waiter, text, byteLengthOf(text));
  while (length > byteLengthOf(text)) {
    text = new Uint8Array(length);
    length = core.takeAddresses(waiter, text, byteLengthOf(text));
  }
  const lines = decoder.decode(text.subarray(0, Math.max(length, 0))).split("\n");
  return [...new Set(lines.filter((line) => line !== ""))];
}

/**
 * Alternates the families, beginning with that of the first address. Within a family the order stays (RFC
 * 8305, section 4, with a First Address Family Count of 1).
 */
export function interleaved(addresses: readonly string[]): string[] {
  const isIpv6 = (address: string): boolean => address.includes(":");
  const first = addresses.filter((address) => isIpv6(address) === isIpv6(addresses[0]!));
  const second = addresses.filter((address) => isIpv6(address) !== isIpv6(addresses[0]!));
  const ordered: string[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    ordered.push(...first.slice(index, index + 1), ...second.slice(index, index + 1));
  }
  return ordered;
}

/**
 * Whether a host is an IPv4 literal (4), an IPv6 literal (6), or a name (0). The network interface in the
 * zone of an IPv6 literal may come and go: a missing one is not a mistake.
 */
export function literalVersion(host: string): Family {
  const bytes = encoder.encode(host);
  if (bytes.byteLength === 0) return 0;
  const version = core.literalVersion(bytes, byteLengthOf(bytes)) as Family;
  if (version !== 0 || !/^[^%]+%[^%\s/\0]+$/.test(host)) return version;
  return literalVersion(host.slice(0, host.indexOf("%"))) === 6 ? 6 : 0;
}

/** A part of an IPv4 address in the C library's older notations: a number, or nothing. */
const number = "(?:0x[\\da-f]*|\\d*)";
const numbers = new RegExp(`^${number}(?:\\.${number})*$`, "i");

/** Text that looks like an address but is none is refused here, without a look-up. */
export function checkName(host: string): void {
  const isName = /^[^\s:/?#[\]@%\0]+$/.test(host) && !numbers.test(host);
  if (!isName || host.length > 255)
    throw typeMistake(`"${host}" is neither an address nor a host name`);
}

/** Checks a host against the family of the wanted addresses. */
export function checkHost(host: unknown, family: Family): asserts host is string {
  if (typeof host !== "string" || host === "") throw typeMistake("host is an address or a name");
  const version = literalVersion(host);
  if (version === 0) checkName(host);
  else if (family !== 0 && version !== family) {
    throw typeMistake(`${host} is no IPv${family} address`);
  }
}

export function checkedFamily(family: unknown): Family {
  if (family === undefined) return 0;
  if (family !== 0 && family !== 4 && family !== 6) throw rangeMistake("family is 4 or 6");
  return family;
}

/** The addresses of a host that needs no look-up. */
function knownAddresses(host: string, family: Family): string[] | undefined {
  if (literalVersion(host) !== 0) return [host];
  if (!/^(?:[^.]+\.)*localhost\.?$/i.test(host)) return undefined;
  if (family === 4) return ["127.0.0.1"];
  return family === 6 ? ["::1"] : ["::1", "127.0.0.1"];
}

/**
 * The addresses of a host in the order in which they should be tried, at least one. A literal is its own
 * address. `localhost` and the names below it are this machine, without a look-up (RFC 6761, section
 * 6.3).
 */
export function addressesOf(
  host: string,
  family: Family,
  deadline: Deadline,
): Promise<string[]> | string[] {
  const known = knownAddresses(host, family);
  if (known !== undefined) return known;
  const lookUp = new LookUp(host);
  const refused = refusal(lookUp, never);
  if (refused !== undefined) return rejected(refused, "getaddrinfo");
  const wait = new Wait<string[]>(lookUp);
  const name = encoder.encode(host);
  const waiter = core.resolve(name, byteLengthOf(name), coreFamily(family), deadline);
  return wait.beginUnder(waiter);
}

/** Options of `resolve`. */
export interface ResolveOptions {
  /** Only IPv4 or only IPv6 addresses. */
  family?: 4 | 6 | undefined;
  /** When to give up. */
  deadline?: number | undefined;
  /** Gives up when it is aborted; its reason becomes the `cause` of the `CancelledError`. */
  signal?: AbortSignal | undefined;
}

const resolveOptions: ReadonlySet<string> = new Set(["family", "deadline", "signal"]);

/**
 * Looks up a host name as the system does (getaddrinfo(3): the hosts file, name servers), and returns its
 * addresses, each once, in the order in which `connect` tries them: at least one, as literals that
 * `connect` takes as `host`. A literal is its own address. `localhost`, and every name that ends with
 * `.localhost`, is this machine.
 *
 * @throws {TypeError} {RangeError} for a value that is not a host name, and for options that are unknown
 *   or wrong
 * @throws {SocketError} with the host as `address`: `ENOTFOUND` when it has no such address, `EAI_AGAIN`
 *   when no name server answers, and the like
 * @throws {TimeoutError} {CancelledError} at once; the look-up of the system ends later, and its result
 *   is ignored
 */
export async function resolve(host: string, options: ResolveOptions = {}): Promise<string[]> {
  const own = ownOptions(options, resolveOptions, "resolve");
  const family = checkedFamily(own.family);
  checkHost(host, family);
  const { deadline, signal } = own;
  const until = checkedDeadline(deadline);
  return await withSignal(new LookUp(host), checkedAbortSignal(signal), async () => {
    checkAdmission(new LookUp(host), until);
    const addresses = addressesOf(host, family, until);
    return await (Array.isArray(addresses) ? immediate(addresses, "getaddrinfo") : addresses);
  });
}
