/** The start of a connection of `mysql2` on plait, against servers of the tests' own. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import callbacks from "mysql2";
import mysql2 from "mysql2/promise";
import { listen, type Socket as PlaitSocket } from "../../index.ts";
import { type DriverOptions, mysql } from "../../src/drivers/drivers.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { drain, readExactly } from "../support/receiving.ts";

const password = "secret";
const identity = { user: "tester", password, database: "test" };

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

/** What a client sends to ask for TLS: no byte more, for what follows belongs to the handshake. */
const requestBytes = 36;

describe.skipIf(!isInstalled("openssl"))("the start of a connection of mysql2", () => {
  let certificates: DriverCertificates;
  let tls: { ca: string };

  beforeAll(() => {
    certificates = new DriverCertificates();
    tls = { ca: certificates.ca };
  });

  afterAll(() => certificates?.[Symbol.dispose]());

  const serve = (handler: (socket: PlaitSocket) => Promise<void>) =>
    listen({ host: "127.0.0.1", port: 0 }, handler);

  const connected = (
    { port }: { readonly port: number },
    own: DriverOptions = { tls },
    options: mysql2.ConnectionOptions = {},
  ): Promise<mysql2.Connection> =>
    mysql2.createConnection({
      ...identity,
      ...mysql({ host: "127.0.0.1", port, ...own }),
      ...options,
    });

  test("nothing of the user leaves before the certificate is trusted", async () => {
    const { cert, key } = certificates.issued;
    const heard: Uint8Array[] = [];
    await using fake = await serve(async (socket) => {
      await socket.write(greeting(true));
      heard.push(await readExactly(socket, requestBytes));
      await socket.startTls({ cert, key });
      for await (const chunk of socket) heard.push(chunk);
    });
    const error = await failureOf(connected(fake, { tls: { ca: certificates.otherCa } }));
    expect(error.name).toBe("TlsError");
    expect(heard.length).toBe(1);
    expect([...heard[0]!.subarray(0, 4)]).toEqual([32, 0, 0, 1]);
    expect(heard[0]![5]! & 0x08).toBe(0x08);
  });

  test("a password that the server wants as it is goes through TLS alone", async () => {
    const { cert, key } = certificates.issued;
    const heard = Promise.withResolvers<string>();
    const next = async (socket: PlaitSocket): Promise<Buffer> =>
      Buffer.from((await socket.next())!);
    await using fake = await serve(async (socket) => {
      for (const byte of greeting(true)) await socket.write(new Uint8Array([byte]));
      const request = await readExactly(socket, requestBytes);
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
      await drain(socket);
    });
    const connection = await connected(fake);
    expect(await heard.promise).toBe(`${password}\0`);
    await connection.ping();
    connection.destroy();
  });

  test.each([
    ["a greeting without TLS", greeting(false), "ERR_TLS_NOT_OFFERED"],
    ["an empty packet", packet(0), "ERR_TLS_NOT_OFFERED"],
    ["a greeting that breaks off", packet(0, [10], "8.0.0"), "ERR_TLS_NOT_OFFERED"],
    ["a packet before TLS", Buffer.concat([greeting(true), packet(1, [0])]), "EBUSY"],
    ["a part of a packet before TLS", Buffer.concat([greeting(true), Buffer.from([1])]), "EBUSY"],
    ["a length of 16 MiB", Buffer.from([0xff, 0xff, 0xff, 0]), "EPROTO"],
    ["another protocol", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), "EPROTO"],
  ])("a server that begins with %s is refused", async (_what, bytes, code) => {
    await using fake = await serve(async (socket) => {
      await socket.write(bytes);
      await drain(socket);
    });
    const { port } = fake;
    const error = await failureOf(connected(fake));
    expect(error).toMatchObject({ code, address: "127.0.0.1", port });
  });

  test("a packet in plain text in place of the handshake is refused", async () => {
    await using fake = await serve(async (socket) => {
      await socket.write(greeting(true));
      await readExactly(socket, requestBytes);
      await socket.write(packet(2, [0, 0, 0, 2, 0, 0, 0]));
      await drain(socket);
    });
    const error = await failureOf(connected(fake));
    expect(error).toMatchObject({ name: "TlsError", code: "ERR_SSL_WRONG_VERSION_NUMBER" });
  });

  test("a packet of 16 MiB in place of the answer to the password is refused", async () => {
    const { cert, key } = certificates.issued;
    await using fake = await serve(async (socket) => {
      await socket.write(greeting(true));
      await readExactly(socket, requestBytes);
      await socket.startTls({ cert, key });
      await socket.next();
      await socket.write(Buffer.from([0xff, 0xff, 0xff, 3]));
      await drain(socket);
    });
    const { port } = fake;
    const error = await failureOf(connected(fake));
    expect(error).toMatchObject({ code: "EPROTO", address: "127.0.0.1", port });
  });

  test("an error in place of the greeting is the server's", async () => {
    await using fake = await serve(async (socket) => {
      await socket.write(packet(0, [0xff, 0x10, 0x04], "#08004Too many connections"));
      await drain(socket);
    });
    expect(await failureOf(connected(fake))).toMatchObject({ code: "ER_CON_COUNT_ERROR" });
  });

  describe.each([0, 1, 2])("a server that stalls after %d messages", (count) => {
    const stalling = async () => {
      const { cert, key } = certificates.issued;
      const reached = Promise.withResolvers<void>();
      const gone = Promise.withResolvers<void>();
      const listener = await serve(async (socket) => {
        if (count > 0) {
          await socket.write(greeting(true));
          await readExactly(socket, requestBytes);
        }
        if (count > 1) await socket.startTls({ cert, key });
        reached.resolve();
        await drain(socket).catch(() => undefined);
        gone.resolve();
      });
      return { listener, reached: reached.promise, gone: gone.promise };
    };

    test("is given up after the timeout of mysql2", async () => {
      const { listener, gone } = await stalling();
      await using _listener = listener;
      const error = await failureOf(connected(listener, { tls }, { connectTimeout: 100 }));
      expect(error).toMatchObject({ code: "ETIMEDOUT" });
      await gone;
    });

    test("is left at once by a connection that is destroyed", async () => {
      const { listener, reached, gone } = await stalling();
      await using _listener = listener;
      const own = mysql({ host: "127.0.0.1", port: listener.port, tls });
      const connection = callbacks.createConnection({ ...identity, ...own });
      await reached;
      connection.destroy();
      await gone;
    });
  });
});
