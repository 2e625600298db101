/** Checks of the options of TLS, and what the core takes in their place. */

import { checkFunction, rangeMistake, typeMistake } from "../values/checks.ts";
import type { TlsOptions, TlsVersion } from "./options.ts";

/** The numbers of RFC 8446, section 4.1.2; 0 is the core's default. */
const versionNumbers: Readonly<Record<TlsVersion, number>> = {
  "TLSv1.2": 0x0303,
  "TLSv1.3": 0x0304,
};

const clientAuthNumbers = { none: 0, request: 1, require: 2 } as const;

const encoder = new TextEncoder();

/** The number of a name; 0 if none is given. */
function numberOf(
  numbers: Readonly<Record<string, number>>,
  name: unknown,
  option: string,
): number {
  if (name === undefined) return 0;
  if (typeof name === "string" && Object.hasOwn(numbers, name)) return numbers[name]!;
  const names = Object.keys(numbers).map((each) => `"${each}"`);
  throw typeMistake(`${option} is one of ${names.join(", ")}, not ${String(name)}`);
}

/** Both bounds. The lower one must not be above the higher one. */
export function versionRange({ minVersion, maxVersion }: TlsOptions): [number, number] {
  const least = numberOf(versionNumbers, minVersion, "minVersion");
  const most = numberOf(versionNumbers, maxVersion, "maxVersion");
  if (most !== 0 && least > most) throw rangeMistake("minVersion is above maxVersion");
  return [least, most];
}

export function clientAuthNumber(clientAuth: unknown): number {
  return numberOf(clientAuthNumbers, clientAuth, "clientAuth");
}

/** Text for the core, which takes none that is empty. */
export function checkedText(value: unknown, option: string): Uint8Array {
  if (typeof value !== "string" || value === "") throw typeMistake(`${option} is a string`);
  if (value.includes("\0")) throw typeMistake(`${option} has a NUL in it`);
  return encoder.encode(value);
}

/** Protocol names in the form of RFC 7301, section 3.1: each after its length. */
export function protocolNames(alpn: unknown): Uint8Array {
  if (!Array.isArray(alpn) || alpn.length === 0) {
    throw typeMistake("alpn is a list of protocol names");
  }
  const parts = Array.from(alpn, (name: unknown) => {
    const bytes = checkedText(name, "each of alpn");
    if (bytes.byteLength > 255) throw rangeMistake("a name in alpn is longer than 255 bytes");
    return Uint8Array.of(bytes.byteLength, ...bytes);
  });
  const names = Buffer.concat(parts);
  // The extension has two bytes for the length of all names.
  if (names.byteLength > 65_533) throw rangeMistake("alpn is longer than 65,533 bytes");
  return names;
}

/** A server's name, without the final dot of a root (RFC 6066, section 3). */
export function checkedServerName(name: unknown, option: string): string {
  if (typeof name !== "string") throw typeMistake(`${option} is a string`);
  // The zone of an IPv6 address has a meaning on this machine alone (RFC 4007).
  const withoutZone = name.includes(":") ? name.replace(/%.*$/, "") : name;
  const withoutDot = withoutZone.endsWith(".") ? withoutZone.slice(0, -1) : withoutZone;
  const hasEmptyLabel = /^\.|\.\.|\.$/.test(withoutDot);
  if (hasEmptyLabel || !/^[A-Za-z0-9_.:-]{1,253}$/.test(withoutDot)) {
    throw typeMistake(
      `${option} is a host name in its ASCII form or an IP address, not ${JSON.stringify(name)}`,
    );
  }
  return withoutDot;
}

interface NamedValue {
  /** As the caller has written it. */
  readonly name: string;
  /** In lower case and without a final dot, as the core compares it. */
  readonly pattern: Uint8Array;
  readonly value: unknown;
}

/**
 * The names of `sni` with their values. It must be a plain object: names that an object inherits,
 * or that a Map has, would have no effect.
 */
export function checkedNames(sni: unknown): NamedValue[] {
  const isObject = typeof sni === "object" && sni !== null;
  const prototype: unknown = isObject ? Object.getPrototypeOf(sni) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    throw typeMistake("sni is a plain object with names, or a function");
  }
  const patterns = new Set<string>();
  return Object.getOwnPropertyNames(sni).map((name) => {
    const pattern = checkedPattern(name).toLowerCase();
    if (patterns.has(pattern)) throw typeMistake(`sni has the name "${pattern}" twice`);
    patterns.add(pattern);
    const value = (sni as Record<string, unknown>)[name];
    return { name, pattern: encoder.encode(pattern), value };
  });
}

/** A key of `sni`: a host name, or one with an asterisk as its first label. */
function checkedPattern(name: string): string {
  if (name.startsWith("*.")) return `*.${checkedServerName(name.slice(2), "a name in sni")}`;
  return checkedServerName(name, "a name in sni");
}

/**
 * The passphrase of a key; empty if there is none. OpenSSL takes at most 1024 bytes, and for
 * PKCS#12 no NUL among them.
 */
export function checkedPassphrase(passphrase: unknown): Uint8Array {
  if (passphrase === undefined || passphrase === "") return new Uint8Array(0);
  const bytes = checkedText(passphrase, "passphrase");
  if (bytes.byteLength > 1024) throw rangeMistake("passphrase is longer than 1024 bytes");
  return bytes;
}

/** Checks the options that are not parsed, but kept for connections. */
export function checkUnparsed(options: TlsOptions): void {
  checkFunction(options.onSession, "onSession");
  checkFunction(options.onKeyLog, "onKeyLog");
  const { session } = options;
  if (session !== undefined && !(session instanceof Uint8Array)) {
    throw typeMistake("session is a Uint8Array that onSession had");
  }
}
