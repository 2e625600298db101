/** The errors of TLS. */

import { Status, TlsText } from "../core/abi.ts";
import { core } from "../core/native.ts";
import { codeOf, detail, type ErrorDetails, SocketError } from "../values/errors.ts";
import { certificateOf, type X509Certificate } from "./certificates.ts";
import { contextReason, tlsBytes, tlsText, verificationText } from "./text.ts";
import { verificationName } from "./verification.ts";

/**
 * TLS failed. `code` is one of
 *
 * - for a certificate that was refused, Node's name for the reason: `CERT_HAS_EXPIRED`,
 *   `DEPTH_ZERO_SELF_SIGNED_CERT`, `UNABLE_TO_GET_ISSUER_CERT_LOCALLY`, `CERT_REVOKED`, and
 *   `ERR_TLS_CERT_ALTNAME_INVALID` for the certificate of another host. `certificate` shows it
 * - `ERR_TLS_TRUNCATED` when the stream ended without close_notify: the data that was read may lack its
 *   end. Also when the peer ended the connection during the handshake
 * - `ERR_TLS_UNKNOWN_SERVER_NAME` when the `sni` function of a listener refused a name
 * - `ERR_SSL_CLIENT_HELLO_CHANGED` when a client answered a HelloRetryRequest with a ClientHello that
 *   differs in more than RFC 8446, section 4.1.2 allows
 * - `ERR_TLS_TOO_MANY_HANDSHAKES` when a listener gave a handshake up for a newer one (`maxHandshakes`)
 * - `ERR_SSL_` and OpenSSL's reason for every other failure of a connection, alerts of the peer included:
 *   `ERR_SSL_WRONG_VERSION_NUMBER`, `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA`
 * - `ERR_OSSL_` and OpenSSL's reason for a key or a certificate that cannot be used
 * - the system's name, such as `ENOENT`, for a file that cannot be read
 */
export class TlsError extends SocketError {
  override readonly name = "TlsError";
  /** The meaning of the code, mostly in OpenSSL's words, such as `wrong version number`. */
  readonly reason: string | undefined;
  readonly #refused: Uint8Array | undefined;

  /** @param refused the certificate of the peer in DER, if it was refused */
  constructor(code: string, details: ErrorDetails = {}, refused?: Uint8Array) {
    super(code, details);
    this.reason = detail(details, "reason");
    this.#refused = refused;
  }

  /** The peer's certificate, if it was refused. Each call parses it anew. */
  get certificate(): X509Certificate | undefined {
    return this.#refused && certificateOf(this.#refused);
  }
}

/** The error of a connection that failed with a status of the core. Its handle must still be open. */
export function failureOf(handle: number, status: number, details: ErrorDetails): SocketError {
  if (status === Status.tlsTruncated) {
    const reason =
      details.syscall === "handshake"
        ? "the peer ended the connection in the handshake"
        : "the connection ended without close_notify";
    return new TlsError("ERR_TLS_TRUNCATED", { ...details, reason });
  }
  if (status !== Status.tlsFailed) return new SocketError(codeOf(status), details);
  const reason = tlsText(handle, TlsText.reason);
  const result = core.tlsVerifyResult(handle);
  // A client that accepts every certificate may have failed for another reason.
  if (result > 0 && (reason === undefined || reason.endsWith("certificate verify failed"))) {
    const refused = tlsBytes(handle, TlsText.certificate);
    const because = { ...details, reason: verificationText(result) };
    return new TlsError(verificationName(result), because, refused);
  }
  return new TlsError(codeOfReason("ERR_SSL", reason), { ...details, reason });
}

/** The error of a key, a certificate or other material that cannot be used. */
export function materialFailure(what: string, reason: string): TlsError {
  return new TlsError(codeOfReason("ERR_OSSL", reason), {
    syscall: "tls",
    reason: `${what}: ${reason}`,
  });
}

/** The number of a context that the core has made. A negated status is thrown as its error. */
export function checkedContext(id: number): number {
  if (id >= 0) return id;
  if (-id === Status.tlsFailed) throw materialFailure("no context", contextReason());
  throw new SocketError(codeOf(-id), { syscall: "tls" });
}

/** Makes `ERR_SSL_WRONG_VERSION_NUMBER` of `SSL routines: wrong version number`, as Node does. */
function codeOfReason(prefix: string, reason = "unspecified"): string {
  const words = reason.slice(reason.lastIndexOf(": ") + 1).trim();
  return `${prefix}_${words.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}`;
}
