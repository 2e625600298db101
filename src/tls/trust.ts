/** The certificates that clients without `ca` trust: the system's store, or the roots that Bun ships. */

import { readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { environmentVariable } from "../core/environment.ts";
import { core } from "../core/native.ts";
import { byteLengthOf } from "../values/views.ts";
import { checkedContext, materialFailure, TlsError } from "./errors.ts";
import { fileBytes } from "./file_bytes.ts";
import { contextReason } from "./text.ts";

/** Certificates, and where they come from. */
interface TrustSource {
  readonly certificates: Uint8Array;
  readonly place: string;
  /** Whether it is one file of many in a folder. Such a file is skipped if it is not a certificate. */
  readonly isOneOfMany?: boolean;
}

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

/** Adds the system's store to a context. */
export function loadSystemTrust(id: number): void {
  for (const { certificates, place, isOneOfMany } of trustSources()) {
    const outcome = core.tlsContextTrust(id, certificates, byteLengthOf(certificates));
    if (outcome < 0 && isOneOfMany !== true)
      throw materialFailure(`the certificates to trust in ${place}`, contextReason());
  }
}

/**
 * Where trust comes from:
 *
 * 1. `SSL_CERT_FILE` and `SSL_CERT_DIR` (a list of folders): those of the two that are set
 * 2. else the system's bundle, or its folder of certificates with hashed names
 * 3. else Mozilla's roots, which Bun ships (`rootCertificates` of node:tls)
 *
 * @throws {TlsError} when a variable names what cannot be read, or no descriptors are left: to
 *   trust other certificates instead, or none, would hide that
 */
function trustSources(): readonly TrustSource[] {
  return fromEnvironment() ?? fromSystem() ?? [shippedRoots()];
}

function fromEnvironment(): TrustSource[] | undefined {
  const file = environmentVariable("SSL_CERT_FILE");
  const folders = environmentVariable("SSL_CERT_DIR");
  if (!file && !folders) return undefined;
  const sources: TrustSource[] = [];
  if (file) sources.push(bundleOf(file, "SSL_CERT_FILE"));
  for (const folder of (folders ?? "").split(delimiter)) {
    if (folder === "") continue;
    if (!isFolder(folder)) throw unreadable("SSL_CERT_DIR", folder);
    sources.push(...folderOf(folder, "SSL_CERT_DIR"));
  }
  return sources;
}

function fromSystem(): TrustSource[] | undefined {
  const bundle = usualBundles.find(isFile);
  if (bundle !== undefined) return [bundleOf(bundle, "the system's bundle")];
  for (const folder of usualFolders) {
    const sources = isFolder(folder) ? folderOf(folder, "the system's folder") : [];
    if (sources.length > 0) return sources;
  }
  return undefined;
}

function bundleOf(path: string, what: string): TrustSource {
  return { certificates: fileBytes(path, what), place: path };
}

function shippedRoots(): TrustSource {
  // Loaded only here, since loading it takes Bun some milliseconds.
  const { rootCertificates } = process.getBuiltinModule("node:tls");
  return { certificates: encoder.encode(rootCertificates.join("\n")), place: "Bun's roots" };
}

/**
 * The names of certificates in a folder: the hash of their subject and a number, such as 5ad8a5d6.0
 * (openssl-rehash(1)).
 */
const hashedName = /^[0-9a-f]{8}\.\d+$/;

/**
 * The files of a folder that have hashed names. All are read at once: OpenSSL would open them
 * during a handshake, and a FIFO among them would block the thread.
 */
function folderOf(folder: string, what: string): TrustSource[] {
  const sources: TrustSource[] = [];
  for (const name of namesIn(folder, what)) {
    if (!hashedName.test(name)) continue;
    const place = join(folder, name);
    try {
      sources.push({ certificates: fileBytes(place, what), place, isOneOfMany: true });
    } catch (error) {
      // A link to a certificate that was removed is skipped. A lack of descriptors is not: it would
      // hide all that follow.
      if (["EMFILE", "ENFILE"].includes((error as TlsError).code)) throw error;
    }
  }
  return sources;
}

function namesIn(folder: string, what: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code = "EIO", syscall = "open" } = error as NodeJS.ErrnoException;
    const reason = `${what} cannot be read`;
    throw new TlsError(code, { syscall, address: folder, reason, cause: error });
  }
}

function isFile(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && status.size > 0;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function unreadable(variable: string, path: string): TlsError {
  const reason = `${variable} names what is not there or empty`;
  return new TlsError("ENOENT", { syscall: "open", address: path, reason });
}
