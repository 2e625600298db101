/** The secrets of a connection that remain in the memory of its process. */

import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { certificates } from "../support/certificates.ts";
import { isInstalled } from "../support/installed_program.ts";
import { MeasuredProgram } from "../support/measured_program.ts";
import { findInMemory } from "../support/process_memory.ts";
import type { Wish } from "../support/secret_keeper.ts";

const bound = 60_000;

/** HKDF-Expand-Label without a context (RFC 8446, section 7.1), of one block at most. */
function expandLabel(hash: string, secret: Uint8Array, label: string, length: number): Uint8Array {
  const full = Buffer.from(`tls13 ${label}`);
  const info = Buffer.from([length >> 8, length & 255, full.length, ...full, 0, 1]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}

/** All secrets that can be derived from the lines of a key log. */
function secretsOf(lines: readonly string[], { protocol, suite }: Wish): Map<string, Uint8Array> {
  const secrets = new Map<string, Uint8Array>();
  const hash = suite.includes("SHA384") ? "sha384" : "sha256";
  const keyLength = suite.includes("128") ? 16 : 32;
  lines.forEach((line, index) => {
    const [label, , digits] = line.split(" ");
    const secret = Buffer.from(digits!, "hex");
    const name = `${label} (${index})`;
    secrets.set(name, secret);
    if (protocol === "TLSv1.3" && label!.includes("TRAFFIC")) {
      secrets.set(`key of ${name}`, expandLabel(hash, secret, "key", keyLength));
    }
  });
  return secrets;
}

const wishes: Wish[] = [
  ...["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"].flatMap(
    (suite) => [
      { protocol: "TLSv1.3" as const, suite },
      { protocol: "TLSv1.3" as const, suite, updatesKeys: true },
      { protocol: "TLSv1.3" as const, suite, hasOnSession: true },
    ],
  ),
  { protocol: "TLSv1.2", suite: "ECDHE-ECDSA-AES128-GCM-SHA256" },
  { protocol: "TLSv1.2", suite: "ECDHE-ECDSA-CHACHA20-POLY1305" },
];

const isPossible = isInstalled("openssl") && process.platform === "linux";
if (!isPossible) console.log("tls_secrets.test.ts: skipped, it needs openssl and Linux's /proc");

describe.skipIf(!isPossible)("of a connection that is closed", () => {
  test.each(wishes)(
    "no secret is left: %j",
    async (wish) => {
      // The program finds them by the environment.
      certificates();
      await using program = await MeasuredProgram.start("secret_keeper.ts", bound);
      const lines = await program.ask<string[]>(`open ${JSON.stringify(wish)}`);
      const secrets = secretsOf(lines, wish);
      expect(secrets.size).toBeGreaterThan(0);
      // While the connection is open, the search finds them.
      const before = findInMemory(program.pid, secrets);
      expect(before.length).toBeGreaterThan(0);
      await program.ask("close");
      expect(findInMemory(program.pid, secrets)).toEqual([]);
    },
    bound,
  );
});
