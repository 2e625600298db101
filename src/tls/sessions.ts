/**
 * Sessions for resumption, as callers keep them. OpenSSL checks no certificate when it resumes a
 * session: it takes the server for the one of that time, and the server takes the client for the one
 * of that time. So a session is bound to what was checked then, for which name, and to the client's own
 * certificate; one that does not fit is left alone.
 */

import { bytesOfView } from "../values/views.ts";
import type { ParsedContext } from "./parsed.ts";

const sealBytes = 16;

/** A session with its seal before it. */
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

/** The session for OpenSSL; empty when its seal is another one. */
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
