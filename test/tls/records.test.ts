/**
 * Records of TLS 1.3 as other programs write and read them: every suite, padding, key updates,
 * short records, and a suite that the core leaves to OpenSSL.
 */

import { describe, expect, test } from "bun:test";
import { block, deadline, type Socket, type TlsOptions } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, distinctLines, hashOf } from "../support/distinct_bytes.ts";
import { freePort } from "../support/free_port.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { runCommand } from "../support/run_command.ts";
import { dialWhenUp, exchangeByPipes, type Received, receive } from "../support/tls_exchange.ts";
import { readLine } from "../support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "../support/tls_pair.ts";
import { gnutlsServer } from "../support/tls_servers.ts";

const hasOpenssl = isInstalled("openssl");
const hasGnutls = hasOpenssl && isInstalled("gnutls-cli");
const made = hasOpenssl ? certificates() : (undefined as never);

const mebibyte = 1024 * 1024;
const bound = 30_000;
const bytes = distinctBytes(4 * mebibyte);

const whole: Received = { bytes: bytes.length, hash: hashOf(bytes) };

/** Sends and receives at once, with key updates in between: plait's own, and often the peer's. */
async function exchange(socket: Socket, data: Uint8Array, updates = 8): Promise<Received> {
  const send = async () => {
    const step = Math.ceil(data.length / (updates + 1));
    for (let start = 0; start < data.length; start += step) {
      if (start > 0) socket.updateKeys((start / step) % 2 === 0);
      await socket.write(data.subarray(start, start + step));
    }
  };
  // Buffers smaller than a record, and larger ones.
  const buffer = new Uint8Array(100_000);
  let size = 0;
  const next = async () => {
    size = (size * 7 + 1001) % buffer.length;
    return buffer.subarray(0, await socket.read(buffer.subarray(0, size + 1)));
  };
  const [received] = await Promise.all([receive(data.length, next), send()]);
  return received;
}

