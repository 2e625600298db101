/** The bounds of a listener's request for client certificates, and of the clients' answers. */

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { TlsOptions } from "../../index.ts";
import { CertificateAuthority, type Issued } from "../support/certificate_authority.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { describeLine, readLine, told } from "../support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "../support/tls_pair.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;

describe.skipIf(!isInstalled("openssl"))("clientAuth", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);
  const folder = new TemporaryFolder();
  afterAll(() => folder[Symbol.dispose]());
  const authority = isInstalled("openssl")
    ? CertificateAuthority.root(folder.path, "authority")
    : (undefined as never);
  const trusted = () => ({ ...presenting(made.p256), ca: [authority.cert, made.root] });

  /** A certificate of so many bytes and some hundreds more. */
  const large = (name: string, size: number): Issued =>
    authority.issue(name, {
      extensions: ["extendedKeyUsage=clientAuth", `nsComment=${"c".repeat(size)}`],
    });

  /** The answer of the listener to a client, and how many sessions the client had before it. */
  async function talk(port: number, tls: TlsOptions): Promise<[unknown, number]> {
    let sessions = 0;
    await using socket = await dialTls(port, { ...tls, onSession: () => sessions++ });
    await socket.write("hello\n");
    return [JSON.parse(await readLine(socket)), sessions];
  }

  describe.each(versions)("with %s", (maxVersion) => {
    test("names no authorities when a request has no room for all of them", async () => {
      const client = [
        ...[installedProgram("openssl"), "s_client", "-ign_eof", "-CAfile", made.root],
        ...["-cert", made.client.cert, "-cert_chain", made.client.chain],
        ...["-key", made.client.key],
      ];
      for (const [times, names] of [
        [1, "Acceptable client certificate CA names"],
        [2500, "No client certificate CA names sent"],
      ] as const) {
        const ca = Buffer.from(readFileSync(made.root, "latin1").repeat(times));
        const tls: TlsOptions = { ...presenting(made.p256), maxVersion, ca, clientAuth: "require" };
        await using listener = await serveTls(describeLine, tls);
        const [line] = await talk(listener.port, presenting(made.client));
        expect(line).toMatchObject({ protocol: maxVersion, subject: "client", verified: true });
        const connect = [...client, "-connect", `127.0.0.1:${listener.port}`];
        const { text } = await runCommand(connect, "hello\n");
        expect(text).toContain(names);
        expect(told(text)).toMatchObject({ subject: "client", verified: true });
      }
    });

    test("refuses more than 80 KiB of certificates, and reports the reason", async () => {
      const tls: TlsOptions = { ...trusted(), maxVersion, clientAuth: "require" };
      const failure = Promise.withResolvers<unknown>();
      await using listener = await serveTls(describeLine, tls, { onError: failure.resolve });
      const refused = talk(listener.port, presenting(large(`huge ${maxVersion}`, 83_000)));
      expect(await failureOf(refused)).toMatchObject({ name: "TlsError" });
      expect(await failure.promise).toMatchObject({ code: "ERR_SSL_EXCESSIVE_MESSAGE_SIZE" });
    });

    test("refuses a chain of more than ten authorities", async () => {
      const anyDepth = ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign"];
      const chains: Issued[] = [];
      let lowest = authority;
      for (let depth = 1; depth <= 11; depth++) {
        lowest = lowest.intermediate(`${maxVersion} below ${depth}`, { extensions: anyDepth });
        if (depth < 10) continue;
        const extensions = ["extendedKeyUsage=clientAuth"];
        chains.push(lowest.issue(`${maxVersion} leaf ${depth}`, { extensions }));
      }
      const errors: unknown[] = [];
      for (const server of [{ verifyIssuer: true }, { verifyIssuer: false }] as TlsOptions[]) {
        const tls: TlsOptions = { ...trusted(), maxVersion, clientAuth: "require", ...server };
        const failure = Promise.withResolvers<unknown>();
        await using listener = await serveTls(describeLine, tls, { onError: failure.resolve });
        const [line] = await talk(listener.port, presenting(chains[0]!));
        expect(line).toMatchObject({ verified: true });
        await failureOf(talk(listener.port, presenting(chains[1]!)));
        errors.push(await failure.promise);
      }
      expect(errors).toMatchObject([
        { code: "CERT_CHAIN_TOO_LONG" },
        { code: "CERT_CHAIN_TOO_LONG" },
      ]);
    }, 30_000);

    test("checks no signature with verifyPeer: false if the issuer is not trusted", async () => {
      for (const clientAuth of ["request", "require"] as const) {
        const tls: TlsOptions = {
          ...presenting(made.p256),
          ca: made.otherRoot,
          maxVersion,
          clientAuth,
          verifyPeer: false,
        };
        const seen = Promise.withResolvers<unknown>();
        await using listener = await serveTls(async (socket) => {
          seen.resolve(socket.tls);
          await describeLine(socket);
        }, tls);
        const [line] = await talk(listener.port, presenting(made.forged));
        expect(line).toMatchObject({ subject: "forged", verified: false });
        // If the signature were checked, it would be the fault that is reported.
        expect(await seen.promise).toMatchObject({
          verified: false,
          verifyError: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        });
      }
    });
  });

  test("accepts certificates that are too long for a ticket, and sends no ticket then", async () => {
    const tls: TlsOptions = { ...trusted(), maxVersion: "TLSv1.3", clientAuth: "require" };
    await using listener = await serveTls(describeLine, tls);
    for (const [size, tickets] of [
      [8_000, 1],
      [20_000, 0],
      [73_000, 0],
    ] as const) {
      const subject = `of ${size} bytes`;
      const [line, sessions] = await talk(listener.port, presenting(large(subject, size)));
      expect(line).toMatchObject({ subject, verified: true });
      expect([size, sessions]).toEqual([size, tickets]);
    }
  });

  test("refuses in TLS 1.2 certificates that are too long for the ticket that it has promised", async () => {
    const tls: TlsOptions = { ...trusted(), maxVersion: "TLSv1.2", clientAuth: "require" };
    const failure = Promise.withResolvers<unknown>();
    await using listener = await serveTls(describeLine, tls, { onError: failure.resolve });
    const [line] = await talk(listener.port, presenting(large("middling", 60_000)));
    expect(line).toMatchObject({ subject: "middling", verified: true });
    const refused = talk(listener.port, presenting(large("too large", 73_000)));
    expect(await failureOf(refused)).toMatchObject({ name: "TlsError" });
    expect(await failure.promise).toMatchObject({ code: "ERR_SSL_EXCESSIVE_MESSAGE_SIZE" });
  });
});
