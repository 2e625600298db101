/** Redis on plait: `ioredis` against redis-server. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis, type RedisOptions } from "ioredis";
import { listen } from "../../index.ts";
import { type DriverOptions, ioredis } from "../../src/drivers/drivers.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { freePort } from "../support/free_port.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { type EncryptedRedis, startEncryptedRedis } from "../support/redis_server.ts";

/** Fails at once in place of trying again. */
const once: RedisOptions = { retryStrategy: () => null, maxRetriesPerRequest: 0 };

describe.skipIf(!isInstalled("redis-server") || !isInstalled("openssl"))("Redis", () => {
  let certificates: DriverCertificates;
  let server: EncryptedRedis;
  let plain: DriverOptions;
  let encrypted: DriverOptions;
  let tls: { ca: string };

  beforeAll(async () => {
    certificates = new DriverCertificates();
    server = await startEncryptedRedis(certificates);
    plain = { host: "127.0.0.1", port: server.port };
    tls = { ca: certificates.ca };
    encrypted = { host: "127.0.0.1", port: server.tlsPort, tls };
  }, 60_000);

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    certificates?.[Symbol.dispose]();
  });

  const clientOf = (options: DriverOptions, own: RedisOptions = {}): Redis =>
    new Redis({ ...ioredis(options), ...own });

  /** The error of a client that cannot connect. */
  const refusalOf = async (options: DriverOptions, own: RedisOptions = {}): Promise<Error> => {
    const redis = clientOf(options, { ...once, lazyConnect: true, ...own });
    const reported = new Promise<Error>((resolve) => redis.on("error", resolve));
    await failureOf(redis.connect());
    redis.disconnect();
    return await reported;
  };

  test("connects by an address, by a name, by a Unix socket, and over TLS", async () => {
    const byName = { ...encrypted, host: "localhost" };
    for (const options of [
      plain,
      { ...plain, host: "localhost" },
      { path: server.path },
      encrypted,
      byName,
    ]) {
      const redis = clientOf(options);
      await redis.set("key", "value");
      expect(await redis.get("key")).toBe("value");
      expect(await redis.quit()).toBe("OK");
    }
  });

  test("the host and the port may be ioredis's own options, and a duplicate has them too", async () => {
    const { port } = encrypted;
    const redis = new Redis({ host: "127.0.0.1", port, ...ioredis({ tls }) });
    const other = redis.duplicate();
    expect(await Promise.all([redis.ping(), other.ping()])).toEqual(["PONG", "PONG"]);
    await Promise.all([redis.quit(), other.quit()]);
  });

  test("a certificate of another authority, or for another name, is refused with plait's error", async () => {
    expect(await refusalOf({ ...encrypted, tls: { ca: certificates.otherCa } })).toMatchObject({
      name: "TlsError",
      code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    });
    const named = { ...tls, serverName: "other.example" };
    expect(await refusalOf({ ...encrypted, tls: named })).toMatchObject({
      name: "TlsError",
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
  });

  test("a port without a server is refused with Node's error", async () => {
    const port = await freePort();
    expect(await refusalOf({ host: "127.0.0.1", port })).toMatchObject({
      code: "ECONNREFUSED",
      port,
    });
  });

  describe("a server that stalls in the handshake", () => {
    const stalling = async () => {
      const reached = Promise.withResolvers<void>();
      const gone = Promise.withResolvers<void>();
      const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.next();
        reached.resolve();
        while ((await socket.next()) !== null);
        gone.resolve();
      });
      const place = { ...encrypted, port: listener.port };
      return { listener, place, reached: reached.promise, gone: gone.promise };
    };

    test("is given up after connectTimeout", async () => {
      const { listener, place, gone } = await stalling();
      await using _listener = listener;
      expect(await refusalOf(place, { connectTimeout: 100 })).toMatchObject({ code: "ETIMEDOUT" });
      await gone;
    });

    test("is left by a client that is disconnected", async () => {
      const { listener, place, reached, gone } = await stalling();
      await using _listener = listener;
      const redis = clientOf(place, { ...once, disconnectTimeout: 20 });
      redis.on("error", () => undefined);
      const ended = new Promise((resolve) => redis.once("end", resolve));
      await reached;
      redis.disconnect();
      await ended;
      await gone;
    });
  });

  test("wrong options are refused before anything happens", () => {
    expect(thrownBy(() => ioredis({ port: 70_000 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => ioredis({ port: 0 }))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => ioredis({ host: "http://a" }))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => ioredis({ hots: "a" } as object))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => ioredis({ tls: { ca: "/nowhere" } })).name).toBe("TlsError");
    expect(thrownBy(() => ioredis({ path: server.path, tls: true }))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => clientOf(encrypted, { tls: {} }))).toBeInstanceOf(TypeError);
    const sentinels = [{ host: "127.0.0.1", port: 26_379 }];
    expect(thrownBy(() => clientOf(plain, { sentinels, name: "a" }))).toBeInstanceOf(TypeError);
  });

  test("a client that is disconnected while it connects leaves nothing behind", async () => {
    const before = openDescriptors();
    const redis = clientOf(plain, once);
    redis.on("error", () => undefined);
    const ended = new Promise((resolve) => redis.once("end", resolve));
    redis.disconnect();
    await ended;
    await pollUntil("the descriptor is closed", () => openDescriptors() <= before);
  });

  test.each(["plain", "TLS"])("a hundred commands, and a pipeline: %s", async (kind) => {
    const redis = clientOf(kind === "TLS" ? encrypted : plain);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => redis.echo(`${index}`)),
    );
    expect(answers).toEqual(answers.map((_, index) => `${index}`));
    const pipeline = redis.pipeline();
    for (let index = 0; index < 1000; index++) pipeline.echo(`${index}`);
    const results = await pipeline.exec();
    expect(results).toEqual(Array.from({ length: 1000 }, (_, index) => [null, `${index}`]));
    await redis.quit();
  });

  test.each(["plain", "TLS"])(
    "50 MB come byte for byte: %s",
    async (kind) => {
      const redis = clientOf(kind === "TLS" ? encrypted : plain);
      const bytes = distinctBytes(50_000_000);
      await redis.set("large", Buffer.from(bytes.buffer, 0, bytes.length));
      const answer = await redis.getBuffer("large");
      expect(hashOf(answer!)).toBe(hashOf(bytes));
      await redis.del("large");
      await redis.quit();
    },
    60_000,
  );

  test.each(["plain", "TLS"])("a subscriber hears what is published: %s", async (kind) => {
    const subscriber = clientOf(kind === "TLS" ? encrypted : plain);
    const publisher = clientOf(plain);
    const heard: string[] = [];
    subscriber.on("message", (channel, message) => heard.push(`${channel}: ${message}`));
    await subscriber.subscribe("news");
    for (let index = 0; index < 100; index++) await publisher.publish("news", `${index}`);
    await pollUntil("everything was heard", () => heard.length === 100);
    expect(heard).toEqual(heard.map((_, index) => `news: ${index}`));
    await Promise.all([subscriber.quit(), publisher.quit()]);
  });

  test("a command that waits is ended by another client", async () => {
    const [waiting, other] = [clientOf(encrypted), clientOf(plain)];
    const id = await waiting.client("ID");
    const failure = failureOf(waiting.blpop("nothing", 60));
    await pollUntil("it waits", async () => {
      return /cmd=blpop/.test(String(await other.client("LIST")));
    });
    await other.client("UNBLOCK", id, "ERROR");
    expect((await failure).message).toStartWith("UNBLOCKED");
    expect(await waiting.ping()).toBe("PONG");
    await Promise.all([waiting.quit(), other.quit()]);
  });

  test.each(["plain", "TLS"])(
    "a server that is killed in the middle of a result is ioredis's error: %s",
    async (kind) => {
      const redis = clientOf(kind === "TLS" ? encrypted : plain, once);
      redis.on("error", () => undefined);
      await redis.set("large", Buffer.alloc(50_000_000));
      const ended = new Promise((resolve) => redis.once("end", resolve));
      const failure = failureOf(redis.getBuffer("large"));
      const { stream } = redis as unknown as { stream: NodeJS.EventEmitter };
      const stopped = new Promise<void>((resolve) => {
        stream.once("data", () => resolve(server.stop("SIGKILL")));
      });
      expect((await failure).message).toMatch(/Connection is closed|max retries/i);
      await Promise.all([ended, stopped]);
      expect((await failureOf(redis.ping())).message).toBe("Connection is closed.");
      await server.start();
    },
    30_000,
  );

  test("the loss of the server is ioredis's error, and the client connects again", async () => {
    const redis = clientOf(encrypted, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    const errors: Error[] = [];
    redis.on("error", (error) => errors.push(error));
    const strict = clientOf(plain, once);
    strict.on("error", (error) => errors.push(error));
    await Promise.all([redis.ping(), strict.ping()]);
    const lost = failureOf(strict.blpop("nothing", 60));
    const waiting = redis.brpop("something", 60);
    await pollUntil("they wait", async () => {
      const probe = clientOf(plain);
      const list = String(await probe.client("LIST"));
      await probe.quit();
      return /cmd=blpop/.test(list) && /cmd=brpop/.test(list);
    });
    await server.stop("SIGKILL");
    expect((await lost).message).toMatch(/Connection is closed|max retries/i);
    await server.start();
    // The command that was under way is sent again.
    const pusher = clientOf(plain);
    await pusher.lpush("something", "value");
    expect(await waiting).toEqual(["something", "value"]);
    expect(await redis.ping()).toBe("PONG");
    await Promise.all([redis.quit(), pusher.quit()]);
    strict.disconnect();
  }, 30_000);

  test("5,000 connections leave no descriptor", async () => {
    const before = openDescriptors();
    const own: RedisOptions = { enableReadyCheck: false, disableClientInfo: true };
    for (let round = 0; round < 100; round++) {
      const options = [plain, { path: server.path }, encrypted][round % 3]!;
      const clients = Array.from({ length: 50 }, () => clientOf(options, own));
      await Promise.all(clients.map((redis) => redis.ping()));
      await Promise.all(clients.map((redis) => redis.quit()));
    }
    await pollUntil("the descriptors are closed", () => openDescriptors() <= before + 3, 10_000);
  }, 120_000);
});
