/** The certificates that clients without `ca` trust: the system's store, or the roots that Bun ships. */

import { readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { environmentVariable } from "../core/environment.ts";
import { core } from "../core/native.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedContext, materialFailure, type TlsError } from "./errors.ts";
import { fileBytes, unreadable } from "./file_bytes.ts";
import { contextReason } from "./text.ts";

/** The system's bundle is the first of these that exists. */
const usualBundles = [
  // Debian, Ubuntu, Alpine, Arch, Gentoo
  "/etc/ssl/certs/ca-certificates.crt",
  // Fedora, RHEL
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  // openSUSE
  "/etc/ssl/ca-bundle.pem",
  // macOS, Alpine, OpenBSD
  "/etc/ssl/cert.pem",
  // FreeBSD
  "/usr/local/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt",
];

const usualFolders = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

const encoder = new TextEncoder();

/** The context whose store others share, made on first use. */
let shared: number | undefined;

/**
 * A context with the system's store, for others to share. A store may have a hundred certificates,
 * which take some milliseconds to parse, and half a mebibyte.
 */
export function systemTrust(): number {
  if (shared !== undefined) return shared;
  const id = checkedContext(core.tlsContextCreate());
  try {
    loadSystemTrust(id);
  } catch (error) {
    core.tlsContextFree(id);
    throw error;
  }
  shared = id;
  return id;
}

/**
 * Adds the system's store to a context:
 *
 * 1. what `SSL_CERT_FILE` and `SSL_CERT_DIR` (a list of folders) name, if one of them is set
 * 2. else the system's bundle, or its folder of certificates with hashed names
 * 3. else Mozilla's roots, which Bun ships (`rootCertificates` of node:tls)
 *
 * @throws {TlsError} when a variable names what cannot be read, or no descriptors are left: to
 *   trust other certificates instead, or none, would hide that
 */
export function loadSystemTrust(id: number): void {
  const file = environmentVariable("SSL_CERT_FILE");
  const folders = environmentVariable("SSL_CERT_DIR");
  if (file) trustFile(id, file, "SSL_CERT_FILE");
  for (const folder of (folders ?? "").split(delimiter)) {
    if (folder !== "") trustFolder(id, folder, "SSL_CERT_DIR");
  }
  if (file || folders) return;
  const bundle = usualBundles.find(isFile);
  if (bundle !== undefined) {
    trustFile(id, bundle, "the system's bundle");
    return;
  }
  for (const folder of usualFolders) {
    if (isFolder(folder) && trustFolder(id, folder, "the system's folder") > 0) return;
  }
  // Loaded only here, since loading it takes Bun some milliseconds.
  const { rootCertificates } = process.getBuiltinModule("node:tls");
  trust(id, encoder.encode(rootCertificates.join("\n")), "Bun's roots");
}

function trust(id: number, certificates: Uint8Array, place: string): void {
  if (core.tlsContextTrust(id, certificates, byteLengthOf(certificates)) >= 0) return;
  throw materialFailure(`the certificates to trust in ${place}`, contextReason());
}

function trustFile(id: number, path: string, what: string): void {
  trust(id, fileBytes(path, what), path);
}

/**
 * The names of certificates in a folder: the hash of their subject and a number, such as 5ad8a5d6.0
 * (openssl-rehash(1)).
 */
const hashedName = /^[0-9a-f]{8}\.\d+$/;

/**
 * Trusts the files of a folder that have hashed names, and returns how many are certificates. All are
 * read at once: OpenSSL would open them during a handshake, and a FIFO among them would block the thread.
 */
function trustFolder(id: number, folder: string, what: string): number {
  let count = 0;
  for (const name of namesIn(folder, what)) {
    if (!hashedName.test(name)) continue;
    try {
      trustFile(id, join(folder, name), what);
      count++;
    } catch (error) {
      // What is no certificate is skipped, and so is a link to one that was removed. A lack of
      // descriptors is not: it would hide all that follow.
      if (["EMFILE", "ENFILE"].includes((error as TlsError).code)) throw error;
    }
  }
  return count;
}

function namesIn(folder: string, what: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw unreadable(folder, what, error);
  }
}

function isFile(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && status.size > 0;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
