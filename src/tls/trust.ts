/** Whom clients trust when they are not told: the system's store, or the roots that Bun ships. */

import { readdirSync, statSync } from "node:fs";
import { delimiter } from "node:path";
import { environmentVariable } from "../environment.ts";
import { core } from "../native.ts";
import { byteLengthOf } from "../views.ts";
import { checkedContext, materialFailure, TlsError } from "./errors.ts";
import { fileBytes } from "./file_bytes.ts";
import { contextReason } from "./text.ts";

/** A bundle's bytes, or the path of a folder with hashed names. */
interface TrustSource {
  readonly bundle: Uint8Array | undefined;
  readonly place: string;
}

/** The first of these that is there is the system's bundle. */
const usualBundles = [
  // Debian, Ubuntu, Alpine, Arch, Gentoo
  "/etc/ssl/certs/ca-certificates.crt",
  // Fedora and its kin
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

/** The context whose store others share, once somebody has needed it. */
let shared: number | undefined;

/**
 * A context that trusts whom the system trusts, for others to share: there may be a hundred
 * certificates, which take some milliseconds to parse, and half a mebibyte.
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

/** Has a context trust whom the system trusts. */
export function loadSystemTrust(id: number): void {
  for (const { bundle, place } of trustSources()) {
    const path = encoder.encode(place);
    const outcome =
      bundle === undefined
        ? core.tlsContextTrustFolder(id, path, byteLengthOf(path))
        : core.tlsContextTrust(id, bundle, byteLengthOf(bundle));
    if (outcome < 0)
      throw materialFailure(`the certificates to trust in ${place}`, contextReason());
  }
}

/**
 * Where trust comes from:
 *
 * 1. `SSL_CERT_FILE` and `SSL_CERT_DIR` (a list of folders), if either is set; both if both are
 * 2. else the system's bundle, or its folder of certificates with hashed names
 * 3. else the roots of Mozilla's that Bun ships (`rootCertificates` of node:tls)
 *
 * @throws {TlsError} when a variable names what cannot be read, or no descriptors are left: to trust others
 *   instead, or nobody, would hide that
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
    sources.push({ bundle: undefined, place: folder });
  }
  return sources;
}

function fromSystem(): TrustSource[] | undefined {
  const bundle = usualBundles.find(isFile);
  if (bundle !== undefined) return [bundleOf(bundle, "the system's bundle")];
  const folder = usualFolders.find(hasHashedNames);
  return folder === undefined ? undefined : [{ bundle: undefined, place: folder }];
}

function bundleOf(path: string, what: string): TrustSource {
  return { bundle: fileBytes(path, what), place: path };
}

function shippedRoots(): TrustSource {
  // Loaded only here, for it takes Bun some milliseconds.
  const { rootCertificates } = process.getBuiltinModule("node:tls");
  return { bundle: encoder.encode(rootCertificates.join("\n")), place: "Bun's roots" };
}

function isFile(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && status.size > 0;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** OpenSSL finds certificates in a folder by the hash of their subject, such as 5ad8a5d6.0. */
function hasHashedNames(path: string): boolean {
  return isFolder(path) && readdirSync(path).some((name) => /^[0-9a-f]{8}\.\d+$/.test(name));
}

function unreadable(variable: string, path: string): TlsError {
  const reason = `${variable} names what is not there or empty`;
  return new TlsError("ENOENT", { syscall: "open", address: path, reason });
}
