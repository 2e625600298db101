/** Certificates as objects of `node:crypto`. */

import type { X509Certificate } from "node:crypto";

export type { X509Certificate };

/** Parses a certificate in DER. */
export function certificateOf(der: Uint8Array): X509Certificate {
  // Bun takes 35 ms to load this module, which most programs never need.
  const crypto = process.getBuiltinModule("node:crypto");
  return new crypto.X509Certificate(der);
}
