/**
 * testssl.sh finds nothing of medium severity or above about a listener with the defaults. It takes
 * minutes: an ordinary run has one of its sections, and `bun run soak` all but three. `--headers` is
 * about the fields of a web server, which here belong to the test; `--each-cipher` only lists what
 * `--standard`, `--fs` and `--server-preference` judge; `--client-simulation` judges nothing, and
 * computes for ten seconds. It may not look up names nor connect elsewhere, so it does not check
 * revocation.
 */

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { TlsOptions } from "../../index.ts";
import { CertificateAuthority } from "../support/certificate_authority.ts";
import { httpResponder } from "../support/http_responder.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { runCommand } from "../support/run_command.ts";
import { isSoak } from "../support/soak.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

const isPossible = [isInstalled("testssl"), isInstalled("openssl")].every((found) => found);

/** Severities that are no objection. A warning says that something could not be tested. */
const harmless = ["OK", "INFO", "LOW"];

/**
 * The machine's `openssl` may not know the algorithms of GOST, which no test offers. The client for
 * resumption hangs up after its handshake, mostly before a ticket of TLS 1.3 has come;
 * peers.test.ts lets `openssl s_client` resume in both versions.
 */
const expectedWarnings = ["engine_problem", "sessionresumption_ticket"];

/** It sleeps more than it computes, so the runs go on beside each other. */
const sections = isSoak
  ? [
      ["--vulnerable"],
      ["--protocols", "--standard", "--grease"],
      ["--fs", "--server-preference", "--server-defaults"],
    ]
  : [["--protocols"]];
if (!isSoak) console.log(`testssl.sh: ${sections.join(" and ")} alone, all with \`bun run soak\``);

/** The findings that must be there, and be good. */
const always = ["SSLv2", "SSLv3", "TLS1_2", "TLS1_3"];
const ofAllSections = [
  ...["cipher_order", "cipher_negotiated"],
  ...["cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW"],
  ...["cert_trust <cert#1>", "cert_chain_of_trust <cert#1>"],
  ...["cert_trust <cert#2>", "cert_chain_of_trust <cert#2>"],
  ...["heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego"],
  ...["CRIME_TLS", "BREACH", "POODLE_SSL", "fallback_SCSV", "SWEET32", "FREAK", "DROWN"],
  ...["LOGJAM", "BEAST", "LUCKY13", "RC4"],
];

/**
 * Milliseconds for testssl.sh, which is thousands of small processes, on a slow and busy machine.
 */
const longestRun = 400_000;

describe.skipIf(!isPossible)("testssl.sh", () => {
  const folder = new TemporaryFolder();
  afterAll(() => folder[Symbol.dispose]());
  const authority = isPossible
    ? CertificateAuthority.root(folder.path, "root")
    : (undefined as never);

  function issued(kind: "p256" | "rsa2048") {
    const extensions = [
      ...["basicConstraints=CA:false", "keyUsage=critical,digitalSignature"],
      ...["extendedKeyUsage=serverAuth", "subjectAltName=DNS:localhost"],
      // It objects to a certificate that names no place for revocations.
      "crlDistributionPoints=URI:http://localhost/revoked.crl",
    ];
    return authority.issue(kind, { kind, extensions });
  }

  let runs = 0;

  async function findings(port: number, argv: readonly string[]): Promise<Finding[]> {
    const report = folder.file(`${runs++}.json`);
    const command = [
      ...[installedProgram("testssl"), "--warnings", "off", "--quiet", "--color", "0"],
      ...["--nodns", "none", "--ip", "127.0.0.1", "--add-ca", authority.cert],
      ...["--openssl", installedProgram("openssl"), "--jsonfile", report, ...argv],
    ];
    const { exitCode, text, stderr } = await runCommand(
      [...command, `https://localhost:${port}/`],
      "",
      longestRun,
    );
    if (exitCode === null) throw new Error(`testssl.sh does not end: ${text}${stderr}`);
    return JSON.parse(readFileSync(report, "utf8")) as Finding[];
  }

  function objections(found: readonly Finding[]): string[] {
    return found
      .filter(({ id, severity }) => !harmless.includes(severity) && !expectedWarnings.includes(id))
      .map(({ id, severity, finding }) => `${severity} ${id}: ${finding}`);
  }

  test("has nothing to object to", async () => {
    const both = [issued("p256"), issued("rsa2048")];
    const tls: TlsOptions = {
      cert: both.map(({ chain }) => chain),
      key: both.map(({ key }) => key),
    };
    await using listener = await httpResponder(import.meta.path, tls);
    const reports = await Promise.all(sections.map((argv) => findings(listener.port, argv)));
    const found = reports.flat();
    expect(objections(found)).toEqual([]);
    const well = found.filter(({ severity }) => severity === "OK").map(({ id }) => id);
    expect(always.filter((id) => !well.includes(id))).toEqual([]);
    if (!isSoak) return;
    expect(ofAllSections.filter((id) => !well.includes(id))).toEqual([]);
    const sizes = found.filter(({ id }) => id.startsWith("cert_keySize")).map((it) => it.finding);
    expect(sizes.join()).toContain("RSA 2048");
    expect(sizes.join()).toContain("EC 256");
  }, 430_000);

  test.skipIf(!isSoak)(
    "would object to a listener without forward secrecy",
    async () => {
      const { chain: cert, key } = issued("rsa2048");
      const tls: TlsOptions = { cert, key, ciphers: "AES128-SHA", maxVersion: "TLSv1.2" };
      await using listener = await httpResponder(import.meta.path, tls);
      expect(objections(await findings(listener.port, ["--fs"]))).not.toEqual([]);
    },
    430_000,
  );
});
