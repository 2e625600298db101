/** TLS with curl, nginx, and Bun's own sockets, `fetch` and `Bun.serve`. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { httpResponder } from "../support/http_responder.ts";
import { HttpStream } from "../support/http_stream.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { startNginx } from "../support/nginx.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { combinations, only, readLine } from "../support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "../support/tls_pair.ts";

const mebibyte = 1024 * 1024;
const hasOpenssl = isInstalled("openssl");
const made = hasOpenssl ? certificates() : (undefined as never);

describe.skipIf(!hasOpenssl || !isInstalled("curl"))("curl", () => {
  const folder = new TemporaryFolder();
  const file = folder.file("file");
  const contents = distinctBytes(9 * mebibyte);
  beforeAll(() => writeFileSync(file, contents));
  afterAll(() => rmSync(folder.path, { recursive: true, force: true }));

  test.each(combinations)("with %s and %s", async (version, kind) => {
    await using listener = await httpResponder(file, only(version, made[kind]));
    const url = `https://localhost:${listener.port}`;
    const curl = [
      ...[installedProgram("curl"), "--silent", "--show-error", "--max-time", "6"],
      ...["--cacert", made.root, "--resolve", `localhost:${listener.port}:127.0.0.1`],
    ];
    const { stdout, stderr } = await runCommand([...curl, `${url}/file`, `${url}/file`]);
    expect(stderr).toBe("");
    expect(hashOf(stdout)).toBe(hashOf(Buffer.concat([contents, contents])));
    const upload = ["--header", "Expect:", "--data-binary", `@${file}`, `${url}/hash`];
    const { text } = await runCommand([...curl, ...upload]);
    expect(text).toBe(`${contents.byteLength} ${hashOf(contents)}`);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "with ALPN, SNI, a certificate of its own and a resumed session, with %s",
    async (version) => {
      const seen: unknown[] = [];
      await using listener = await serveTls(
        async (socket) => {
          await new HttpStream(socket).head();
          const { protocol, alpn, serverName, certificate, verified, resumed } = socket.tls!;
          const subject = certificate?.subject;
          seen.push({ protocol, alpn, serverName, subject, verified, resumed });
          await socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        },
        { ...only(version, made.p256), alpn: ["http/1.1"], ca: made.root, clientAuth: "require" },
      );
      const url = `https://localhost:${listener.port}/`;
      const { stderr } = await runCommand([
        ...[installedProgram("curl"), "--silent", "--show-error", "--max-time", "6"],
        ...["--cacert", made.root, "--cert", made.client.chain, "--key", made.client.key],
        ...["--resolve", `localhost:${listener.port}:127.0.0.1`, url, url],
      ]);
      expect(stderr).toBe("");
      const same = {
        protocol: version,
        alpn: "http/1.1",
        serverName: "localhost",
        subject: "CN=plait test client",
        verified: true,
      };
      // curl takes no tickets with TLS 1.2, and a listener keeps no sessions.
      const resumed = version === "TLSv1.3";
      expect(seen).toEqual([
        { ...same, resumed: false },
        { ...same, resumed },
      ]);
    },
  );
});

describe.skipIf(!hasOpenssl || !isInstalled("nginx"))("nginx", () => {
  test.each(combinations)("with %s and %s", async (version, kind) => {
    const { chain, key } = made[kind];
    const bytes = distinctBytes(4 * mebibyte);
    await using nginx = await startNginx(
      { data: bytes },
      `ssl_certificate ${chain}; ssl_certificate_key ${key}; ssl_protocols ${version};
       ssl_client_certificate ${made.root}; ssl_verify_client optional; ssl_verify_depth 3;
       ssl_session_cache shared:plait:1m;
       add_header X-Reused "$ssl_session_reused"; add_header X-Client "$ssl_client_verify";
       add_header X-Name "$ssl_server_name";`,
    );
    let session: Uint8Array | undefined;
    for (const reused of [".", "r"]) {
      await using socket = await dialTls(nginx.port, {
        ...presenting(made.client),
        alpn: ["http/1.1"],
        serverName: "localhost",
        session,
        onSession: (bytes) => {
          session = bytes;
        },
      });
      const resumed = reused === "r";
      expect(socket.tls).toMatchObject({ protocol: version, alpn: "http/1.1", resumed });
      await socket.write("GET /data HTTP/1.1\r\nHost: localhost\r\n\r\n");
      const stream = new HttpStream(socket);
      const head = await stream.head();
      expect(head?.fields.get("x-client")).toBe("SUCCESS");
      expect(head?.fields.get("x-reused")).toBe(reused);
      expect(head?.fields.get("x-name")).toBe("localhost");
      expect((await stream.body(bytes.byteLength)).hash).toBe(hashOf(bytes));
    }
  });
});

describe.skipIf(!hasOpenssl)("Bun", () => {
  test.each(["TLSv1.2", "TLSv1.3"] as const)("Bun.connect and Bun.listen with %s", async (v) => {
    const bytes = distinctBytes(2 * mebibyte);
    await using listener = await serveTls(async (socket) => {
      expect(socket.tls?.protocol).toBe("TLSv1.3");
      await socket.write(bytes);
    });
    const hasher = new Bun.CryptoHasher("sha1");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    await Bun.connect({
      hostname: "127.0.0.1",
      port: listener.port,
      tls: { ca: Bun.file(made.root), serverName: "localhost" },
      socket: {
        data: (_, chunk) => void hasher.update(chunk),
        handshake: (_, success, error) => void (success || reject(error)),
        close: () => resolve(),
        error: (_, error) => reject(error),
      },
    });
    await promise;
    expect(hasher.digest("hex")).toBe(hashOf(bytes));

    const { chain, key } = made.rsa;
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      tls: { cert: Bun.file(chain), key: Bun.file(key) },
      socket: { data: (socket, chunk) => void socket.write(chunk) },
    });
    await using socket = await dialTls(server.port, { maxVersion: v });
    expect(socket.tls).toMatchObject({ verified: true, protocol: v });
    await socket.write("hello\n");
    expect(await readLine(socket)).toBe("hello");
  });

  test("fetch, and Bun.serve", async () => {
    using folder = new TemporaryFolder();
    const file = folder.file("file");
    const bytes = distinctBytes(mebibyte);
    writeFileSync(file, bytes);
    await using listener = await httpResponder(file, presenting(made.p256));
    const ca = await Bun.file(made.root).text();
    const url = `https://localhost:${listener.port}/file`;
    const response = await fetch(url, { tls: { ca } });
    expect(hashOf(await response.bytes())).toBe(hashOf(bytes));

    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: { cert: Bun.file(made.p256.chain), key: Bun.file(made.p256.key) },
      fetch: () => new Response(bytes),
    });
    await using socket = await dialTls(server.port!);
    await socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const stream = new HttpStream(socket);
    await stream.head();
    expect((await stream.body(bytes.byteLength)).hash).toBe(hashOf(bytes));
  });
});
