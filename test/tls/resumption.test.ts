/** Sessions that are resumed, and those that are ignored. */

import { describe, expect, test } from "bun:test";
import { type TlsOptions, tlsContext } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { readExactly } from "../support/receiving.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

describe.skipIf(!isInstalled("openssl"))("TLS connections", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  describe("sessions", () => {
    /** Connects, and returns the sessions that the server has offered. */
    async function sessionsOf(port: number, tls: TlsOptions = {}): Promise<Uint8Array[]> {
      const sessions: Uint8Array[] = [];
      const onSession = (session: Uint8Array) => sessions.push(session);
      await using socket = await dialTls(port, { ...tls, onSession });
      await socket.write("x");
      await socket.next();
      await pollUntil("a session comes", () => sessions.length > 0);
      return sessions;
    }

    test.each(["TLSv1.2", "TLSv1.3"] as const)("are resumed with %s", async (maxVersion) => {
      await using listener = await serveTls(echo);
      const [session] = await sessionsOf(listener.port, { maxVersion });
      // The session is a copy, made at the call of `connect`, with its true length.
      class Longer extends Uint8Array {
        override get byteLength(): number {
          return 1_000_000;
        }
      }
      const longer = new Longer(session!);
      const dialling = dialTls(listener.port, { maxVersion, session: longer });
      longer.fill(0);
      await using again = await dialling;
      expect(again.tls).toMatchObject({ resumed: true, protocol: maxVersion, verified: true });
      expect(again.tls?.certificate?.subject).toContain("p256");
      await again.write("still works");
      expect(new TextDecoder().decode(await readExactly(again, 11))).toBe("still works");
    });

    test("that cannot be used are ignored", async () => {
      await using listener = await serveTls(echo);
      const [session] = await sessionsOf(listener.port);
      await using other = await serveTls(echo, presenting(made.rsa));
      for (const [port, bytes] of [
        [listener.port, new Uint8Array(0)],
        [listener.port, new Uint8Array([1, 2, 3])],
        [listener.port, session!.subarray(0, 50)],
        [other.port, session!],
      ] as const) {
        await using socket = await dialTls(port, { session: bytes });
        expect(socket.tls).toMatchObject({ resumed: false, verified: true });
      }
    });

    test("of another name are not accepted for this one", async () => {
      await using listener = await serveTls(echo, presenting(made.named));
      const [session] = await sessionsOf(listener.port, { serverName: "good.example" });
      const other = dialTls(listener.port, { serverName: "localhost", session });
      expect(await failureOf(other)).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    });

    test("that were made under other checks are not resumed", async () => {
      await using listener = await serveTls(echo);
      const [session] = await sessionsOf(listener.port, { verifyPeer: false });
      const strict = dialTls(listener.port, { ca: made.otherRoot, session });
      expect(await failureOf(strict)).toMatchObject({
        code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      });
      await using lax = await dialTls(listener.port, { verifyPeer: false, session });
      expect(lax.tls).toMatchObject({ resumed: true, verified: true });
    });

    test("of another client certificate are not resumed", async () => {
      await using listener = await serveTls(
        async (socket) => {
          await socket.write(`${socket.tls?.certificate?.subject} ${socket.tls?.resumed}`);
          await echo(socket);
        },
        { ...presenting(made.p256), ca: made.root, clientAuth: "request" },
      );
      const whoIs = async (client: TlsOptions) => {
        await using socket = await dialTls(listener.port, client);
        return new TextDecoder().decode((await socket.next())!);
      };
      const identity = presenting(made.client);
      const [session] = await sessionsOf(listener.port, identity);
      expect(await whoIs({ ...identity, session })).toBe("CN=plait test client true");
      const other = presenting(made.strangeClient);
      expect(await failureOf(whoIs({ ...other, session }))).toMatchObject({ name: "TlsError" });
      expect(await whoIs({ session })).toBe("undefined false");
    });

    test("are offered for connections of a shared context too", async () => {
      await using listener = await serveTls(echo);
      const context = tlsContext({ ca: made.root });
      const [session] = await sessionsOf(listener.port, { context });
      await using again = await dialTls(listener.port, { context, session });
      expect(again.tls?.resumed).toBe(true);
    });
  });
});
