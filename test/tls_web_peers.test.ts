/** TLS with curl, nginx, Bun's own and Node's, from both sides. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { deadline, type TlsOptions } from "../index.ts";
import type { Issued } from "./support/certificate_authority.ts";
import { certificates } from "./support/certificates.ts";
import { distinctBytes, hashOf } from "./support/distinct_bytes.ts";
import { failureOf } from "./support/failure.ts";
import { httpResponder } from "./support/http_responder.ts";
import { HttpStream } from "./support/http_stream.ts";
import { installedProgram, isInstalled } from "./support/installed_program.ts";
import { startNginx } from "./support/nginx.ts";
import { drain, readExactly } from "./support/receiving.ts";
import { runCommand } from "./support/run_command.ts";
import { TemporaryFolder } from "./support/temporary_folder.ts";
import { combinations, describeLine, only, readLine, told } from "./support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "./support/tls_pair.ts";
import { nodeServer, type TlsServer } from "./support/tls_servers.ts";

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
       add_header X-Reused "$ssl_session_reused"; add_header X-Client "$ssl_client_verify";`,
    );
    let session: Uint8Array | undefined;
    for (const reused of [".", "r"]) {
      await using socket = await dialTls(nginx.port, {
        ...presenting(made.client),
        alpn: ["http/1.1"],
        session,
        onSession: (bytes) => {
          session = bytes;
        },
      });
      expect(socket.tls).toMatchObject({ protocol: version, alpn: "http/1.1" });
      await socket.write("GET /data HTTP/1.1\r\nHost: localhost\r\n\r\n");
      const stream = new HttpStream(socket);
      const head = await stream.head();
      expect(head?.fields.get("x-client")).toBe("SUCCESS");
      expect(head?.fields.get("x-reused")).toBe(reused);
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

describe.skipIf(!hasOpenssl || !isInstalled("node"))("Node", () => {
  /** An echo server of Node's that closes after a line `end`. */
  const serve = (issued: Issued, rest = ""): Promise<TlsServer> =>
    nodeServer(`
      import tls from "node:tls";
      import { readFileSync } from "node:fs";
      const server = tls.createServer({
        cert: readFileSync(${JSON.stringify(issued.chain)}),
        key: readFileSync(${JSON.stringify(issued.key)}),
        ${rest}
      }, (socket) => socket.on("error", () => {}).pipe(socket));
      server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
    `);

  test.each(combinations)("as a server with %s and %s", async (version, kind) => {
    await using server = await serve(made[kind], `maxVersion: "${version}", ALPNProtocols: ["x"],`);
    const sessions: Uint8Array[] = [];
    for (const resumed of [false, true]) {
      await using socket = await dialTls(server.port, {
        alpn: ["x"],
        session: sessions.at(-1),
        onSession: (session) => sessions.push(session),
      });
      expect(socket.tls).toMatchObject({ verified: true, protocol: version, alpn: "x", resumed });
      const bytes = distinctBytes(mebibyte);
      const sending = socket.write(bytes).then(() => socket.shutdown());
      expect((await drain(socket)).hash).toBe(hashOf(bytes));
      await sending;
    }
  });

  test.each(combinations)("as a client with %s and %s", async (version, kind) => {
    const tls: TlsOptions = {
      ...presenting(made[kind]),
      alpn: ["x"],
      ca: made.root,
      clientAuth: "require",
    };
    await using listener = await serveTls(describeLine, tls);
    const source = `
      import tls from "node:tls";
      import { readFileSync } from "node:fs";
      const socket = tls.connect({
        host: "127.0.0.1", port: ${listener.port}, servername: "localhost", ALPNProtocols: ["x"],
        maxVersion: "${version}",
        ca: readFileSync(${JSON.stringify(made.root)}),
        cert: readFileSync(${JSON.stringify(made.client.chain)}),
        key: readFileSync(${JSON.stringify(made.client.key)}),
      }, () => socket.write("hello\\n"));
      socket.on("data", (chunk) => process.stdout.write(chunk));
    `;
    const command = [installedProgram("node"), "--input-type=module", "-e", source];
    const { text, stderr } = await runCommand(command);
    expect(stderr).toBe("");
    expect(told(text)).toEqual({
      line: "hello",
      protocol: version,
      alpn: "x",
      serverName: "localhost",
      subject: "client",
      verified: true,
    });
  });

  test("a stream that ends without close_notify is truncated", async () => {
    await using server = await nodeServer(`
      import tls from "node:tls";
      import net from "node:net";
      import { readFileSync } from "node:fs";
      const inner = tls.createServer({
        cert: readFileSync(${JSON.stringify(made.p256.chain)}),
        key: readFileSync(${JSON.stringify(made.p256.key)}),
      }, (socket) => socket.on("error", () => {}).write("half of the ans"));
      inner.listen(0, "127.0.0.1", () => {
        const server = net.createServer((socket) => {
          const target = net.connect(inner.address().port, "127.0.0.1");
          socket.on("error", () => {}).pipe(target);
          target.on("error", () => {}).on("data", (chunk) => socket.write(chunk));
          setTimeout(() => socket.end(), 300);
        });
        server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
      });
    `);
    await using socket = await dialTls(server.port);
    expect(new TextDecoder().decode(await readExactly(socket, 15))).toBe("half of the ans");
    expect(await failureOf(socket.next(deadline(4000)))).toMatchObject({
      code: "ERR_TLS_TRUNCATED",
    });
  });
});
