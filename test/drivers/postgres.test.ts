/** PostgreSQL on plait: `pg` against the server. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, Pool, Query } from "pg";
import { listen, pipe, connect as socketTo } from "../../index.ts";
import { root } from "../../scripts/build.ts";
import { type PostgresOptions, postgres } from "../../src/drivers/drivers.ts";
import { password, startPostgres, user } from "../support/database_servers.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { runCommand } from "../support/run_command.ts";
import type { ServerProcess } from "../support/server_process.ts";
import { isSoak } from "../support/soak.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

const identity = { user, password, database: "postgres" };
const isEncrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

describe.skipIf(!isInstalled("initdb") || !isInstalled("openssl"))("PostgreSQL", () => {
  let certificates: DriverCertificates;
  let server: ServerProcess;
  let at: { host: string; port: number };
  let tls: { ca: string };

  beforeAll(async () => {
    certificates = new DriverCertificates();
    server = await startPostgres(certificates);
    at = { host: "127.0.0.1", port: server.port };
    tls = { ca: certificates.ca };
  }, 120_000);

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    certificates?.[Symbol.dispose]();
  });

  const made = (options: PostgresOptions): Client =>
    new Client({ ...identity, ...postgres(options) });
  const connected = async (options: PostgresOptions): Promise<Client> => {
    const client = made(options);
    await client.connect();
    return client;
  };

  test("connects by an address, by a name, and by a Unix socket", async () => {
    for (const place of [at, { ...at, host: "localhost" }, { path: server.path }]) {
      const client = await connected(place);
      expect((await client.query(isEncrypted)).rows).toEqual([{ ssl: false }]);
      await client.end();
    }
  });

  test("the host and the port may be pg's own options", async () => {
    const client = new Client({ ...postgres({ tls }), ...identity, ...at });
    await client.connect();
    expect((await client.query(isEncrypted)).rows).toEqual([{ ssl: true }]);
    await client.end();
    const connectionString = `postgres://${user}:${password}@localhost:${server.port}/postgres`;
    const other = new Client({ ...postgres({ tls }), connectionString });
    await other.connect();
    expect((await other.query(isEncrypted)).rows).toEqual([{ ssl: true }]);
    await other.end();
  });

  describe("over TLS", () => {
    test("connects, with the password bound to the certificate", async () => {
      for (const host of ["127.0.0.1", "localhost"]) {
        const config = { ...identity, ...postgres({ ...at, host, tls }) };
        const client = new Client({ ...config, enableChannelBinding: true });
        await client.connect();
        expect((await client.query(isEncrypted)).rows).toEqual([{ ssl: true }]);
        await client.end();
      }
    });

    test("a password that is bound to the certificate is refused when a server is between", async () => {
      // It has a certificate that the client trusts, and passes everything on.
      const { cert, key } = certificates.another;
      await using between = await listen({ host: "127.0.0.1", port: 0 }, async (client) => {
        const request = await client.next();
        await client.write("S");
        await client.startTls({ cert, key });
        using upstream = await socketTo(at);
        await upstream.write(request!);
        await upstream.next();
        await upstream.startTls(tls);
        await pipe(client, upstream);
      });
      const config = { ...identity, ...postgres({ host: "127.0.0.1", port: between.port, tls }) };
      const bound = new Client({ ...config, enableChannelBinding: true });
      const error = await failureOf(bound.connect());
      expect(error.message).toBe("SCRAM channel binding check failed");
      const unbound = new Client(config);
      await unbound.connect();
      expect((await unbound.query(isEncrypted)).rows).toEqual([{ ssl: true }]);
      await unbound.end();
    });

    test("a certificate of another authority, or for another name, is refused with plait's error", async () => {
      const other = made({ ...at, tls: { ca: certificates.otherCa } });
      expect(await failureOf(other.connect())).toMatchObject({
        name: "TlsError",
        code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        address: "127.0.0.1",
      });
      const named = made({ ...at, tls: { ...tls, serverName: "other.example" } });
      expect(await failureOf(named.connect())).toMatchObject({
        name: "TlsError",
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
    });

    test("a Unix socket has none", async () => {
      expect(thrownBy(() => postgres({ path: server.path, tls }))).toBeInstanceOf(TypeError);
      const client = new Client({ ...postgres({ tls }), ...identity, host: "/tmp" });
      expect(await failureOf(client.connect())).toBeInstanceOf(Error);
    });
  });

  test("wrong options are refused before anything happens", () => {
    expect(thrownBy(() => postgres({ port: 70_000 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => postgres({ port: 0 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => postgres({ host: "http://a" }))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => postgres({ hots: "a" } as object))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => postgres({ tls: { ca: "/nowhere" } })).name).toBe("TlsError");
    expect(
      thrownBy(() => postgres({ tls: { rejectUnauthorized: false } as object })),
    ).toBeInstanceOf(TypeError);
    expect(thrownBy(() => postgres({ path: "/tmp/socket" }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => postgres({ connectTimeout: 0 }))).toBeInstanceOf(RangeError);
    const both = { ...identity, ...postgres({ tls }), ssl: true };
    expect(thrownBy(() => new Client(both))).toBeInstanceOf(TypeError);
  });

  test.each(["plain", "TLS"])("a pool answers a hundred queries at a time: %s", async (kind) => {
    const options = postgres(kind === "TLS" ? { ...at, tls } : at);
    const pool = new Pool({ ...identity, ...options, max: 10 });
    const query = "SELECT $1::int AS number, pg_sleep(0.001)";
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => pool.query(query, [index])),
    );
    expect(answers.map(({ rows }) => rows[0].number)).toEqual(answers.map((_, index) => index));
    expect(pool.totalCount).toBe(10);
    await pool.end();
  });

  test.each(["plain", "TLS"])(
    "50 MB come byte for byte: %s",
    async (kind) => {
      const client = await connected(kind === "TLS" ? { ...at, tls } : at);
      await client.query("CREATE TEMPORARY TABLE large (place int, part bytea)");
      await client.query("ALTER TABLE large ALTER part SET STORAGE EXTERNAL");
      const bytes = distinctBytes(50_000_000);
      const size = 5_000_000;
      for (let place = 0; place < bytes.length; place += size) {
        const part = Buffer.from(bytes.buffer, place, size);
        await client.query("INSERT INTO large VALUES ($1, $2)", [place, part]);
      }
      const { rows } = await client.query("SELECT part FROM large ORDER BY place");
      expect(hashOf(Buffer.concat(rows.map(({ part }) => part)))).toBe(hashOf(bytes));
      await client.end();
    },
    30_000,
  );

  test("LISTEN hears NOTIFY", async () => {
    const listener = await connected({ ...at, tls });
    const speaker = await connected(at);
    const heard: (string | undefined)[] = [];
    listener.on("notification", ({ channel, payload }) => heard.push(`${channel}: ${payload}`));
    await listener.query("LISTEN news");
    const numbers = Array.from({ length: 100 }, (_, index) => `${index}`);
    for (const number of numbers) await speaker.query("SELECT pg_notify('news', $1)", [number]);
    await pollUntil("everything was heard", () => heard.length === numbers.length);
    expect(heard).toEqual(numbers.map((number) => `news: ${number}`));
    await Promise.all([listener.end(), speaker.end()]);
  });

  test.each(["plain", "TLS"])("a query is cancelled by pg's request: %s", async (kind) => {
    const options = kind === "TLS" ? { ...at, tls } : at;
    const client = await connected(options);
    const failure = failureOf(client.query("SELECT pg_sleep(60)"));
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
    const watching = await connected(at);
    const waits = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
    await pollUntil("the query runs", async () => {
      const { rowCount } = await watching.query(waits, [processID]);
      return rowCount === 1;
    });
    // What `pg` does in its `Client.cancel`: another connection asks for it.
    const { connection } = made(options) as unknown as {
      connection: NodeJS.EventEmitter & {
        connect(port: number, host: string): void;
        cancel(processId: number, secretKey: number): void;
      };
    };
    connection.connect(server.port, "127.0.0.1");
    connection.once("connect", () => connection.cancel(processID, secretKey));
    const ended = new Promise((resolve) => connection.once("end", resolve));
    expect(await failure).toMatchObject({ code: "57014" });
    await ended;
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await Promise.all([client.end(), watching.end()]);
  });

  test.each(["plain", "TLS"])(
    "a process of the server that is killed in the middle of a result is pg's error: %s",
    async (kind) => {
      const client = await connected(kind === "TLS" ? { ...at, tls } : at);
      client.on("error", () => undefined);
      const { processID } = client as unknown as { processID: number };
      const lines = "SELECT repeat('x', 1000) AS line FROM generate_series(1, 1000000)";
      const query = client.query(new Query(lines));
      let count = 0;
      query.on("row", ({ line }: { line: string }) => {
        expect(line.length).toBe(1000);
        count++;
        if (count === 1000) process.kill(processID, "SIGKILL");
      });
      const error = await new Promise<Error>((resolve, reject) => {
        query.on("error", resolve);
        query.on("end", () => reject(new Error("the result has come to its end")));
      });
      expect(error.message).toMatch(/Connection terminated|TRUNCATED|ECONNRESET/);
      expect(count).toBeLessThan(1_000_000);
      // The other processes end too, and the server starts again.
      await pollUntil(
        "the server is ready",
        async () => {
          const next = made(at);
          next.on("error", () => undefined);
          const isReady = await next.connect().then(
            () => true,
            () => false,
          );
          await next.end();
          return isReady;
        },
        20_000,
      );
    },
    30_000,
  );

  test("the loss of the server is pg's error, and a pool connects again", async () => {
    const lone = await connected({ ...at, tls });
    const lost = new Promise<Error>((resolve) => lone.on("error", resolve));
    const pool = new Pool({ ...identity, ...postgres({ ...at, tls }), max: 4 });
    pool.on("error", () => undefined);
    await pool.query("SELECT 1");
    const busy = Array.from({ length: 4 }, () => failureOf(pool.query("SELECT pg_sleep(60)")));
    await pollUntil("the queries run", async () => {
      const running =
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
      const { rows } = await lone.query(running);
      return rows[0].count === 4;
    });
    await server.stop("SIGQUIT");
    expect(await lost).toBeInstanceOf(Error);
    for (const error of await Promise.all(busy)) {
      // The server's last words, if it still sends them, or that its stream ended without a proper end.
      expect(error.message).toMatch(/terminat|TRUNCATED|ECONNRESET/);
    }
    const refused = await failureOf(pool.query("SELECT 1"));
    expect(refused).toMatchObject({ code: "ECONNREFUSED" });
    await server.start();
    await pollUntil("the server is ready", async () => {
      const answer = await pool.query("SELECT 1 AS one").catch(() => undefined);
      return answer?.rows[0].one === 1;
    });
    await pool.end();
  }, 60_000);

  describe("a program of its own", () => {
    /** Writes a program, which has its options in `options`, into a folder. */
    const programIn = (folder: TemporaryFolder, source: string): string => {
      const options = { host: "127.0.0.1", port: server.port, tls };
      const path = folder.file("program.ts");
      const drivers = JSON.stringify(join(root, "src", "drivers", "drivers.ts"));
      writeFileSync(
        path,
        `
          import { Client, Pool } from ${JSON.stringify(Bun.resolveSync("pg", root))};
          import { postgres } from ${drivers};
          const options = {
            ...${JSON.stringify(identity)},
            ...postgres(${JSON.stringify(options)}),
          };
          ${source}
        `,
      );
      return path;
    };

    test("ends although its pool has idle connections", async () => {
      using folder = new TemporaryFolder();
      const program = programIn(
        folder,
        `
          const pool = new Pool({ ...options, allowExitOnIdle: true, idleTimeoutMillis: 0 });
          await Promise.all([1, 2, 3].map(() => pool.query("SELECT 1")));
          console.log(pool.idleCount);
        `,
      );
      const { text, stderr, exitCode } = await runCommand([process.execPath, program]);
      expect({ text, stderr, exitCode }).toEqual({ text: "3\n", stderr: "", exitCode: 0 });
    }, 20_000);

    test("compiled by bun build --compile, connects over TLS", async () => {
      using folder = new TemporaryFolder();
      const program = programIn(
        folder,
        `
          const client = new Client(options);
          await client.connect();
          const { rows } = await client.query(${JSON.stringify(isEncrypted)});
          console.log(JSON.stringify(rows));
          await client.end();
        `,
      );
      const executable = folder.file("program");
      const build = ["build", "--compile", program, "--outfile", executable];
      const built = await runCommand([process.execPath, ...build], undefined, 40_000);
      expect(built.exitCode).toBe(0);
      const { text, stderr, exitCode } = await runCommand([executable]);
      expect({ text, stderr, exitCode }).toEqual({
        text: '[{"ssl":true}]\n',
        stderr: "",
        exitCode: 0,
      });
    }, 60_000);
  });

  // PostgreSQL forks a process for each connection, which takes from 3 ms to 40 ms. After these seconds the
  // rest of the connections go to a server of this test.
  const seconds = isSoak ? 600 : 10;

  test(
    "5,000 connections leave no descriptor",
    async () => {
      const ready = new Uint8Array([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);
      await using quick = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.next();
        await socket.write(ready);
        while ((await socket.next()) !== null);
      });
      const places = [{ path: server.path }, at, { path: server.path }, { ...at, tls }];
      const before = openDescriptors();
      const limit = performance.now() + seconds * 1000;
      let real = 0;
      for (let round = 0; round < 100; round++) {
        const isReal = performance.now() < limit;
        const options = isReal
          ? places[round % places.length]!
          : { host: "127.0.0.1", port: quick.port };
        const clients = Array.from({ length: 50 }, () => made(options));
        await Promise.all(clients.map((client) => client.connect()));
        await Promise.all(clients.map((client) => client.end()));
        if (isReal) real += clients.length;
      }
      console.log(
        real === 5000
          ? "PostgreSQL has taken all 5,000 connections"
          : `PostgreSQL has taken ${real} of 5,000 connections in ${seconds} s (all: bun run soak)`,
      );
      await pollUntil("the descriptors are closed", () => openDescriptors() <= before + 3, 10_000);
    },
    (seconds + 60) * 1000,
  );
});
