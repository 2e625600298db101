/** MariaDB on plait: `mysql2` against the server. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import mysql2 from "mysql2/promise";
import { listen, type Socket } from "../../index.ts";
import { type DriverOptions, mysql } from "../../src/drivers/drivers.ts";
import { password, type Server, startMariadb, user } from "../support/database_servers.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";

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

/** A packet of MySQL's protocol. */
function packet(number: number, ...parts: (string | readonly number[])[]): Buffer {
  const payload = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const header = Buffer.from([0, 0, 0, number]);
  header.writeUIntLE(payload.length, 0, 3);
  return Buffer.concat([header, payload]);
}

/** The greeting of a server that wants a password as MySQL 8 does. */
function greeting(offersTls: boolean): Buffer {
  const flags = [0x08, 0xa2 | 0x08];
  if (!offersTls) flags[1] = 0xa2;
  return packet(
    0,
    [10],
    "8.0.0\0",
    [1, 0, 0, 0],
    "12345678\0",
    flags,
    [45, 2, 0],
    [0x08, 0x00],
    [21],
    "\0".repeat(10),
    "123456789012\0",
    "caching_sha2_password\0",
  );
}

describe.skipIf(!isInstalled("mariadbd") || !isInstalled("openssl"))("MariaDB", () => {
  let certificates: DriverCertificates;
  let server: Server;
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

    test("nothing of the user leaves before the certificate is trusted", async () => {
      const { cert, key } = certificates.issued;
      const heard: Uint8Array[] = [];
      await using fake = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.write(greeting(true));
        const request = new Uint8Array(36);
        for (let count = 0; count < 36; ) count += await socket.read(request.subarray(count));
        heard.push(request);
        await socket.startTls({ cert, key });
        for await (const chunk of socket) heard.push(chunk);
      });
      const place = { host: "127.0.0.1", port: fake.port };
      const error = await failureOf(connected({ ...place, tls: { ca: certificates.otherCa } }));
      expect(error.name).toBe("TlsError");
      expect(heard.length).toBe(1);
      expect([...heard[0]!.subarray(0, 4)]).toEqual([32, 0, 0, 1]);
      expect(heard[0]![5]! & 0x08).toBe(0x08);
    });

    test("a password that the server wants as it is goes through TLS alone", async () => {
      const { cert, key } = certificates.issued;
      const heard = Promise.withResolvers<string>();
      const next = async (socket: Socket): Promise<Buffer> => Buffer.from((await socket.next())!);
      await using fake = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        // In pieces, with the last of one packet and the first of the next together.
        for (const byte of greeting(true)) await socket.write(new Uint8Array([byte]));
        const request = new Uint8Array(36);
        for (let count = 0; count < 36; ) count += await socket.read(request.subarray(count));
        await socket.startTls({ cert, key });
        const response = await next(socket);
        expect(response[3]).toBe(2);
        expect([...response.subarray(4, 36)]).toEqual([...request.subarray(4, 36)]);
        await socket.write(packet(3, [1, 4]));
        const answer = await next(socket);
        expect(answer[3]).toBe(4);
        heard.resolve(answer.subarray(4).toString());
        await socket.write(packet(5, [0, 0, 0, 2, 0, 0, 0]));
        const query = await next(socket);
        expect(query[3]).toBe(0);
        await socket.write(packet(1, [0, 0, 0, 2, 0, 0, 0]));
        while ((await socket.next()) !== null);
      });
      const place = { host: "127.0.0.1", port: fake.port };
      const connection = await connected({ ...place, tls });
      expect(await heard.promise).toBe(`${password}\0`);
      await connection.ping();
      connection.destroy();
    });

    test("a server without TLS, and one that speaks before the handshake, are refused", async () => {
      for (const [bytes, code] of [
        [greeting(false), "ERR_TLS_NOT_OFFERED"],
        [Buffer.concat([greeting(true), packet(1, [0])]), "EBUSY"],
        [Buffer.from([0xff, 0xff, 0xff, 0]), "EPROTO"],
      ] as const) {
        await using fake = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
          await socket.write(bytes);
          while ((await socket.next()) !== null);
        });
        const place = { host: "127.0.0.1", port: fake.port };
        const { host: address, port } = place;
        expect(await failureOf(connected({ ...place, tls }))).toMatchObject({
          code,
          address,
          port,
        });
      }
    });

    test("an error in place of the greeting is the server's", async () => {
      await using fake = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.write(packet(0, [0xff, 0x10, 0x04], "#08004Too many connections"));
        while ((await socket.next()) !== null);
      });
      const place = { host: "127.0.0.1", port: fake.port };
      const error = await failureOf(connected({ ...place, tls }));
      expect(error).toMatchObject({ code: "ER_CON_COUNT_ERROR" });
    });
  });

  test("wrong options are refused before anything happens", () => {
    expect(thrownBy(() => mysql({ port: 70_000 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => mysql({ hots: "a" } as object))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => mysql({ tls: { ca: "/nowhere" } })).name).toBe("TlsError");
    expect(thrownBy(() => mysql({ path: server.path, tls }))).toBeInstanceOf(TypeError);
    const both = { ...mysql({ ...at, tls }), ssl: {} };
    expect(thrownBy(() => mysql2.createConnection(both))).toBeInstanceOf(TypeError);
  });

  test("a silent server is given up after mysql2's timeout", async () => {
    const gone = Promise.withResolvers<void>();
    await using silent = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      while ((await socket.next()) !== null);
      gone.resolve();
    });
    const own = mysql({ host: "127.0.0.1", port: silent.port, tls });
    const error = await failureOf(
      mysql2.createConnection({ ...identity, ...own, connectTimeout: 30 }),
    );
    expect(error).toMatchObject({ code: "ETIMEDOUT" });
    await gone.promise;
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
