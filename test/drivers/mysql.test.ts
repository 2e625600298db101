/** MariaDB on plait: `mysql2` against the server. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type callbacks from "mysql2";
import mysql2 from "mysql2/promise";
import { type DriverOptions, mysql } from "../../src/drivers/drivers.ts";
import { password, startMariadb, user } from "../support/database_servers.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import type { ServerProcess } from "../support/server_process.ts";

const identity = { user, password, database: "test" };
type Rows = Record<string, unknown>[];

async function rowsOf(
  connection: { query(text: string): Promise<unknown> },
  text: string,
): Promise<Rows> {
  const [rows] = (await connection.query(text)) as [Rows];
  return rows;
}

async function cipherOf(connection: { query(text: string): Promise<unknown> }): Promise<unknown> {
  return (await rowsOf(connection, "SHOW STATUS LIKE 'Ssl_version'"))[0]?.Value;
}

describe.skipIf(!isInstalled("mariadbd") || !isInstalled("openssl"))("MariaDB", () => {
  let certificates: DriverCertificates;
  let server: ServerProcess;
  let at: { host: string; port: number };
  let tls: { ca: string };

  beforeAll(async () => {
    certificates = new DriverCertificates();
    server = await startMariadb(certificates);
    at = { host: "127.0.0.1", port: server.port };
    tls = { ca: certificates.ca };
  }, 120_000);

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    certificates?.[Symbol.dispose]();
  });

  const connected = (options: DriverOptions): Promise<mysql2.Connection> =>
    mysql2.createConnection({ ...identity, ...mysql(options) });

  test("connects by an address, by a name, and by a Unix socket", async () => {
    for (const place of [at, { ...at, host: "localhost" }, { path: server.path }]) {
      const connection = await connected(place);
      expect(await cipherOf(connection)).toBe("");
      await connection.end();
    }
  });

  test("the host and the port may be mysql2's own options", async () => {
    const connection = await mysql2.createConnection({ ...mysql({ tls }), ...identity, ...at });
    expect(await cipherOf(connection)).toBe("TLSv1.3");
    await connection.end();
    const uri = `mysql://${user}:${password}@localhost:${server.port}/test`;
    const other = await mysql2.createConnection({ ...mysql(), uri });
    expect(await rowsOf(other, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await other.end();
  });

  describe("over TLS", () => {
    test("connects a user who must use TLS", async () => {
      const encrypted = { ...identity, user: "encrypted" };
      for (const host of ["127.0.0.1", "localhost"]) {
        const own = mysql({ ...at, host, tls });
        const connection = await mysql2.createConnection({ ...encrypted, ...own });
        expect(await cipherOf(connection)).toBe("TLSv1.3");
        await connection.end();
      }
      const plain = mysql2.createConnection({ ...encrypted, ...mysql(at) });
      expect(await failureOf(plain)).toMatchObject({ code: "ER_ACCESS_DENIED_ERROR" });
    });

    test("a wrong password is the server's error, and compression works", async () => {
      const wrong = { ...identity, ...mysql({ ...at, tls }), password: "wrong" };
      const error = await failureOf(mysql2.createConnection(wrong));
      expect(error).toMatchObject({ code: "ER_ACCESS_DENIED_ERROR" });
      const compressed = { ...identity, ...mysql({ ...at, tls }), compress: true };
      const connection = await mysql2.createConnection(compressed);
      const text = "x".repeat(100_000);
      expect(await rowsOf(connection, `SELECT '${text}' AS text`)).toEqual([{ text }]);
      await connection.end();
    });

    test("a user changes on the connection", async () => {
      const connection = await connected({ ...at, tls });
      await connection.changeUser({ ...identity, user: "encrypted" });
      const [row] = await rowsOf(connection, "SELECT USER() AS user");
      expect(row?.user).toStartWith("encrypted@");
      await connection.end();
    });

    test("a certificate of another authority, or for another name, is refused with plait's error", async () => {
      const other = connected({ ...at, tls: { ca: certificates.otherCa } });
      expect(await failureOf(other)).toMatchObject({
        name: "TlsError",
        code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        address: "127.0.0.1",
      });
      const named = connected({ ...at, tls: { ...tls, serverName: "other.example" } });
      expect(await failureOf(named)).toMatchObject({
        name: "TlsError",
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
    });
  });

  test("wrong options are refused before anything happens", () => {
    expect(thrownBy(() => mysql({ port: 70_000 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => mysql({ port: 0 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => mysql({ host: "http://a" }))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => mysql({ hots: "a" } as object))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => mysql({ tls: { ca: "/nowhere" } })).name).toBe("TlsError");
    expect(thrownBy(() => mysql({ path: server.path, tls }))).toBeInstanceOf(TypeError);
    const both = { ...mysql({ ...at, tls }), ssl: {} };
    expect(thrownBy(() => mysql2.createConnection(both))).toBeInstanceOf(TypeError);
  });

  test.each(["plain", "TLS"])("a pool answers a hundred queries at a time: %s", async (kind) => {
    const options = mysql(kind === "TLS" ? { ...at, tls } : at);
    const pool = mysql2.createPool({ ...identity, ...options, connectionLimit: 10 });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => pool.execute("SELECT ? AS number", [index])),
    );
    const numbers = answers.map(([rows]) => Number((rows as unknown as Rows)[0]?.number));
    expect(numbers).toEqual(answers.map((_, index) => index));
    await pool.end();
  });

  test.each(["plain", "TLS"])(
    "50 MB come byte for byte: %s",
    async (kind) => {
      const connection = await connected(kind === "TLS" ? { ...at, tls } : at);
      const bytes = distinctBytes(50_000_000);
      // Packets of 16 MiB and more take MariaDB seconds.
      await connection.query("CREATE TEMPORARY TABLE large (place int, part longblob)");
      const size = 5_000_000;
      for (let place = 0; place < bytes.length; place += size) {
        const part = Buffer.from(bytes.buffer, place, size);
        await connection.execute("INSERT INTO large VALUES (?, ?)", [place, part]);
      }
      const rows = await rowsOf(connection, "SELECT part FROM large ORDER BY place");
      const parts = rows.map(({ part }) => part as Buffer);
      expect(hashOf(Buffer.concat(parts))).toBe(hashOf(bytes));
      await connection.end();
    },
    60_000,
  );

  test.each(["plain", "TLS"])("a query is cancelled by KILL QUERY: %s", async (kind) => {
    const options = kind === "TLS" ? { ...at, tls } : at;
    const [connection, killer] = await Promise.all([connected(options), connected(options)]);
    const { threadId } = connection as unknown as { threadId: number };
    const failure = failureOf(
      connection.query("SELECT COUNT(*) FROM information_schema.columns WHERE SLEEP(60)"),
    );
    await pollUntil("the query runs", async () => {
      const list = await rowsOf(killer, "SHOW PROCESSLIST");
      return list.some(({ Id, State }) => Id === threadId && State === "User sleep");
    });
    await killer.query(`KILL QUERY ${threadId}`);
    expect(await failure).toMatchObject({ code: "ER_QUERY_INTERRUPTED" });
    expect(await rowsOf(connection, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await Promise.all([connection.end(), killer.end()]);
  });

  test.each(["plain", "TLS"])(
    "a server that is killed in the middle of a result is mysql2's error: %s",
    async (kind) => {
      const connection = await connected(kind === "TLS" ? { ...at, tls } : at);
      const lines = "SELECT REPEAT('x', 1000) AS line FROM seq_1_to_1000000";
      let count = 0;
      let stopped: Promise<void> | undefined;
      const error = await new Promise<Error & { code?: string }>((resolve) => {
        // `mysql2` reports it here when a query has no callback.
        connection.on("error", resolve);
        const { connection: core } = connection as unknown as { connection: callbacks.Connection };
        core.query(lines).on("result", () => {
          count++;
          if (count === 1000) stopped = server.stop("SIGKILL");
        });
      });
      expect(error.code).toMatch(/^(PROTOCOL_CONNECTION_LOST|ERR_TLS_TRUNCATED|ECONNRESET)$/);
      expect(count).toBeLessThan(1_000_000);
      await stopped;
      await server.start();
    },
    60_000,
  );

  test("the loss of the server is mysql2's error, and a pool connects again", async () => {
    const pool = mysql2.createPool({ ...identity, ...mysql({ ...at, tls }), connectionLimit: 4 });
    const watching = await connected({ ...at, tls });
    const lost = new Promise((resolve) => watching.on("error", resolve));
    const busy = Array.from({ length: 4 }, () => failureOf(pool.query("SELECT SLEEP(60)")));
    await pollUntil("the queries run", async () => {
      const list = await rowsOf(watching, "SHOW PROCESSLIST");
      return list.filter(({ State }) => State === "User sleep").length === 4;
    });
    await server.stop("SIGKILL");
    expect(await lost).toBeInstanceOf(Error);
    for (const error of await Promise.all(busy)) {
      expect(error.code).toMatch(/^(PROTOCOL_CONNECTION_LOST|ERR_TLS_TRUNCATED|ECONNRESET)$/);
    }
    expect(await failureOf(pool.query("SELECT 1"))).toMatchObject({ code: "ECONNREFUSED" });
    await server.start();
    expect(await rowsOf(pool, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await pool.end();
  }, 60_000);

  test("5,000 connections leave no descriptor", async () => {
    const before = openDescriptors();
    for (let round = 0; round < 100; round++) {
      const options = round < 4 ? { ...at, tls } : round % 2 === 0 ? { path: server.path } : at;
      const connections = Array.from({ length: 50 }, () => connected(options));
      for (const connection of await Promise.all(connections)) await connection.end();
    }
    await pollUntil("the descriptors are closed", () => openDescriptors() <= before + 3, 10_000);
  }, 120_000);
});
