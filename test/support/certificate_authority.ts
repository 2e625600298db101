/** A certificate authority that the `openssl` program runs in a folder. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installedProgram } from "./installed_program.ts";

export type KeyKind = "p256" | "rsa2048" | "rsa1024" | "ed25519";

const keyArguments: Record<KeyKind, string[]> = {
  p256: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa2048: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  rsa1024: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
  ed25519: ["-algorithm", "ED25519"],
};

export interface Issuing {
  readonly kind?: KeyKind;
  /** Lines of openssl's x509v3_config(5). */
  readonly extensions: readonly string[];
  /** Days from now on; both may be negative. */
  readonly from?: number;
  readonly to?: number;
  readonly digest?: string;
  /** The subject's common name; derived from the name if not given. */
  readonly subject?: string;
}

/** An authority that may issue certificates, but not for further authorities. */
export const ofAuthority = [
  "basicConstraints=critical,CA:true,pathlen:0",
  "keyUsage=critical,keyCertSign,cRLSign",
];

/** A certificate and its key, as paths of files in PEM. */
export interface Issued {
  /** The certificate alone. */
  readonly cert: string;
  /** The certificate and those of the authorities above it, without the root. */
  readonly chain: string;
  readonly key: string;
}

/** Runs `openssl` in a folder, and returns its output. */
export function openssl(folder: string, ...argv: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([installedProgram("openssl"), ...argv], {
    cwd: folder,
    stdin: "ignore",
  });
  if (exitCode !== 0) throw new Error(`openssl ${argv.join(" ")}: ${stderr}`);
  return stdout.toString();
}

export class CertificateAuthority {
  readonly folder: string;
  readonly name: string;
  readonly cert: string;
  readonly key: string;
  /** The certificates above the leaf that a server sends. */
  readonly #intermediates: string;

  private constructor(folder: string, name: string, issued: Issued, intermediates: string) {
    this.folder = folder;
    this.name = name;
    this.cert = issued.cert;
    this.key = issued.key;
    this.#intermediates = intermediates;
    const home = join(folder, `${name}.ca`);
    mkdirSync(home);
    for (const file of ["index.txt", "index.txt.attr"]) writeFileSync(join(home, file), "");
    writeFileSync(join(home, "crlnumber"), "01\n");
  }

  static root(folder: string, name: string): CertificateAuthority {
    const key = makeKey(folder, name, "p256");
    const cert = join(folder, `${name}.pem`);
    const subject = ["-subj", `/CN=plait test ${name}`, "-days", "3650", "-sha256"];
    const config = writeConfiguration(folder, name, [
      "basicConstraints=critical,CA:true",
      "keyUsage=critical,keyCertSign,cRLSign",
      "subjectKeyIdentifier=hash",
    ]);
    const extensions = ["-config", config, "-extensions", "issued"];
    openssl(folder, "req", "-x509", "-new", "-key", key, "-out", cert, ...subject, ...extensions);
    return new CertificateAuthority(folder, name, { cert, chain: cert, key }, "");
  }

  /** An authority below this one, which is valid for longer than what it issues. */
  intermediate(name: string, { extensions, ...rest }: Partial<Issuing> = {}): CertificateAuthority {
    const issued = this.issue(name, {
      extensions: extensions ?? ofAuthority,
      to: 3650,
      ...rest,
    });
    return new CertificateAuthority(
      this.folder,
      name,
      issued,
      readFileSync(issued.cert, "latin1") + this.#intermediates,
    );
  }

  issue(name: string, { kind = "p256", extensions, ...rest }: Issuing): Issued {
    const { from = -1, to = 365, digest = "sha256", subject = `plait test ${name}` } = rest;
    const { folder } = this;
    const key = makeKey(folder, name, kind);
    const request = join(folder, `${name}.csr`);
    const cert = join(folder, `${name}.pem`);
    openssl(folder, "req", "-new", "-key", key, "-out", request, "-subj", `/CN=${subject}`);
    const config = writeConfiguration(folder, this.name, [
      ...extensions,
      "subjectKeyIdentifier=hash",
      "authorityKeyIdentifier=keyid",
    ]);
    openssl(
      folder,
      ...["ca", "-batch", "-notext", "-config", config, "-extensions", "issued"],
      ...["-cert", this.cert, "-keyfile", this.key, "-md", digest, "-in", request, "-out", cert],
      ...["-startdate", timeText(from), "-enddate", timeText(to)],
    );
    const chain = join(folder, `${name}.chain.pem`);
    writeFileSync(chain, readFileSync(cert, "latin1") + this.#intermediates);
    return { cert, chain, key };
  }

  revoke({ cert }: Issued): void {
    this.#run("-revoke", cert);
  }

  /** A revocation list, valid from now for so many seconds. */
  revocations(name: string, seconds = 86_400): string {
    const path = join(this.folder, `${name}.crl`);
    this.#run("-gencrl", "-crlsec", `${seconds}`, "-out", path);
    return path;
  }

  #run(...argv: string[]): void {
    const config = writeConfiguration(this.folder, this.name, []);
    const authority = ["-cert", this.cert, "-keyfile", this.key, "-md", "sha256"];
    openssl(this.folder, "ca", "-batch", "-config", config, ...authority, ...argv);
  }
}

export function makeKey(folder: string, name: string, kind: KeyKind): string {
  const path = join(folder, `${name}.key`);
  openssl(folder, "genpkey", ...keyArguments[kind], "-out", path);
  return path;
}

export function writeConfiguration(
  folder: string,
  authority: string,
  extensions: readonly string[],
): string {
  const path = join(folder, "openssl.cnf");
  const home = join(folder, `${authority}.ca`);
  writeFileSync(
    path,
    `
[req]
distinguished_name = subject
[subject]
[ca]
default_ca = authority
[authority]
database = ${home}/index.txt
crlnumber = ${home}/crlnumber
new_certs_dir = ${folder}
rand_serial = yes
unique_subject = no
policy = any
default_md = sha256
default_crl_days = 1
[any]
commonName = supplied
[issued]
${extensions.join("\n")}
`,
  );
  return path;
}

/** A time in the form of ASN.1, so many days from now. */
function timeText(days: number): string {
  const time = new Date(Date.now() + days * 86_400_000);
  return `${time.toISOString().slice(0, 19).replaceAll(/[-:T]/g, "")}Z`;
}
