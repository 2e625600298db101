/** What `Socket.tls` shows. */

import { TlsText } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { certificateOf, type X509Certificate } from "./certificates.ts";
import { peerCertificates, tlsText } from "./text.ts";
import { verificationName } from "./verification.ts";

/**
 * The encryption of a connection and the certificate of its peer, as they were when `Socket.tls`
 * was first read.
 */
export class TlsInfo {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly protocol: string;
  /** OpenSSL's name of the cipher suite, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** The group of the key exchange, such as `X25519MLKEM768`. */
  readonly group: string | undefined;
  /** The application protocol that ALPN has chosen. */
  readonly alpn: string | undefined;
  /**
   * The name that the client sent, in lower case and without a final dot, as `sni` gets it.
   * Undefined if it sent none, or none that a host can have. Clients send no IP address.
   */
  readonly serverName: string | undefined;
  /**
   * Whether the peer has a certificate that passed every check: the issuer is trusted, and the name
   * matches if there is one to check. It can be false only with `verifyPeer: false` or
   * `verifyIssuer: false`, and for a peer without a certificate. A resumed session has the result
   * of its first handshake.
   */
  readonly verified: boolean;
  /**
   * What is wrong with the peer's certificate, as a `code` of `TlsError`. Of several faults it is
   * the one found last, with `verifyPeer: false` the first.
   */
  readonly verifyError: string | undefined;
  /** Whether the connection has resumed an earlier session. */
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

  /** The peer's certificate; undefined if it has none. It is parsed on first use. */
  get certificate(): X509Certificate | undefined {
    return this.chain[0];
  }

  /**
   * The certificates that the peer has sent, its own first: what it claims, not the chain that was
   * verified. A resumed session has the peer's own alone.
   */
  get chain(): readonly X509Certificate[] {
    this.#chain ??= this.#certificates.map(certificateOf);
    return this.#chain;
  }
}
