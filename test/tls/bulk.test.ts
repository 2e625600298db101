/**
 * Much data each way, byte for byte, with every other program, from both sides: 64 MiB, and 256 MiB with
 * `bun run soak`.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type { Socket, TlsOptions } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, distinctLines, hashOf } from "../support/distinct_bytes.ts";
import { freePort } from "../support/free_port.ts";
import { httpResponder } from "../support/http_responder.ts";
import { HttpStream } from "../support/http_stream.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { startNginx } from "../support/nginx.ts";
import { runCommand } from "../support/run_command.ts";
import { isSoak } from "../support/soak.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialWhenUp, exchangeByPipes, type Received, receive } from "../support/tls_exchange.ts";
import { only, told, type Version } from "../support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "../support/tls_pair.ts";
import { scriptCommand, scriptServer } from "../support/tls_servers.ts";

const mebibyte = 1024 * 1024;
const total = (isSoak ? 256 : 64) * mebibyte;
const bound = 60_000;
const hasOpenssl = isInstalled("openssl");
const made = hasOpenssl ? certificates() : (undefined as never);

describe.skipIf(!hasOpenssl)(`${total / mebibyte} MiB each way`, () => {
  const folder = new TemporaryFolder();
  const path = folder.file("bytes");
  let bytes: Uint8Array;
  let whole: Received;
  beforeAll(() => {
    bytes = distinctBytes(total);
    whole = { bytes: total, hash: hashOf(bytes) };
    writeFileSync(path, bytes);
  }, bound);
  afterAll(() => folder[Symbol.dispose]());

  /**
   * Sends everything, with key updates in between where the version has them. GnuTLS takes at most
   * 8 a second.
   */
  async function send(socket: Socket, data = bytes): Promise<void> {
    const step = total / 4;
    for (let start = 0; start < total; start += step) {
      await socket.write(data.subarray(start, start + step));
      if (socket.tls?.protocol === "TLSv1.3") socket.updateKeys(start % (2 * step) === 0);
    }
  }

  /** Sends and receives at once. */
  async function exchange(socket: Socket, data = bytes): Promise<Received> {
    const buffer = new Uint8Array(256 * 1024);
    const [received] = await Promise.all([
      receive(total, async () => buffer.subarray(0, await socket.read(buffer))),
      send(socket, data),
    ]);
    return received;
  }

  /** A listener that does so with one connection. */
  async function exchangingListener(tls: TlsOptions) {
    const outcome = Promise.withResolvers<Received>();
    const listener = await serveTls((socket) => exchange(socket).then(outcome.resolve), tls, {
      onError: (error) => outcome.reject(error),
    });
    return {
      port: listener.port,
      received: outcome.promise,
      [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
    };
  }

  const versions: readonly Version[] = ["TLSv1.2", "TLSv1.3"];

  test.each(versions)(
    "with s_client, %s",
    async (version) => {
      await using listener = await exchangingListener(only(version, made.p256));
      const command = [
        ...[installedProgram("openssl"), "s_client", "-connect", `127.0.0.1:${listener.port}`],
        ...["-CAfile", made.root, "-verify_return_error", "-quiet"],
      ];
      expect(await exchangeByPipes(command, bytes, listener.received)).toEqual(whole);
      expect(await listener.received).toEqual(whole);
    },
    bound,
  );

  test.each(versions)(
    "with s_server, %s",
    async (maxVersion) => {
      const { cert, chain, key } = made.p256;
      const port = await freePort();
      const command = [
        ...[installedProgram("openssl"), "s_server", "-accept", `127.0.0.1:${port}`, "-quiet"],
        ...["-cert", cert, "-key", key, "-cert_chain", chain],
      ];
      const ours = Promise.withResolvers<Received>();
      const theirs = exchangeByPipes(command, bytes, ours.promise);
      await using socket = await dialWhenUp(port, { maxVersion });
      ours.resolve(exchange(socket));
      expect(await theirs).toEqual(whole);
      expect(await ours.promise).toEqual(whole);
    },
    bound,
  );

  describe.skipIf(!isInstalled("gnutls-cli"))("with GnuTLS:", () => {
    test(
      "gnutls-cli, one way, since it prints byte by byte",
      async () => {
        const received = Promise.withResolvers<Received>();
        await using listener = await serveTls(async (socket) => {
          received.resolve(receive(total, () => socket.next()));
          await received.promise;
        }, presenting(made.rsa));
        const command = [
          ...[installedProgram("gnutls-cli"), "--x509cafile", made.root],
          ...["--verify-hostname", "localhost", "--port", `${listener.port}`, "127.0.0.1"],
        ];
        await runCommand(command, Bun.file(path), bound);
        expect(await received.promise).toEqual(whole);
      },
      bound,
    );

    test(
      "gnutls-serv, which echoes lines",
      async () => {
        const { chain, key } = made.rsa;
        const port = await freePort();
        const argv = ["--port", `${port}`, "--echo", "--crlf", "--nodb", "--quiet"];
        const identity = ["--x509certfile", chain, "--x509keyfile", key];
        await using _server = Bun.spawn([installedProgram("gnutls-serv"), ...argv, ...identity], {
          stdio: ["ignore", "ignore", "ignore"],
          killSignal: "SIGKILL",
        });
        await using socket = await dialWhenUp(port, {});
        const lines = distinctLines(total);
        expect(await exchange(socket, lines)).toEqual({ bytes: total, hash: hashOf(lines) });
      },
      bound,
    );
  });

  test.skipIf(!isInstalled("curl"))(
    "with curl",
    async () => {
      await using listener = await httpResponder(path, presenting(made.p256));
      const url = `https://localhost:${listener.port}`;
      const command = [
        ...[installedProgram("curl"), "--silent", "--show-error", "--cacert", made.root],
        ...["--resolve", `localhost:${listener.port}:127.0.0.1`, "--header", "Expect:"],
        ...["--request", "POST", "--upload-file", path, `${url}/hash`],
        ...["--next", "--silent", "--show-error", "--cacert", made.root],
        ...["--resolve", `localhost:${listener.port}:127.0.0.1`, `${url}/file`],
      ];
      const { stdout, stderr } = await runCommand(command, undefined, bound);
      expect(stderr).toBe("");
      const answer = `${total} ${whole.hash}`;
      expect(new TextDecoder().decode(stdout.subarray(0, answer.length))).toBe(answer);
      expect(hashOf(stdout.subarray(answer.length))).toBe(whole.hash);
    },
    bound,
  );

  test.skipIf(!isInstalled("nginx"))(
    "with nginx, which forwards to a plain server",
    async () => {
      await using plain = await httpResponder(path);
      const { chain, key } = made.p256;
      await using nginx = await startNginx(
        {},
        `ssl_certificate ${chain}; ssl_certificate_key ${key};
         client_max_body_size 0;
         location / {
           proxy_pass http://127.0.0.1:${plain.port}; proxy_http_version 1.1;
           proxy_request_buffering off; proxy_buffering off;
         }`,
      );
      await using socket = await dialTls(nginx.port);
      const stream = new HttpStream(socket);
      const host = "Host: localhost\r\n";
      await socket.write(`POST /hash HTTP/1.1\r\n${host}Content-Length: ${total}\r\n\r\n`);
      await send(socket);
      const answer = await stream.head();
      const length = Number(answer?.fields.get("content-length"));
      await stream.body(length);
      expect(answer?.first).toContain("200");
      await socket.write(`GET /file HTTP/1.1\r\n${host}\r\n`);
      await stream.head();
      expect(await stream.body(total)).toEqual(whole);
    },
    bound,
  );

  const runtimes: [string, () => string][] = [
    ["Bun", () => process.execPath],
    ["Node", () => installedProgram("node")],
  ];

  describe.each(runtimes)("with %s's node:tls", (name, program) => {
    const isMissing = name === "Node" && !isInstalled("node");

    test.skipIf(isMissing)(
      "as a client",
      async () => {
        await using listener = await exchangingListener(presenting(made.p256));
        const source = `
          import tls from "node:tls";
          import { createHash } from "node:crypto";
          import { createReadStream, readFileSync } from "node:fs";
          const socket = tls.connect({
            host: "127.0.0.1", port: ${listener.port}, servername: "localhost",
            ca: readFileSync(${JSON.stringify(made.root)}),
          }, () => createReadStream(${JSON.stringify(path)}).pipe(socket, { end: false }));
          const hash = createHash("sha1");
          let bytes = 0;
          socket.on("data", (chunk) => {
            hash.update(chunk);
            bytes += chunk.length;
            if (bytes === ${total}) console.log(JSON.stringify({ bytes, hash: hash.digest("hex") }));
          });
        `;
        const command = scriptCommand(program(), source);
        const { text, stderr } = await runCommand(command, undefined, bound);
        expect(stderr).toBe("");
        expect(told(text)).toEqual(whole);
        expect(await listener.received).toEqual(whole);
      },
      bound,
    );

    test.skipIf(isMissing)(
      "as a server, which echoes",
      async () => {
        await using server = await scriptServer(
          program(),
          `
          import tls from "node:tls";
          import { readFileSync } from "node:fs";
          const server = tls.createServer({
            cert: readFileSync(${JSON.stringify(made.p256.chain)}),
            key: readFileSync(${JSON.stringify(made.p256.key)}),
          }, (socket) => socket.on("error", () => {}).pipe(socket));
          server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
        `,
        );
        await using socket = await dialTls(server.port);
        expect(await exchange(socket)).toEqual(whole);
      },
      bound,
    );
  });
});
