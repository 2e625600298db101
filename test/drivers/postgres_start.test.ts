/** The start of a connection of `pg` on plait, against servers that do what PostgreSQL does not. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Client, Pool } from "pg";
import { listen, type Socket as PlaitSocket } from "../../index.ts";
import { type PostgresOptions, postgres } from "../../src/drivers/drivers.ts";
import type { Socket } from "../../src/node/net.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf } from "../support/failure.ts";
import { freePort } from "../support/free_port.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";

const identity = { user: "tester", password: "secret", database: "postgres" };

/** What a server sends when the start is over: the client is authenticated, and may ask. */
const ready = "R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

/** A server that answers the request for TLS with these bytes. */
function answering(answer: string) {
  return listen({ host: "127.0.0.1", port: 0 }, async (socket: PlaitSocket) => {
    await socket.next();
    await socket.write(answer);
    while ((await socket.next()) !== null);
  });
}

/** A server that takes so many messages of a start with TLS, and then answers no more. */
async function stallingAfter(count: number) {
  const reached = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
    for (let each = 0; each < count; each++) {
      await socket.next();
      if (each === 0) await socket.write("S");
    }
    reached.resolve();
    while ((await socket.next()) !== null);
    gone.resolve();
  });
  return {
    place: { host: "127.0.0.1", port: listener.port },
    /** The server has stopped to answer. */
    reached: reached.promise,
    /** The client has ended the connection. */
    gone: gone.promise,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

describe.skipIf(!isInstalled("openssl"))("the start of a connection of pg", () => {
  let certificates: DriverCertificates;
  let tls: { ca: string };

  beforeAll(() => {
    certificates = new DriverCertificates();
    tls = { ca: certificates.ca };
  });

  afterAll(() => certificates?.[Symbol.dispose]());

  const made = (options: PostgresOptions): Client =>
    new Client({ ...identity, ...postgres(options) });

  test.each([
    ["N", "ERR_TLS_NOT_OFFERED"],
    ["E", "ERR_TLS_NOT_OFFERED"],
    [ready, "ERR_TLS_NOT_OFFERED"],
    // What is behind the answer came in plain text, and must not be taken for what comes encrypted (CVE-2021-23222).
    ["Sdata in front", "ERR_SSL_WRONG_VERSION_NUMBER"],
    [`S${ready}`, "ERR_SSL_WRONG_VERSION_NUMBER"],
    [`SN${ready}`, "ERR_SSL_WRONG_VERSION_NUMBER"],
  ])("a server that answers %j is refused", async (answer, code) => {
    await using fake = await answering(answer);
    const client = made({ host: "127.0.0.1", port: fake.port, tls });
    expect(await failureOf(client.connect())).toMatchObject({ code });
  });

  test("a server that ends the connection is refused", async () => {
    await using fake = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.next();
    });
    const client = made({ host: "127.0.0.1", port: fake.port, tls });
    expect(await failureOf(client.connect())).toMatchObject({ code: "ECONNRESET" });
  });

  test("a port without a server is refused with Node's error", async () => {
    const port = await freePort();
    const client = made({ host: "127.0.0.1", port });
    expect(await failureOf(client.connect())).toMatchObject({ code: "ECONNREFUSED", port });
  });

  describe.each([0, 1, 2])("a server that stalls after %d messages", (count) => {
    test("is given up after connectTimeout", async () => {
      await using server = await stallingAfter(count);
      const client = made({ ...server.place, tls, connectTimeout: 100 });
      expect(await failureOf(client.connect())).toMatchObject({
        name: "TimeoutError",
        code: "ETIMEDOUT",
        syscall: "connect",
      });
      await server.gone;
    });

    test("is given up after the timeout of pg, by a client and by a pool", async () => {
      const before = openDescriptors();
      await using server = await stallingAfter(count);
      const own = { ...identity, ...postgres({ ...server.place, tls }) };
      const client = new Client({ ...own, connectionTimeoutMillis: 100 });
      expect((await failureOf(client.connect())).message).toBe("timeout expired");
      await server.gone;
      const pool = new Pool({ ...own, connectionTimeoutMillis: 100 });
      expect((await failureOf(pool.query("SELECT 1"))).message).toMatch(/timeout/);
      await pool.end();
      await pollUntil("the descriptors are closed", () => openDescriptors() <= before + 1);
    });

    test("is left at once by a client that ends", async () => {
      await using server = await stallingAfter(count);
      const client = made({ ...server.place, tls });
      // `pg` leaves this promise alone when it is ended meanwhile.
      client.connect().catch(() => undefined);
      await server.reached;
      await client.end();
      await server.gone;
    });

    test("is left at once by a client whose stream is destroyed", async () => {
      await using server = await stallingAfter(count);
      const client = made({ ...server.place, tls });
      const failure = failureOf(client.connect());
      await server.reached;
      const { connection } = client as unknown as { connection: { stream: Socket } };
      connection.stream.destroy();
      expect((await failure).message).toBe("Connection terminated unexpectedly");
      await server.gone;
    });
  });
});
