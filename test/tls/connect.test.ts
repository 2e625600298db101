import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import {
  block,
  connect,
  deadline,
  listen,
  type Socket,
  sleep,
  spawn,
  stats,
  type TlsError,
  type TlsOptions,
  tlsContext,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { drain, readExactly, readText } from "../support/receiving.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, echo, presenting, serveTls, tlsPair } from "../support/tls_pair.ts";

const mebibyte = 1024 * 1024;

describe.skipIf(!isInstalled("openssl"))("TLS connections", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  test("show their properties in socket.tls", async () => {
    await using pair = await tlsPair({ serverName: "good.example" });
    const { client, server } = pair;
    expect([client.secure, server.secure]).toEqual([true, true]);
    expect(client.tls).toMatchObject({
      protocol: "TLSv1.3",
      cipher: expect.stringMatching(/^TLS_/),
      group: expect.stringMatching(/X25519/i),
      alpn: undefined,
      serverName: "good.example",
      verified: true,
      verifyError: undefined,
      resumed: false,
    });
    expect(client.tls?.certificate).toBeInstanceOf(X509Certificate);
    expect(client.tls?.certificate?.checkHost("good.example")).toBe("good.example");
    expect(client.tls?.chain.map(({ subject }) => subject)).toEqual([
      "CN=plait test p256",
      "CN=plait test middle",
    ]);
    expect(server.tls).toMatchObject({
      protocol: "TLSv1.3",
      serverName: "good.example",
      verified: false,
      verifyError: undefined,
      certificate: undefined,
      chain: [],
    });
    const { tls } = client;
    client.close();
    expect(client.tls).toBe(tls);
  });

  test("show certificates of any size, also of resumed sessions and in errors", async () => {
    const tls = { ...presenting(made.large), ca: made.root, clientAuth: "request" as const };
    await using listener = await serveTls(echo, tls);
    const { raw } = new X509Certificate(readFileSync(made.large.cert));
    expect(raw.byteLength).toBeGreaterThan(8192);
    let session: Uint8Array | undefined;
    for (const resumed of [false, true]) {
      const onSession = (bytes: Uint8Array) => {
        session = bytes;
      };
      await using socket = await dialTls(listener.port, { session, onSession });
      expect(socket.tls?.resumed).toBe(resumed);
      expect(socket.tls?.certificate?.raw).toEqual(raw);
      await socket.write("x");
      await socket.next();
    }
    const refused = failureOf(dialTls(listener.port, { serverName: "other.example" }));
    expect(((await refused) as TlsError).certificate?.raw).toEqual(raw);
  });

  test("are secure, and plain ones are not", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, echo);
    await using client = await connect({ host: "127.0.0.1", port: listener.port, tls: false });
    expect(client.secure).toBe(false);
    expect(client.tls).toBeUndefined();
  });

  test("use the version and the ciphers of their options", async () => {
    const combinations: [TlsOptions, object][] = [
      [{ maxVersion: "TLSv1.2" }, { protocol: "TLSv1.2" }],
      [
        { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305" },
        { cipher: "ECDHE-ECDSA-CHACHA20-POLY1305" },
      ],
      [{ cipherSuites: "TLS_AES_128_GCM_SHA256" }, { cipher: "TLS_AES_128_GCM_SHA256" }],
      [{ groups: "P-384" }, { group: expect.stringMatching(/384/) }],
    ];
    for (const [options, expected] of combinations) {
      await using pair = await tlsPair(options);
      expect(pair.client.tls).toMatchObject(expected);
      expect(pair.server.tls).toMatchObject(expected);
    }
  });

  test("agree on a protocol, in the server's order, or fail", async () => {
    const server = { ...presenting(made.p256), alpn: ["h2", "http/1.1"] };
    await using pair = await tlsPair({ alpn: ["http/1.1", "h2"] }, server);
    expect([pair.client.tls?.alpn, pair.server.tls?.alpn]).toEqual(["h2", "h2"]);
    await using without = await tlsPair({}, server);
    expect(without.client.tls?.alpn).toBeUndefined();
    await using listener = await serveTls(echo, server);
    expect(await failureOf(dialTls(listener.port, { alpn: ["imap"] }))).toMatchObject({
      name: "TlsError",
      code: expect.stringMatching(/NO_APPLICATION_PROTOCOL/),
    });
  });

  test("carry data both ways, in portions of any size", async () => {
    await using pair = await tlsPair();
    const { client, server } = pair;
    const bytes = distinctBytes(4 * mebibyte + 17);
    const sending = Promise.all([client.write(bytes), server.write([bytes, "end", bytes])]);
    const [there, back] = await Promise.all([
      readExactly(server, bytes.byteLength),
      readExactly(client, 2 * bytes.byteLength + 3),
    ]);
    expect(await sending).toEqual([bytes.byteLength, 2 * bytes.byteLength + 3]);
    expect(hashOf(there)).toBe(hashOf(bytes));
    expect(hashOf(back)).toBe(hashOf(Buffer.concat([bytes, Buffer.from("end"), bytes])));
    expect([client.bytesWritten, client.bytesRead]).toEqual([bytes.length, 2 * bytes.length + 3]);
    await client.write("");
    for (const size of [1, 2, 16_384, 16_385, 40_000]) {
      await client.write(bytes.subarray(0, size));
      expect(hashOf(await readExactly(server, size))).toBe(hashOf(bytes.subarray(0, size)));
    }
  });

  test("a reader with a small buffer gets a large record whole", async () => {
    await using pair = await tlsPair();
    const bytes = distinctBytes(16_384);
    await pair.client.write(bytes);
    const parts: Uint8Array[] = [];
    const buffer = new Uint8Array(1000);
    for (let total = 0; total < bytes.byteLength; ) {
      const count = await pair.server.read(buffer, deadline(2000));
      parts.push(buffer.slice(0, count));
      total += count;
    }
    expect(hashOf(Buffer.concat(parts))).toBe(hashOf(bytes));
  });

  test("a peer that does not read suspends the writer, whose writes stay in order", async () => {
    await using pair = await tlsPair();
    const { client, server } = pair;
    const chunks = [1, 2, 3].map((digit) => new Uint8Array(8 * mebibyte).fill(digit));
    const writers = chunks.map((chunk) => spawn(() => client.write(chunk)));
    await sleep(20);
    expect(writers.map((writer) => writer.state)).toEqual(["waiting", "waiting", "waiting"]);
    const received = await readExactly(server, 24 * mebibyte);
    expect(hashOf(received)).toBe(hashOf(Buffer.concat(chunks)));
    for (const writer of writers) expect(await writer.join()).toBe(8 * mebibyte);
  });

  test("a write that gives up leaves whole records behind it", async () => {
    await using pair = await tlsPair();
    const { client, server } = pair;
    const failure = await failureOf(client.write(new Uint8Array(32 * mebibyte), deadline(30)));
    expect(failure).toMatchObject({ code: "ETIMEDOUT", syscall: "write" });
    const second = spawn(() => client.write("after that"));
    let received = 0;
    let last = "";
    while (!last.endsWith("after that")) {
      const chunk = await server.next(deadline(2000));
      received += chunk!.byteLength;
      last = new TextDecoder().decode(chunk!.subarray(-10));
    }
    await second.join();
    // Data that was encrypted but not counted may have arrived as well.
    expect(received - 10).toBeGreaterThanOrEqual(failure.bytesWritten!);
  });

  const breakOff: [string, (socket: Socket, bytes: Uint8Array<ArrayBuffer>) => Promise<unknown>][] =
    [
      ["write()", (socket, bytes) => socket.write(bytes, deadline(30))],
      ["writeSync()", async (socket, bytes) => socket.writeSync(bytes, deadline(30))],
      [
        "a buffer that is taken away",
        (socket, bytes) => {
          const written = socket.write(bytes);
          structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
          return written;
        },
      ],
    ];

  test.each(breakOff)(
    "close announces no end after %s that was broken off",
    async (what, write) => {
      await using pair = await tlsPair();
      const { client, server } = pair;
      const failure = failureOf(write(client, new Uint8Array(32 * mebibyte)));
      // The missing buffer is found when the peer has made room for more.
      const missed = what.startsWith("a buffer") ? failureOf(drain(server)) : undefined;
      await failure;
      client.close();
      expect(await (missed ?? failureOf(drain(server)))).toMatchObject({
        code: "ERR_TLS_TRUNCATED",
      });
    },
  );

  test.skipIf(process.platform !== "linux")(
    "close announces no end after a file that failed after a part, in its first attempt",
    async () => {
      await using pair = await tlsPair();
      const { client, server } = pair;
      // The last page of a mapping before a gap: what follows it cannot be read.
      const ranges = readFileSync("/proc/self/maps", "latin1")
        .split("\n")
        .map((line) =>
          /^([0-9a-f]+)-([0-9a-f]+) r/
            .exec(line)
            ?.slice(1)
            .map((hex) => Number(`0x${hex}`)),
        );
      const starts = new Set(ranges.map((range) => range?.[0]));
      const last = ranges.find((range) => range !== undefined && !starts.has(range[1]))!;
      const failure = await failureOf(
        client.sendFile("/proc/self/mem", { offset: last[1]! - 4096, length: 100_000 }),
      );
      expect(failure).toMatchObject({ syscall: "sendfile", bytesWritten: 4096 });
      client.close();
      expect(await failureOf(drain(server))).toMatchObject({ code: "ERR_TLS_TRUNCATED" });
    },
  );

  test("tell parked calls at once of a failure that a call outside of a turn has met", async () => {
    await using pair = await tlsPair();
    const { client } = pair;
    const write = failureOf(client.write(new Uint8Array(32 * mebibyte)));
    const read = failureOf(client.read(new Uint8Array(8)));
    await sleep(50);
    // A timer of Bun's, with nothing of plait's going on beside it. The answers that wait have a limit.
    const { promise, resolve } = Promise.withResolvers<string>();
    setTimeout(() => {
      const overflow = (): void => {
        for (let count = 0; count < 100_000; count++) client.updateKeys(false);
      };
      expect(overflow).toThrow("ERR_SSL");
      setTimeout(() => resolve("too late"), 3000);
    }, 50);
    expect(await Promise.race([Promise.all([write, read]), promise])).toMatchObject([
      { name: "TlsError", syscall: "write" },
      { name: "TlsError", syscall: "read" },
    ]);
  }, 30_000);

  test("lose nothing that onSession is called in front of, whatever it does", async () => {
    let peer: Socket | undefined;
    await using listener = await serveTls(async (socket) => {
      peer = socket;
      await socket.write("first ");
      await sleep(500);
    });
    let sessions = 0;
    await using client = await dialTls(listener.port, {
      onSession() {
        if (++sessions > 1) return;
        block(async () => {
          await peer!.write("second ");
          await sleep(50);
        });
      },
    });
    let text = "";
    const buffer = new Uint8Array(100);
    while (!text.includes("second ")) {
      const count = await client.read(buffer, deadline(3000));
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    expect(text).toBe("first second ");
    expect(sessions).toBeGreaterThan(0);
  });

  test("end in one direction by shutdown, in both by close", async () => {
    await using pair = await tlsPair();
    const { client, server } = pair;
    await client.write("question");
    await client.shutdown();
    expect(await readText(server)).toBe("question");
    expect(server.eof).toBe(true);
    expect(await failureOf(client.write("x"))).toMatchObject({ code: "EPIPE" });
    await server.write("answer");
    server.close();
    expect(await readText(client)).toBe("answer");
    expect(await client.next()).toBeNull();
  });

  test("written data reaches the peer although close follows", async () => {
    const bytes = distinctBytes(3 * mebibyte);
    await using listener = await serveTls(async (socket) => {
      await socket.write(bytes);
    });
    await using client = await dialTls(listener.port);
    expect((await drain(client)).hash).toBe(hashOf(bytes));
  });

  test("files are sent by reading and writing", async () => {
    using folder = new TemporaryFolder();
    const path = folder.file("data");
    const bytes = distinctBytes(3 * mebibyte + 5);
    writeFileSync(path, bytes);
    await using listener = await serveTls(async (socket) => {
      const head = socket.write("head");
      const first = socket.sendFile(path);
      const second = socket.sendFile(path, { offset: 100, length: 200_000 });
      const last = socket.sendFile(path, { offset: bytes.byteLength - 10, length: 1000 });
      const beyond = socket.sendFile(path, { offset: bytes.byteLength + 10, length: 1000 });
      const tail = socket.write("tail");
      expect(await Promise.all([head, first, second, last, beyond, tail])).toEqual([
        4,
        bytes.byteLength,
        200_000,
        10,
        0,
        4,
      ]);
      await socket.sendFile("/proc/self/status");
      const missing = await failureOf(socket.sendFile("/nowhere/file"));
      expect(missing).toMatchObject({ code: "ENOENT", bytesWritten: 0 });
      const directory = await failureOf(socket.sendFile(folder.path, { length: 5 }));
      expect(directory).toMatchObject({ code: "EISDIR", syscall: "sendfile" });
      await socket.write("end");
    });
    await using client = await dialTls(listener.port);
    const expected = [
      Buffer.from("head"),
      bytes,
      bytes.subarray(100, 200_100),
      bytes.subarray(-10),
      Buffer.from("tail"),
    ];
    const length = expected.reduce((total, part) => total + part.byteLength, 0);
    expect(hashOf(await readExactly(client, length))).toBe(hashOf(Buffer.concat(expected)));
    expect(await readText(client)).toMatch(/^Name:[\s\S]*\nend$/);
  });

  test("readSync and writeSync work before any fiber runs", async () => {
    const { stdout } = await runProgram(
      `
      import { readFileSync } from "node:fs";
      const port = Number(process.env.PORT);
      const socket = await connect({ host: "127.0.0.1", port, tls: { ca: process.env.ROOT } });
      const buffer = new Uint8Array(20 * 1024 * 1024);
      let total = 0;
      socket.writeSync("go");
      while (total < 4 * 1024 * 1024) total += socket.readSync(buffer, now() + 3000);
      console.log(total, socket.writeSync(buffer, now() + 3000));
      process.exit();
    `,
      await (async () => {
        const listener = await serveTls(async (socket) => {
          expect(new TextDecoder().decode(await readExactly(socket, 2))).toBe("go");
          await socket.write(new Uint8Array(4 * mebibyte));
          await drain(socket).catch(() => {});
        });
        listener.unref();
        return { env: { PORT: `${listener.port}`, ROOT: made.root }, bound: 8000 };
      })(),
    );
    expect(stdout).toBe(`${4 * mebibyte} ${20 * mebibyte}`);
  });

  test("a deadline and a signal bound the handshake", async () => {
    await using silent = await listen({ host: "127.0.0.1", port: 0 });
    const { sockets } = stats();
    const late = await failureOf(dialTls(silent.port, {}, deadline(30)));
    expect(late).toMatchObject({ name: "TimeoutError", syscall: "handshake", port: silent.port });
    const controller = new AbortController();
    const target = { host: "127.0.0.1", port: silent.port, tls: true };
    const connecting = failureOf(connect({ ...target, signal: controller.signal }));
    setTimeout(() => controller.abort("changed my mind"), 30);
    expect(await connecting).toMatchObject({ name: "CancelledError", cause: "changed my mind" });
    const fiber = spawn(() => connect(target));
    await sleep(20);
    fiber.cancel("enough");
    expect(await failureOf(fiber.join())).toMatchObject({ name: "CancelledError" });
    await pollUntil("their sockets are closed", () => stats().sockets <= sockets);
  });

  test("a server without TLS and one that hangs up have different errors", async () => {
    await using plain = await listen({ host: "127.0.0.1", port: 0 }, (socket) =>
      socket.write("220 smtp.example ready\r\n").then(() => sleep(200)),
    );
    expect(await failureOf(dialTls(plain.port))).toMatchObject({
      name: "TlsError",
      code: "ERR_SSL_WRONG_VERSION_NUMBER",
      reason: expect.stringContaining("wrong version number"),
      syscall: "handshake",
      address: "127.0.0.1",
      port: plain.port,
    });
    await using hangsUp = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.next();
    });
    const hungUp = await failureOf(dialTls(hangsUp.port));
    expect(["ERR_TLS_TRUNCATED", "ECONNRESET"]).toContain(hungUp.code!);
    await using resets = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await socket.next();
      socket.reset();
    });
    expect(await failureOf(dialTls(resets.port))).toMatchObject({ code: "ECONNRESET" });
  });

  test("the host is checked, unless serverName is given", async () => {
    await using listener = await serveTls(echo, presenting(made.named));
    const target = { port: listener.port, family: 4 as const };
    const byHost = connect({ ...target, host: "localhost", tls: { ca: made.root } });
    expect(await failureOf(byHost)).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    for (const serverName of ["good.example", "GOOD.example", "good.example."]) {
      const tls = { ca: made.root, serverName };
      await using socket = await connect({ ...target, host: "localhost", tls });
      expect(socket.tls?.verified).toBe(true);
    }
  });

  test("one context serves many connections", async () => {
    await using listener = await serveTls(echo);
    const context = tlsContext({ ca: made.root, alpn: ["x"] });
    const target = { host: "127.0.0.1", port: listener.port };
    for (const tls of [context, { context }, { context, serverName: "localhost" }]) {
      await using socket = await connect({ ...target, tls });
      expect(socket.tls?.verified).toBe(true);
    }
  });

  test("keys can be changed in the middle of a transfer", async () => {
    await using pair = await tlsPair();
    const { client, server } = pair;
    const bytes = distinctBytes(8 * mebibyte);
    const receiving = Promise.all([
      readExactly(server, bytes.byteLength),
      readExactly(client, bytes.byteLength),
    ]);
    const send = async (socket: Socket) => {
      for (let start = 0; start < bytes.byteLength; start += mebibyte) {
        await socket.write(bytes.subarray(start, start + mebibyte));
        socket.updateKeys(start % (2 * mebibyte) === 0);
      }
    };
    await Promise.all([send(client), send(server)]);
    for (const received of await receiving) expect(hashOf(received)).toBe(hashOf(bytes));
    await using old = await tlsPair({ maxVersion: "TLSv1.2" });
    expect(() => old.client.updateKeys()).toThrow(/EOPNOTSUPP/);
  });
});