/** A listener that does so with one connection. */
async function exchangingListener(tls: TlsOptions) {
  const outcome = Promise.withResolvers<Received & { cipher: string | undefined }>();
  const listener = await serveTls(
    async (socket) => {
      const cipher = socket.tls?.cipher;
      outcome.resolve({ ...(await exchange(socket, bytes)), cipher });
    },
    tls,
    { onError: (error) => outcome.reject(error) },
  );
  return {
    port: listener.port,
    received: outcome.promise,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

const suites = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  // This suite stays with OpenSSL.
  "TLS_AES_128_CCM_SHA256",
];

/** The options with which OpenSSL's programs write their records. */
const manners: readonly (readonly string[])[] = [
  [],
  ["-record_padding", "512"],
  ["-record_padding", "16384"],
  ["-max_send_frag", "512", "-record_padding", "100"],
];

const cases = suites.flatMap((suite) => manners.map((argv) => [suite, argv.join(" ")] as const));

describe.skipIf(!hasOpenssl)("openssl", () => {
  const client = (port: number, ...argv: string[]) => [
    ...[installedProgram("openssl"), "s_client", "-connect", `127.0.0.1:${port}`, "-quiet"],
    ...["-CAfile", made.root, "-verify_return_error", ...argv],
  ];

  test.each(cases)(
    "s_client with %s %s",
    async (cipher, argv) => {
      await using listener = await exchangingListener({
        ...presenting(made.p256),
        cipherSuites: cipher,
        minVersion: "TLSv1.3",
      });
      const more = ["-ciphersuites", cipher, ...argv.split(" ").filter(Boolean)];
      const theirs = await exchangeByPipes(
        client(listener.port, ...more),
        bytes,
        listener.received,
      );
      expect(theirs).toEqual(whole);
      expect(await listener.received).toEqual({ ...whole, cipher });
    },
    bound,
  );

  test.each(cases)(
    "s_server with %s %s",
    async (cipher, argv) => {
      const { cert, chain, key } = made.p256;
      const port = await freePort();
      const command = [
        ...[installedProgram("openssl"), "s_server", "-accept", `127.0.0.1:${port}`, "-quiet"],
        ...["-cert", cert, "-key", key, "-cert_chain", chain, "-ciphersuites", cipher],
        ...argv.split(" ").filter(Boolean),
      ];
      const ours = Promise.withResolvers<Received>();
      const theirs = exchangeByPipes(command, bytes, ours.promise);
      await using socket = await dialWhenUp(port, { cipherSuites: cipher, minVersion: "TLSv1.3" });
      expect(socket.tls?.cipher).toBe(cipher);
      ours.resolve(exchange(socket, bytes));
      expect(await theirs).toEqual(whole);
      expect(await ours.promise).toEqual(whole);
    },
    bound,
  );

  // OpenSSL refuses records that are longer than it has asked for.
  test.each(["512", "1024", "4096"])(
    "s_client that takes %s bytes a record at most",
    async (length) => {
      await using listener = await exchangingListener(presenting(made.p256));
      const command = client(listener.port, "-tls1_3", "-maxfraglen", length);
      expect(await exchangeByPipes(command, bytes, listener.received)).toEqual(whole);
      expect(await listener.received).toMatchObject(whole);
    },
    bound,
  );
});

describe.skipIf(!hasGnutls)("gnutls", () => {
  // GnuTLS takes at most 8 key updates a second.
  const updates = 3;

  const gnutlsClient = (port: number) => [
    ...[installedProgram("gnutls-cli"), "--x509cafile", made.root, "--logfile", "/dev/null"],
    ...["--verify-hostname", "localhost", "--port", `${port}`],
  ];

  test.each(suites)(
    "gnutls-serv with %s",
    async (cipher) => {
      const priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+AES-128-CCM";
      await using server = await gnutlsServer(made.rsa, "--quiet", "--priority", priority);
      await using socket = await dialTls(server.port, { cipherSuites: cipher });
      expect(socket.tls?.cipher).toBe(cipher);
      const lines = distinctLines(2 * mebibyte);
      expect(await exchange(socket, lines, updates)).toEqual({
        bytes: lines.length,
        hash: hashOf(lines),
      });
    },
    bound,
  );

  test.each(suites)(
    "gnutls-cli with %s",
    async (cipher) => {
      const text = distinctLines(512 * 1024);
      const told = { bytes: text.length, hash: hashOf(text) };
      const outcome = Promise.withResolvers<unknown>();
      await using listener = await serveTls(
        async (socket) => {
          const received = await exchange(socket, text, updates);
          await socket.shutdown();
          outcome.resolve({ ...received, cipher: socket.tls?.cipher });
          await socket.next();
        },
        { ...presenting(made.rsa), cipherSuites: cipher, minVersion: "TLSv1.3" },
        { onError: (error) => outcome.reject(error) },
      );
      const command = [...gnutlsClient(listener.port), "--priority", "NORMAL:+AES-128-CCM"];
      const { stdout } = await runCommand([...command, "127.0.0.1"], text, bound);
      expect(await outcome.promise).toEqual({ ...told, cipher });
      expect({ bytes: stdout.length, hash: hashOf(stdout) }).toEqual(told);
    },
    bound,
  );

  // It asks by max_fragment_length and by record_size_limit (RFC 8449).
  test.each(["512", "4096"])(
    "gnutls-cli that takes %s bytes a record at most",
    async (length) => {
      const text = distinctLines(64 * 1024);
      await using listener = await serveTls(async (socket) => {
        await socket.write(text);
        await socket.shutdown();
        await socket.next();
      }, presenting(made.rsa));
      const command = [...gnutlsClient(listener.port), "--recordsize", length, "127.0.0.1"];
      const { stdout } = await runCommand(command, undefined, bound);
      expect({ bytes: stdout.length, hash: hashOf(stdout) }).toEqual({
        bytes: text.length,
        hash: hashOf(text),
      });
    },
    bound,
  );
});

describe.skipIf(!hasOpenssl)("the end of a handshake", () => {
  test("is sent when block() returns, although nothing was written", async () => {
    await using listener = await serveTls(async (socket) => {
      await socket.write("hello\n");
      await socket.next();
    });
    for (const _ of [1, 2, 3]) {
      const socket = block(() => dialTls(listener.port));
      expect(await readLine(socket)).toBe("hello");
      await socket.write("bye");
      socket.close();
    }
  });

  test("is sent before the first act of the handler", async () => {
    const deeds: ((socket: Socket) => unknown)[] = [
      () => {},
      (socket) => socket.close(),
      (socket) => socket.shutdown(),
      (socket) => socket.updateKeys(true),
      (socket) => socket.write(["a", "b"]).then(() => socket.updateKeys()),
    ];
    for (const deed of deeds) {
      await using listener = await serveTls((socket) => deed(socket));
      await using socket = await dialTls(listener.port, {}, deadline(4000));
      // A clean end, with a ticket before it or without one.
      const text: string[] = [];
      for await (const chunk of socket) text.push(new TextDecoder().decode(chunk));
      expect(text.join("")).toBe(deed === deeds.at(-1) ? "ab" : "");
    }
    for (const deed of deeds) {
      const ended = Promise.withResolvers<string>();
      await using listener = await serveTls(
        async (socket) => {
          let text = "";
          for await (const chunk of socket) text += new TextDecoder().decode(chunk);
          ended.resolve(text);
        },
        undefined,
        { onError: (error) => ended.reject(error) },
      );
      const socket = await dialTls(listener.port, {}, deadline(4000));
      await deed(socket);
      socket.close();
      expect(await ended.promise).toBe(deed === deeds.at(-1) ? "ab" : "");
    }
  });
});
