/** What `node:tls` shows of an encrypted connection, from what plait knows of it. */

import type { CipherNameAndProtocol, DetailedPeerCertificate, PeerCertificate } from "node:tls";
import type { X509Certificate } from "../tls/certificates.ts";
import type { TlsInfo } from "../tls/info.ts";

/** The certificate of the peer as a plain object; with its issuers if `detailed`. */
export function peerCertificate(
  info: TlsInfo,
  detailed: boolean,
): PeerCertificate | DetailedPeerCertificate | Record<string, never> {
  const [own, ...issuers] = info.chain;
  if (own === undefined) return {};
  const certificate = own.toLegacyObject() as DetailedPeerCertificate;
  if (!detailed) return certificate;
  let last = certificate;
  let lastParsed = own;
  for (const issuer of issuers) {
    if (!lastParsed.checkIssued(issuer)) break;
    last.issuerCertificate = issuer.toLegacyObject() as DetailedPeerCertificate;
    last = last.issuerCertificate;
    lastParsed = issuer;
  }
  // As with Node, a root is its own issuer.
  if (isSelfIssued(lastParsed)) last.issuerCertificate = last;
  return certificate;
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.issuer === certificate.subject && certificate.checkIssued(certificate);
}

/** The cipher suite, with the name that IANA gives it. */
export function cipherOf(info: TlsInfo): CipherNameAndProtocol {
  const { cipher: name, protocol } = info;
  if (name.startsWith("TLS_")) return { name, standardName: name, version: "TLSv1.3" };
  return { name, standardName: standardName(name), version: protocol };
}

/** For example TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 for ECDHE-RSA-AES128-GCM-SHA256. */
function standardName(name: string): string {
  const [, exchange = "RSA", rest = name] =
    /^((?:EC)?DHE-(?:RSA|ECDSA|PSK)|PSK)-(.*)$/.exec(name) ?? [];
  let suite = rest
    .replace(/(AES|ARIA|CAMELLIA)(\d+)/, "$1_$2")
    .replace(/^(AES_\d+)-(SHA)/, "$1_CBC_$2")
    .replaceAll("-", "_");
  if (suite === "CHACHA20_POLY1305") suite += "_SHA256";
  return `TLS_${exchange.replaceAll("-", "_")}_WITH_${suite}`;
}
