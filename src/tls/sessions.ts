/**
 * Sessions for resumption, as callers keep them. When OpenSSL resumes a session it checks no certificate:
 * each side takes the other for the peer of the first handshake. So a session is sealed with the checks
 * that were made, the name, and the client's own certificate. One whose seal does not match is not used.
 */

import { bytesOfView } from "../values/views.ts";
import type { ParsedContext } from "./parsed.ts";

const sealBytes = 16;

/** A session behind its seal. */
export function sealSession(
  session: Uint8Array,
  context: ParsedContext,
  serverName: string,
): Uint8Array {
  const sealed = new Uint8Array(sealBytes + session.byteLength);
  sealed.set(sealFor(context, serverName));
  sealed.set(session, sealBytes);
  return sealed;
}

/** The session for OpenSSL; empty when its seal does not match. */
export function unsealSession(
  sealed: Uint8Array,
  context: ParsedContext,
  serverName: string,
): Uint8Array {
  const bytes = bytesOfView(sealed);
  const fits = Buffer.compare(bytes.subarray(0, sealBytes), sealFor(context, serverName)) === 0;
  return fits ? bytes.subarray(sealBytes) : new Uint8Array(0);
}

function sealFor({ policy }: ParsedContext, serverName: string): Uint8Array {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(`plait session 1\n${policy}\n${serverName.toLowerCase()}`);
  return hash.digest().subarray(0, sealBytes);
}
