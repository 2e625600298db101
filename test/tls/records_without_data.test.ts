/**
 * Records without data: a peer may send a number that it can have a reason for, and no more at a
 * time.
 */

import { describe, expect, test } from "bun:test";
import { deadline, sleep, type TlsOptions } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { readLine } from "../support/tls_matrix.ts";
import { dialTls, tlsPair } from "../support/tls_pair.ts";
import { opensslServer } from "../support/tls_servers.ts";

const hasOpenssl = isInstalled("openssl");
const made = hasOpenssl ? certificates() : (undefined as never);
const bound = 30_000;

/** More than a peer may send at once. */
const updates = 40;

// OpenSSL keeps the connections of a client with `onSession`.
const clients: [string, TlsOptions][] = [
  ["a plain client", {}],
  ["a client with onSession", { onSession: () => {} }],
];

describe.skipIf(!hasOpenssl).each(clients)("%s", (_, options) => {
  const dialServer = (port: number) => dialTls(port, { ...options, minVersion: "TLSv1.3" });

  test.each([33, 120])(
    "keeps its connection when a server sends %d tickets",
    async (count) => {
      await using server = await opensslServer(made.p256, "-rev", "-num_tickets", `${count}`);
      await using socket = await dialServer(server.port);
      for (const text of ["first", "second"]) {
        await socket.write(`${text}\n`, deadline(bound));
        expect(await readLine(socket)).toBe([...text].reverse().join(""));
      }
    },
    bound,
  );

  test(
    "fails by too many tickets at once",
    async () => {
      await using server = await opensslServer(made.p256, "-rev", "-num_tickets", "1000");
      await using socket = await dialServer(server.port);
      expect(await failureOf(socket.next(deadline(bound)))).toMatchObject({
        code: "ERR_SSL_TOO_MANY_TICKETS",
        reason: "too many tickets",
      });
    },
    bound,
  );

  test(
    "accepts key updates now and then, without data in between",
    async () => {
      await using pair = await tlsPair({ ...options, minVersion: "TLSv1.3" });
      const received = pair.client.next(deadline(bound));
      const sent = (async () => {
        for (let count = 0; count < updates; count++) {
          pair.server.updateKeys();
          await sleep(50);
        }
        await pair.server.write("data");
      })();
      const [chunk] = await Promise.all([received, sent]);
      expect(Buffer.from(chunk ?? []).toString()).toBe("data");
    },
    bound,
  );

  test(
    "refuses many key updates at once",
    async () => {
      await using pair = await tlsPair({ ...options, minVersion: "TLSv1.3" });
      for (let count = 0; count < updates; count++) pair.server.updateKeys();
      expect(await failureOf(pair.client.next(deadline(bound)))).toMatchObject({
        code: "ERR_SSL_TOO_MANY_KEY_UPDATES",
      });
    },
    bound,
  );
});
