/** The certificate of the servers in the tests of drivers, and the authorities around it. */

import { chmodSync, copyFileSync } from "node:fs";
import { CertificateAuthority, type Issued } from "./certificate_authority.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** What a server needs of these. */
export type ServerCertificate = Pick<DriverCertificates, "copyTo">;

export class DriverCertificates implements Disposable {
  readonly #folder = new TemporaryFolder();
  /** The root that has issued the certificate, in PEM. */
  readonly ca: string;
  /** Another root, which has not issued it. */
  readonly otherCa: string;
  /** A certificate for `localhost` and 127.0.0.1. */
  readonly issued: Issued;
  /** Another certificate of the same root for the same names. */
  readonly another: Issued;

  constructor() {
    const authority = CertificateAuthority.root(this.#folder.path, "root");
    this.ca = authority.cert;
    this.otherCa = CertificateAuthority.root(this.#folder.path, "other").cert;
    const extensions = ["subjectAltName=DNS:localhost,IP:127.0.0.1"];
    this.issued = authority.issue("server", { extensions });
    this.another = authority.issue("another", { extensions });
  }

  /** Copies the certificate and its key into a folder of a server. */
  copyTo(folder: string): { readonly cert: string; readonly key: string } {
    const copy = { cert: `${folder}/server.pem`, key: `${folder}/server.key` };
    copyFileSync(this.issued.cert, copy.cert);
    copyFileSync(this.issued.key, copy.key);
    chmodSync(copy.key, 0o600);
    return copy;
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
