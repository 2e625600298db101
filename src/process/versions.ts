/** The versions of plait and of its parts. */

import manifest from "../../package.json" with { type: "json" };
import { opensslVersion } from "../tls/text.ts";

export interface Versions {
  readonly plait: string;
  /** OpenSSL's version number alone, such as `3.5.7`. */
  readonly openssl: string;
}

/** The versions of plait and of the OpenSSL in its core. */
export function versions(): Versions {
  const text = opensslVersion();
  return { plait: manifest.version, openssl: /\d+\.\d+\.\d+\S*/.exec(text)?.[0] ?? text };
}
