/** Host names to addresses, by the core's resolver threads. */

import { AddressFamily, Limits, Status } from "./abi.ts";
import type { ErrorDetails } from "./errors.ts";
import { core } from "./native.ts";
import { interrupt } from "./scheduler.ts";
import { Wait } from "./wait.ts";

/** Which addresses are wanted; 0 is both kinds. */
export type Family = 0 | 4 | 6;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const textBytes = Limits.resolvedAddresses * (Limits.addressTextBytes + 1);

class ResolveWait extends Wait<string[]> {
  readonly #host: string;
  /** The waiter's number once more, for it is not parked any more when it is woken. */
  #waiter = 0;

  constructor(host: string) {
    super();
    this.#host = host;
  }

  override get syscall(): string {
    return "getaddrinfo";
  }

  override details(): ErrorDetails {
    return { syscall: this.syscall, address: this.#host };
  }

  start(family: Family, deadline: number): Promise<string[]> {
    const name = encoder.encode(this.#host);
    this.#waiter = core.resolve(name, name.byteLength, coreFamily(family), deadline);
    return this.park(this.#waiter);
  }

  override wake(status: number): void {
    if (status !== Status.ok) {
      this.fail(this.errorOf(status));
      return;
    }
    const text = new Uint8Array(textBytes);
    const length = core.takeAddresses(this.#waiter, text, text.byteLength);
    const lines = decoder.decode(text.subarray(0, Math.max(length, 0))).split("\n");
    this.succeed([...new Set(lines.filter((line) => line !== ""))]);
  }
}

function coreFamily(family: Family): number {
  if (family === 4) return AddressFamily.ipv4;
  return family === 6 ? AddressFamily.ipv6 : AddressFamily.unspecified;
}

/** Whether a host is an IPv4 literal (4), an IPv6 literal (6), or a name (0). */
export function literalVersion(host: string): Family {
  const bytes = encoder.encode(host);
  return bytes.byteLength === 0 ? 0 : (core.literalVersion(bytes, bytes.byteLength) as Family);
}

/**
 * The addresses of a host in the order in which they should be tried. A literal is its own address,
 * and `localhost` is this machine without any look-up (RFC 6761, section 6.3).
 *
 * @param onWait gets a function that gives the look-up up, if there has to be one
 */
export function addressesOf(
  host: string,
  family: Family,
  deadline: number,
  onWait?: (giveUp: () => void) => void,
): Promise<string[]> | string[] {
  if (literalVersion(host) !== 0) return [host];
  if (host === "localhost" || host === "localhost.") {
    if (family === 4) return ["127.0.0.1"];
    return family === 6 ? ["::1"] : ["::1", "127.0.0.1"];
  }
  const wait = new ResolveWait(host);
  const addresses = wait.start(family, deadline);
  onWait?.(() => interrupt(wait, Status.cancelled));
  return addresses;
}
