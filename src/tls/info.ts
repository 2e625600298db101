/** What is known of a TLS connection. */

import { TlsText } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { certificateOf, type X509Certificate } from "./certificates.ts";
import { peerCertificates, tlsText } from "./text.ts";
import { verificationName } from "./verification.ts";

/** What is known of a TLS connection, as it was when it was asked first: `Socket.tls`. */
export class TlsInfo {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly protocol: string;
  /** OpenSSL's name of the cipher suite, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** The group of the key exchange, such as `X25519MLKEM768`. */
  readonly group: string | undefined;
  /** The application protocol that was agreed on. */
  readonly alpn: string | undefined;
  /**
   * The name that the client asked for, in lower case and without a final dot, as `sni` gets it. Undefined
   * if it sent none, or none that a host can have; an IP address is not sent.
   */
  readonly serverName: string | undefined;
  /**
   * Whether the peer has a certificate and everything about it is in order: whom one trusts, and the
   * name if there is one to be looked at. Without `verifyPeer`, or without `verifyIssuer`, a connection
   * may stand although it is not. Of a resumed session it is what was found then.
   */
  readonly verified: boolean;
  /**
   * What is wrong with the peer's certificate, as the `code` of `TlsError`; of several things what was
   * found last, or without `verifyPeer` what was found first.
   */
  readonly verifyError: string | undefined;
  /** Whether the session is an earlier one that was resumed. */
  readonly resumed: boolean;
  readonly #certificates: readonly Uint8Array[];
  #chain: readonly X509Certificate[] | undefined;

  /** @internal */
  constructor(handle: number) {
    this.protocol = tlsText(handle, TlsText.protocol) ?? "";
    this.cipher = tlsText(handle, TlsText.cipher) ?? "";
    this.group = tlsText(handle, TlsText.group);
    this.alpn = tlsText(handle, TlsText.alpn);
    this.serverName = tlsText(handle, TlsText.serverName);
    this.resumed = core.tlsIsResumed(handle) === 1;
    this.#certificates = peerCertificates(handle);
    const result = core.tlsVerifyResult(handle);
    const hasCertificate = this.#certificates.length > 0;
    this.verified = hasCertificate && result === 0;
    this.verifyError = hasCertificate && result > 0 ? verificationName(result) : undefined;
  }

  /** The peer's certificate; undefined for a client without. Parsed when it is asked for. */
  get certificate(): X509Certificate | undefined {
    return this.chain[0];
  }

  /**
   * The certificates that the peer has sent, its own first. They are what it says, not what was found
   * to be its chain. A resumed session has the peer's own alone.
   */
  get chain(): readonly X509Certificate[] {
    this.#chain ??= this.#certificates.map(certificateOf);
    return this.#chain;
  }
}
