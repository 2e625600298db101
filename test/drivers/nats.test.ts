/** NATS on plait: `@nats-io/nats-core` against nats-server. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type ConnectionOptions,
  headers,
  type NatsConnection,
  NatsConnectionImpl,
  setTransportFactory,
} from "@nats-io/nats-core/internal";
import { listen, type Socket, scope, connect as socketTo, spawn } from "../../index.ts";
import { type NatsOptions, nats } from "../../src/drivers/drivers.ts";
import { startNats } from "../support/database_servers.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { freePort } from "../support/free_port.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import type { ServerProcess } from "../support/server_process.ts";

function connect(options: ConnectionOptions, own: NatsOptions = {}): Promise<NatsConnection> {
  setTransportFactory(nats(own));
  return NatsConnectionImpl.connect(options);
}

describe.skipIf(!isInstalled("nats-server") || !isInstalled("openssl"))("NATS", () => {
  let certificates: DriverCertificates;
  let plain: ServerProcess;
  let encrypted: ServerProcess;
  const at = ({ port }: { port: number }): { servers: string } => ({
    servers: `127.0.0.1:${port}`,
  });

  beforeAll(async () => {
    certificates = new DriverCertificates();
    [plain, encrypted] = await Promise.all([startNats(), startNats(certificates)]);
  }, 60_000);

  afterAll(async () => {
    await Promise.all([plain, encrypted].map((server) => server?.[Symbol.asyncDispose]()));
    certificates?.[Symbol.dispose]();
  });

  const kinds = ["plain", "TLS"] as const;
  const serverOf = (kind: (typeof kinds)[number]): ServerProcess =>
    kind === "TLS" ? encrypted : plain;
  /** Connects to the server that takes TLS, or to the one that does not. */
  const connectTo = async (
    kind: (typeof kinds)[number],
    options: ConnectionOptions = {},
  ): Promise<NatsConnection> => {
    const own: NatsOptions = kind === "TLS" ? { tls: { ca: certificates.ca } } : {};
    return await connect({ ...at(serverOf(kind)), ...options }, own);
  };

  test.each(kinds)(
    "publishes, subscribes, and answers a hundred requests at a time: %s",
    async (kind) => {
      const connection = await connectTo(kind);
      connection.subscribe("double", {
        callback: (_error, message) =>
          void message.respond(`${message.string()}${message.string()}`),
      });
      const requests = Array.from({ length: 100 }, (_, index) =>
        connection.request("double", `${index}`),
      );
      const answers = await Promise.all(requests);
      expect(answers.map((answer) => answer.string())).toEqual(
        requests.map((_, index) => `${index}${index}`),
      );
      await connection.close();
      expect(await connection.closed()).toBeUndefined();
    },
  );

  test("queue groups and headers", async () => {
    const connection = await connectTo("TLS");
    const heard: string[][] = [[], []];
    for (const own of heard) {
      connection.subscribe("work", {
        queue: "workers",
        callback: (_error, message) => {
          own.push(message.headers?.get("number") ?? "");
          message.respond();
        },
      });
    }
    const numbers = Array.from({ length: 100 }, (_, index) => `${index}`);
    const requests = numbers.map((number) => {
      const own = headers();
      own.set("number", number);
      return connection.request("work", "", { headers: own, timeout: 4000 });
    });
    await Promise.all(requests);
    const byNumber = (a: string, b: string): number => Number(a) - Number(b);
    expect(heard.flat().sort(byNumber)).toEqual(numbers);
    for (const own of heard) expect(own.length).toBeGreaterThan(0);
    await connection.drain();
    expect(connection.isClosed()).toBe(true);
  });

  test.each(kinds)(
    "a message of 50 MB is the same byte for byte: %s",
    async (kind) => {
      const sent = distinctBytes(50_000_000);
      const connection = await connectTo(kind);
      const messages = connection.subscribe("large", { max: 1 });
      connection.publish("large", sent);
      for await (const message of messages) {
        expect(message.data.length).toBe(sent.length);
        expect(hashOf(message.data)).toBe(hashOf(sent));
      }
      await connection.close();
    },
    60_000,
  );

  test("requests that are given up do not disturb others", async () => {
    const connection = await connect(at(plain));
    connection.subscribe("silent", { callback: () => undefined });
    const error = await failureOf(connection.request("silent", "", { timeout: 20 }));
    expect(error.name).toBe("TimeoutError");
    await connection.flush();
    await connection.close();
  });

  describe("over TLS", () => {
    test("a server that offers it is trusted by its certificate", async () => {
      const connection = await connect(at(encrypted), { tls: { ca: certificates.ca } });
      const messages = connection.subscribe("a");
      connection.publish("a", "b");
      for await (const message of messages) {
        expect(message.string()).toBe("b");
        break;
      }
      await connection.close();
    });

    test("a name is looked up, and the certificate is checked for it", async () => {
      const servers = `localhost:${encrypted.port}`;
      const connection = await connect({ servers }, { tls: { ca: certificates.ca } });
      await connection.flush();
      await connection.close();
      const tls = { ca: certificates.ca, serverName: "other.example" };
      const error = await failureOf(connect({ servers, resolve: false }, { tls }));
      expect(error).toMatchObject({ name: "TlsError", code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    });

    test("the certificates of NATS's own options are used", async () => {
      const options = { ...at(encrypted), tls: { caFile: certificates.ca } };
      const connection = await connect(options);
      await connection.flush();
      await connection.close();
    });

    test("a certificate of another authority is refused with plait's error", async () => {
      const tls = { ca: certificates.otherCa };
      const error = await failureOf(connect(at(encrypted), { tls }));
      expect(error).toMatchObject({
        name: "TlsError",
        code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        port: encrypted.port,
      });
    });

    test("without options, the system must trust it", async () => {
      const error = await failureOf(connect(at(encrypted)));
      expect(error.name).toBe("TlsError");
    });

    test("a server without TLS is refused", async () => {
      const error = await failureOf(connect(at(plain), { tls: true }));
      expect(error).toMatchObject({ code: "ERR_TLS_NOT_OFFERED" });
    });

    test("with null, a server that requires it is refused", async () => {
      const error = await failureOf(connect({ ...at(encrypted), tls: null }));
      expect(error).toMatchObject({ code: "EACCES" });
    });

    test("it begins at once with handshakeFirst", async () => {
      const { cert, key } = certificates.issued;
      const copy = async (from: Socket, to: Socket): Promise<void> => {
        for await (const chunk of from) await to.write(chunk);
        await to.shutdown();
      };
      await using front = await listen(
        { host: "127.0.0.1", port: 0, tls: { cert, key } },
        async (client) => {
          using server = await socketTo({ host: "127.0.0.1", port: plain.port });
          await scope(async (s) => {
            s.spawn(() => copy(client, server));
            s.spawn(() => copy(server, client));
          });
        },
      );
      const options = { ...at(front), tls: { handshakeFirst: true } };
      const connection = await connect(options, { tls: { ca: certificates.ca } });
      await connection.flush();
      await connection.close();
    });

    test("data that came before the handshake is refused", async () => {
      await using server = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.write('INFO {"proto":1,"tls_required":true}\r\n+OK\r\n');
        for await (const _chunk of socket);
      });
      const error = await failureOf(connect(at(server), { tls: { ca: certificates.ca } }));
      expect(error).toMatchObject({ code: "EBUSY" });
    });

    test("options that plait does not know are refused", async () => {
      expect(thrownBy(() => nats({ tls: { rejectUnauthorized: false } as object }))).toBeInstanceOf(
        TypeError,
      );
      const tls = { rejectUnauthorized: false } as object;
      const error = await failureOf(connect({ ...at(encrypted), tls }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain("rejectUnauthorized");
    });
  });

  test.each([
    ["HTTP/1.1 400 Bad Request\r\n\r\n", "EPROTO"],
    ["INFO {,}\r\n", "EPROTO"],
    ["INFO [1]\r\n", "EPROTO"],
    ["", "ECONNRESET"],
  ])("a server that begins with %j is refused", async (beginning, code) => {
    await using server = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.write(beginning);
    });
    const { port } = server;
    const error = await failureOf(connect(at(server)));
    expect(error).toMatchObject({ code, address: "127.0.0.1", port });
  });

  test("a port without a server is refused", async () => {
    const error = await failureOf(connect(at({ port: await freePort() })));
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  });

  test.each(["", 'INFO {"proto":1,"tls_required":true}\r\n'])(
    "a server that stalls after %j is given up after the timeout of NATS",
    async (beginning) => {
      const gone = Promise.withResolvers<void>();
      await using stalling = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        await socket.write(beginning);
        while ((await socket.next()) !== null);
        gone.resolve();
      });
      const error = await failureOf(connect({ ...at(stalling), timeout: 100 }));
      expect(error.name).toBe("TimeoutError");
      await gone.promise;
    },
  );

  test("it outlives the fiber that has made it", async () => {
    const connected = Promise.withResolvers<NatsConnection>();
    const fiber = spawn(async () => {
      const connection = await connect(at(plain));
      connection.publish("a", "b");
      connected.resolve(connection);
      await new Promise(() => undefined);
    });
    const connection = await connected.promise;
    fiber.cancel();
    await connection.flush();
    await connection.close();
  });

  test.each(kinds)(
    "it reconnects after the server was killed, and subscriptions go on: %s",
    async (kind) => {
      const server = serverOf(kind);
      const connection = await connectTo(kind, { reconnectTimeWait: 20, maxReconnectAttempts: -1 });
      const messages = connection.subscribe("again");
      await connection.flush();
      const states: string[] = [];
      const watching = (async () => {
        for await (const { type } of connection.status()) states.push(type);
      })();
      connection.subscribe("again.silent");
      const lost = failureOf(connection.request("again.silent", "", { timeout: 500 }));
      await server.stop("SIGKILL");
      expect((await lost).name).toMatch(/Error$/);
      await server.start();
      await pollUntil("it has reconnected", () => states.includes("reconnect"), 10_000);
      expect(states).toContain("disconnect");
      connection.publish("again", "c");
      for await (const message of messages) {
        expect(message.string()).toBe("c");
        break;
      }
      await connection.close();
      await watching;
    },
    30_000,
  );

  test.each(kinds)(
    "without reconnection, a server that is killed in the middle ends it: %s",
    async (kind) => {
      const server = serverOf(kind);
      const connection = await connectTo(kind, { reconnect: false });
      const publisher = await connectTo(kind, { reconnect: false });
      const messages = connection.subscribe("large");
      await connection.flush();
      for (let count = 0; count < 50; count++) publisher.publish("large", new Uint8Array(1 << 20));
      let count = 0;
      let stopped: Promise<void> | undefined;
      for await (const _message of messages) {
        count++;
        stopped ??= server.stop("SIGKILL");
      }
      expect(count).toBeLessThan(50);
      const error = await connection.closed();
      if (error) expect(error.message).toMatch(/ECONNRESET|ERR_TLS_TRUNCATED/);
      expect(connection.isClosed()).toBe(true);
      const lost = await failureOf(connection.request("large", "", { timeout: 500 }));
      expect(lost.name).toBe("ClosedConnectionError");
      await publisher.closed();
      await stopped;
      await server.start();
    },
    30_000,
  );

  test("5,000 connections leave no descriptor", async () => {
    const before = openDescriptors();
    for (let round = 0; round < 100; round++) {
      const kind = round % 5 === 0 ? "TLS" : "plain";
      const connections = Array.from({ length: 50 }, () => connectTo(kind));
      for (const connection of await Promise.all(connections)) await connection.close();
    }
    await pollUntil("the descriptors are closed", () => openDescriptors() <= before + 3, 10_000);
  }, 120_000);
});
