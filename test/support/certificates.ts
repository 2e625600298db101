/** Certificates of all kinds, good and bad, which the `openssl` program makes once per test run. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CertificateAuthority,
  type Issued,
  makeKey,
  ofAuthority,
  openssl,
} from "./certificate_authority.ts";

/** The names in good certificates. */
const names = "subjectAltName=DNS:localhost,DNS:good.example,IP:127.0.0.1,IP:::1";
const manyNames = Array.from({ length: 400 }, (_, index) => `DNS:host-${index}.good.example`);
const ofServer = ["basicConstraints=CA:false", "extendedKeyUsage=serverAuth"];
const ofClient = ["basicConstraints=CA:false", "extendedKeyUsage=clientAuth"];

export interface Certificates {
  /** The root to trust, and one that is not trusted, as paths. */
  readonly root: string;
  readonly otherRoot: string;
  /** The authority between `root` and most of the others. */
  readonly intermediate: string;
  /**
   * The root's revocation list, and the intermediate's, which has `revoked` and `revokedClient`.
   */
  readonly revocations: readonly string[];
  /** The same lists, with an expired one of the intermediate. */
  readonly staleRevocations: readonly string[];
  readonly p256: Issued;
  readonly rsa: Issued;
  readonly ed25519: Issued;
  /** A certificate of 12 KiB, with many names. */
  readonly large: Issued;
  /** A certificate for good.example alone, and one for *.wild.example. */
  readonly named: Issued;
  readonly wildcard: Issued;
  readonly client: Issued;
  readonly expiredClient: Issued;
  readonly revokedClient: Issued;
  readonly strangeClient: Issued;
  readonly expired: Issued;
  readonly notYetValid: Issued;
  readonly wrongName: Issued;
  /** Has localhost as its common name alone. */
  readonly subjectOnly: Issued;
  readonly wrongIp: Issued;
  readonly selfSigned: Issued;
  readonly unknownIssuer: Issued;
  readonly revoked: Issued;
  readonly wrongUsage: Issued;
  /** Its signature does not match its issuer. */
  readonly forged: Issued;
  readonly weakSignature: Issued;
  readonly weakKey: Issued;
  readonly wrongKeyUsage: Issued;
  /**
   * Issued by certificates that may not issue: that of a server, one below the last authority, an
   * expired one.
   */
  readonly byServer: Issued;
  readonly tooDeep: Issued;
  readonly byExpired: Issued;
  /** Its intermediate may issue for permitted.example only. */
  readonly outOfBounds: Issued;
  /** `p256` as PKCS#12 under `passphrase`, and its key encrypted with it. */
  readonly pfx: string;
  readonly encryptedKey: string;
  readonly passphrase: string;
}

// Each test file has its own modules, but all share the process.
const key = "PLAIT_TEST_CERTIFICATES";
let made: Certificates | undefined;

/** The certificates, made on first use. */
export function certificates(): Certificates {
  if (made !== undefined) return made;
  let folder = process.env[key];
  if (folder === undefined || !existsSync(join(folder, "made.json"))) {
    folder = mkdtempSync(join(tmpdir(), "plait-certificates-"));
    writeFileSync(join(folder, "made.json"), JSON.stringify(make(folder)));
    process.env[key] = folder;
    const mine = folder;
    process.on("exit", () => rmSync(mine, { recursive: true, force: true }));
  }
  return (made = require(join(folder, "made.json")) as Certificates);
}

