/** Text and bytes from the core: about a TLS connection, and about the last failure of a context. */

import { TlsText } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { byteLengthOf } from "../values/views.ts";

const decoder = new TextDecoder();
let scratch = new Uint8Array(4096);

/** A property of a connection, as bytes in memory of their own; undefined when it has none. */
export function tlsBytes(handle: number, what: number, index = 0): Uint8Array | undefined {
  let length = core.tlsText(handle, what, index, scratch, byteLengthOf(scratch));
  if (length > byteLengthOf(scratch)) {
    // Nothing was written yet. OpenSSL bounds a peer's certificate at some 100 KiB.
    scratch = new Uint8Array(length);
    length = core.tlsText(handle, what, index, scratch, byteLengthOf(scratch));
  }
  return length < 0 ? undefined : scratch.slice(0, length);
}

/** A property of a connection as text; undefined when it has none, or an empty one. */
export function tlsText(handle: number, what: number): string | undefined {
  const bytes = tlsBytes(handle, what);
  return bytes === undefined || bytes.byteLength === 0 ? undefined : decoder.decode(bytes);
}

/** The certificates that the peer has sent, in DER, its own first. */
export function peerCertificates(handle: number): Uint8Array[] {
  const certificates: Uint8Array[] = [];
  for (let index = 0; ; index++) {
    const bytes = tlsBytes(handle, TlsText.certificate, index);
    if (bytes === undefined || bytes.byteLength === 0) return certificates;
    certificates.push(bytes);
  }
}

/** OpenSSL's reason for the failure of the last call for a context. */
export function contextReason(): string {
  return scratchText(core.tlsContextReason(scratch, byteLengthOf(scratch)));
}

/** OpenSSL's own text for a result of verification. */
export function verificationText(result: number): string {
  return scratchText(core.tlsVerifyName(result, scratch, byteLengthOf(scratch)));
}

export function opensslVersion(): string {
  return scratchText(core.tlsOpensslVersion(scratch, byteLengthOf(scratch)));
}

/** The text that a call has written, which returned its length. */
function scratchText(length: number): string {
  return decoder.decode(scratch.subarray(0, Math.max(length, 0)));
}
