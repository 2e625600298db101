/** A client's checks of a server's certificate. The server is OpenSSL's. */

import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, type Socket, type TlsError, type TlsOptions } from "../../index.ts";
import type { Issued } from "../support/certificate_authority.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { opensslServer } from "../support/tls_servers.ts";

describe.skipIf(!isInstalled("openssl"))("certificates", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  async function dial(port: number, host: string, tls: TlsOptions): Promise<Socket> {
    const family = host === "localhost" ? { family: 4 as const } : {};
    return await connect({ host, port, ...family, tls: { ca: made.root, ...tls } });
  }

  interface Bad {
    readonly name: string;
    readonly issued: () => Issued;
    readonly code: string;
    readonly host?: string;
    readonly tls?: () => TlsOptions;
    /** Whether it is accepted with `verifyIssuer: false`. */
    readonly isIssuerOnly?: boolean;
  }

  const altname = "ERR_TLS_CERT_ALTNAME_INVALID";
  const unknown = "UNABLE_TO_GET_ISSUER_CERT_LOCALLY";
  const bad: Bad[] = [
    { name: "expired", issued: () => made.expired, code: "CERT_HAS_EXPIRED" },
    { name: "not yet valid", issued: () => made.notYetValid, code: "CERT_NOT_YET_VALID" },
    { name: "another name's", issued: () => made.wrongName, code: altname },
    { name: "another address's", issued: () => made.wrongIp, code: altname, host: "127.0.0.1" },
    {
      name: "another address's, in IPv6's form",
      issued: () => made.wrongIp,
      code: altname,
      host: "::ffff:127.0.0.1",
    },
    { name: "for the name in its subject alone", issued: () => made.subjectOnly, code: altname },
    {
      name: "a wildcard's of another domain",
      issued: () => made.wildcard,
      code: altname,
      tls: () => ({ serverName: "wild.example" }),
    },
    {
      name: "a wildcard's for two labels",
      issued: () => made.wildcard,
      code: altname,
      tls: () => ({ serverName: "a.b.wild.example" }),
    },
    {
      name: "self-signed",
      issued: () => made.selfSigned,
      code: "DEPTH_ZERO_SELF_SIGNED_CERT",
      isIssuerOnly: true,
    },
    {
      name: "of an unknown issuer",
      issued: () => made.unknownIssuer,
      code: unknown,
      isIssuerOnly: true,
    },
    {
      name: "of an unknown issuer that is sent with it",
      issued: () => ({ ...made.unknownIssuer, chain: made.otherRoot }),
      code: "SELF_SIGNED_CERT_IN_CHAIN",
      isIssuerOnly: true,
    },
    {
      name: "without the intermediate",
      issued: () => ({ ...made.p256, chain: made.p256.cert }),
      code: unknown,
      isIssuerOnly: true,
    },
    {
      name: "of the same authority as the one that is trusted",
      issued: () => made.p256,
      code: unknown,
      tls: () => ({ ca: made.rsa.cert }),
      isIssuerOnly: true,
    },
    {
      name: "revoked",
      issued: () => made.revoked,
      code: "CERT_REVOKED",
      tls: () => ({ crl: made.revocations }),
    },
    {
      name: "good, but the list of its issuer is missing",
      issued: () => made.p256,
      code: "UNABLE_TO_GET_CRL",
      tls: () => ({ crl: made.revocations[0] }),
    },
    {
      name: "good, but the list of its issuer is out of date",
      issued: () => made.p256,
      code: "CRL_HAS_EXPIRED",
      tls: () => ({ crl: made.staleRevocations }),
    },
    {
      name: "not signed by its issuer",
      issued: () => made.forged,
      code: "CERT_SIGNATURE_FAILURE",
    },
    { name: "a client's", issued: () => made.wrongUsage, code: "INVALID_PURPOSE" },
    {
      name: "for other uses of its key",
      issued: () => made.wrongKeyUsage,
      code: "INVALID_PURPOSE",
    },
    { name: "issued by a server", issued: () => made.byServer, code: "INVALID_CA" },
    { name: "too far below its root", issued: () => made.tooDeep, code: "PATH_LENGTH_EXCEEDED" },
    { name: "of an expired issuer", issued: () => made.byExpired, code: "CERT_HAS_EXPIRED" },
    { name: "signed with SHA-1", issued: () => made.weakSignature, code: "CA_MD_TOO_WEAK" },
    { name: "of 1024 bits", issued: () => made.weakKey, code: "EE_KEY_TOO_SMALL" },
    {
      name: "out of its issuer's bounds",
      issued: () => made.outOfBounds,
      code: "PERMITTED_VIOLATION",
    },
  ];

  const x509 = ({ cert }: Issued) => new X509Certificate(readFileSync(cert));

  /** The server itself must present weak ones too. */
  const serve = (issued: Issued) => opensslServer(issued, "-cipher", "ALL:@SECLEVEL=0");

  test.each(bad)(
    "$name: $code",
    async ({ issued, code, host = "localhost", tls, isIssuerOnly }) => {
      await using server = await serve(issued());
      const own = tls?.() ?? {};
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const error = await failureOf(
          dial(server.port, host, { ...own, maxVersion }).then((socket) =>
            socket.write("a secret"),
          ),
        );
        expect(error).toMatchObject({
          name: "TlsError",
          code,
          syscall: "handshake",
          port: server.port,
        });
        expect((error as TlsError).certificate?.raw).toEqual(x509(issued()).raw);
      }

      const lax = { ...own, verifyIssuer: false };
      if (isIssuerOnly) {
        await using socket = await dial(server.port, host, lax);
        expect(socket.tls).toMatchObject({ verified: false, verifyError: expect.any(String) });
      } else {
        expect(await failureOf(dial(server.port, host, lax))).toMatchObject({ code });
      }
      expect(server.program.output).not.toContain("a secret");

      await using socket = await dial(server.port, host, { ...own, verifyPeer: false });
      expect(socket.tls).toMatchObject({ verified: false, verifyError: expect.any(String) });
      await socket.write("for anybody\n");
      await server.program.printed(/for anybody\n/);
    },
  );

  test("without a trusted issuer the name and the dates still count", async () => {
    await using server = await serve(made.selfSigned);
    const tls = { verifyIssuer: false, serverName: "other.example" };
    expect(await failureOf(dial(server.port, "localhost", tls))).toMatchObject({ code: altname });
    await using late = await serve({ ...made.expired, chain: made.expired.cert });
    const issuer = { verifyIssuer: false };
    expect(await failureOf(dial(late.port, "localhost", issuer))).toMatchObject({
      code: "CERT_HAS_EXPIRED",
    });
  });

  test("with revocation lists the chain must lead to a root", async () => {
    await using server = await serve(made.p256);
    const tls = { ca: made.intermediate, crl: made.revocations };
    expect(await failureOf(dial(server.port, "localhost", tls))).toMatchObject({
      code: "UNABLE_TO_GET_ISSUER_CERT",
    });
  });

  const good: [string, () => Issued, string, () => TlsOptions][] = [
    ["by name", () => made.p256, "localhost", () => ({})],
    ["by address", () => made.p256, "127.0.0.1", () => ({})],
    ["by an address in IPv6's form", () => made.p256, "::ffff:127.0.0.1", () => ({})],
    [
      "by an address in IPv6's form, written in hexadecimal",
      () => made.p256,
      "localhost",
      () => ({ serverName: "::FFFF:7f00:1" }),
    ],
    ["by another address", () => made.p256, "localhost", () => ({ serverName: "::1" })],
    ["by a wildcard", () => made.wildcard, "localhost", () => ({ serverName: "x.wild.example" })],
    ["with lists", () => made.p256, "localhost", () => ({ crl: made.revocations })],
    [
      "among several roots",
      () => made.p256,
      "localhost",
      () => ({ ca: [made.otherRoot, made.root] }),
    ],
    ["below an intermediate", () => made.p256, "localhost", () => ({ ca: made.intermediate })],
    ["itself, of some authority", () => made.p256, "localhost", () => ({ ca: made.p256.cert })],
    [
      "itself as the one to trust",
      () => made.selfSigned,
      "localhost",
      () => ({ ca: made.selfSigned.cert }),
    ],
  ];

  test.each(good)("a good one is accepted %s", async (_name, issued, host, tls) => {
    await using server = await serve(issued());
    await using socket = await dial(server.port, host, tls());
    expect(socket.tls).toMatchObject({ verified: true, verifyError: undefined });
  });
});