function make(folder: string): Certificates {
  const root = CertificateAuthority.root(folder, "root");
  const other = CertificateAuthority.root(folder, "other");
  const middle = root.intermediate("middle");
  const bounded = root.intermediate("bounded", {
    extensions: [...ofAuthority, "nameConstraints=critical,permitted;DNS:permitted.example"],
  });
  const below = (authority: CertificateAuthority, name: string): Issued =>
    authority.issue(name, { extensions: [...ofServer, names] });
  const server = (name: string, alternatives = names, rest: object = {}): Issued =>
    middle.issue(name, { extensions: [...ofServer, alternatives], ...rest });
  const client = (name: string, rest: object = {}): Issued =>
    middle.issue(name, { extensions: ofClient, ...rest });

  const revoked = server("revoked");
  const revokedClient = client("revokedClient");
  middle.revoke(revoked);
  middle.revoke(revokedClient);
  const p256 = server("p256");
  const passphrase = "correct horse";
  const pfx = join(folder, "p256.p12");
  const encryptedKey = join(folder, "encrypted.key");
  const secret = ["-passout", `pass:${passphrase}`];
  openssl(
    folder,
    "pkcs12",
    "-export",
    "-in",
    p256.chain,
    "-inkey",
    p256.key,
    "-out",
    pfx,
    ...secret,
  );
  openssl(folder, "pkey", "-in", p256.key, "-aes256", "-out", encryptedKey, ...secret);
  const rootRevocations = root.revocations("root");
  const stale = middle.revocations("stale", 1);
  return {
    root: root.cert,
    otherRoot: other.cert,
    intermediate: middle.cert,
    revocations: [rootRevocations, middle.revocations("middle")],
    staleRevocations: [rootRevocations, stale],
    p256,
    rsa: server("rsa", names, { kind: "rsa2048" }),
    ed25519: server("ed25519", names, { kind: "ed25519" }),
    large: server("large", [names, ...manyNames].join()),
    named: server("named", "subjectAltName=DNS:good.example"),
    wildcard: server("wildcard", "subjectAltName=DNS:*.wild.example"),
    client: client("client"),
    expiredClient: client("expiredClient", { from: -20, to: -10 }),
    revokedClient,
    strangeClient: other.issue("strangeClient", { extensions: ofClient }),
    expired: server("expired", names, { from: -20, to: -10 }),
    notYetValid: server("notYetValid", names, { from: 10, to: 20 }),
    wrongName: server("wrongName", "subjectAltName=DNS:other.example,IP:127.0.0.1"),
    subjectOnly: middle.issue("subjectOnly", { extensions: ofServer, subject: "localhost" }),
    wrongIp: server("wrongIp", "subjectAltName=DNS:localhost,IP:192.0.2.1"),
    selfSigned: selfSign(folder, "selfSigned"),
    unknownIssuer: other.issue("unknownIssuer", { extensions: [...ofServer, names] }),
    revoked,
    wrongUsage: middle.issue("wrongUsage", { extensions: [...ofClient, names] }),
    forged: forge(server("forged")),
    weakSignature: server("weakSignature", names, { digest: "sha1" }),
    weakKey: server("weakKey", names, { kind: "rsa1024" }),
    // A server refuses to present such a certificate with an ECDSA key.
    wrongKeyUsage: middle.issue("wrongKeyUsage", {
      kind: "rsa2048",
      extensions: ["basicConstraints=CA:false", "keyUsage=critical,cRLSign", names],
    }),
    byServer: below(middle.intermediate("noAuthority", { extensions: ofServer }), "byServer"),
    tooDeep: below(middle.intermediate("tooLow"), "tooDeep"),
    byExpired: below(root.intermediate("expiredAuthority", { from: -20, to: -10 }), "byExpired"),
    outOfBounds: below(bounded, "outOfBounds"),
    pfx,
    encryptedKey,
    passphrase,
  };

  /** Changes the last byte of a certificate, which is part of the signature. */
  function forge(issued: Issued): Issued {
    const [own = "", ...others] = readFileSync(issued.chain, "latin1").split(/^(?=-----BEGIN)/m);
    const der = Uint8Array.fromBase64(own.replaceAll(/-----[^-]+-----|\s/g, ""));
    der[der.length - 1]! ^= 1;
    const body = der.toBase64().replaceAll(/.{1,64}/g, "$&\n");
    const pem = `-----BEGIN CERTIFICATE-----\n${body}-----END CERTIFICATE-----\n`;
    writeFileSync(issued.cert, pem);
    writeFileSync(issued.chain, pem + others.join(""));
    return issued;
  }

  function selfSign(path: string, name: string): Issued {
    const key = makeKey(path, name, "p256");
    const cert = join(path, `${name}.pem`);
    openssl(
      path,
      ...["req", "-x509", "-new", "-key", key, "-out", cert, "-days", "30"],
      ...["-subj", `/CN=${name}`, "-addext", names],
    );
    return { cert, chain: cert, key };
  }
}
