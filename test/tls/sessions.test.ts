/** Sessions that must not be resumed although both ends could. */

import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { deadline, type TlsOptions } from "../../index.ts";
import { CertificateAuthority, type Issued } from "../support/certificate_authority.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
const day = 86_400;

/** A session of a connection with these options. */
async function sessionOf(port: number, tls: TlsOptions): Promise<Uint8Array> {
  const sessions: Uint8Array[] = [];
  const onSession = (session: Uint8Array) => sessions.push(session);
  await using socket = await dialTls(port, { ...tls, onSession });
  await socket.write("x");
  await socket.next();
  await pollUntil("a session comes", () => sessions.length > 0);
  return sessions.at(-1)!;
}

describe.skipIf(!isInstalled("openssl"))("a session is not resumed", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);
  const server = () => presenting(made.p256);

  test.each(versions)(
    "for another name, even with the same certificate (%s)",
    async (maxVersion) => {
      await using listener = await serveTls(echo, server());
      const options = { maxVersion, serverName: "good.example" };
      const session = await sessionOf(listener.port, options);
      await using same = await dialTls(listener.port, { ...options, session });
      expect(same.tls).toMatchObject({ resumed: true, verified: true });
      await using other = await dialTls(listener.port, {
        ...options,
        serverName: "localhost",
        session,
      });
      expect(other.tls).toMatchObject({ resumed: false, verified: true });
    },
  );

  test("when a certificate has expired since", async () => {
    using folder = new TemporaryFolder();
    const authority = CertificateAuthority.root(folder.path, "brief");
    // Valid for a few more seconds.
    const brief = (name: string, usage: string, seconds: number): Issued =>
      authority.issue(name, {
        extensions: [`extendedKeyUsage=${usage}`, "subjectAltName=IP:127.0.0.1"],
        to: seconds / day,
      });
    const lasting = presenting(brief("lasting", "serverAuth", day));
    const expiring = brief("server", "serverAuth", 8);
    const client = brief("client", "clientAuth", 8);
    const ca = authority.cert;

    await using brieflyGood = await serveTls(echo, presenting(expiring));
    await using guarded = await serveTls(echo, { ...lasting, ca, clientAuth: "require" });
    const options = versions.flatMap((maxVersion) => [
      { port: brieflyGood.port, tls: { maxVersion, ca } },
      { port: guarded.port, tls: { maxVersion, ca, ...presenting(client) } },
    ]);
    const kept = [];
    for (const { port, tls } of options) {
      const session = await sessionOf(port, tls);
      await using again = await dialTls(port, { ...tls, session });
      expect(again.tls).toMatchObject({ resumed: true, verified: true });
      kept.push({ port, tls: { ...tls, session } });
    }

    const ends = [expiring, client].map(({ cert }) =>
      Date.parse(new X509Certificate(readFileSync(cert)).validTo),
    );
    // It is still valid in its last second.
    await pollUntil("both have expired", () => Date.now() > Math.max(...ends) + 1000, 12_000);
    for (const { port, tls } of kept) {
      const talking = dialTls(port, tls).then((socket) =>
        socket.next(deadline(4000)).finally(() => socket.close()),
      );
      expect(await failureOf(talking)).toMatchObject({
        name: "TlsError",
        code: expect.stringMatching(/^CERT_HAS_EXPIRED$|CERTIFICATE_EXPIRED$/),
      });
    }
  }, 30_000);
});
