/** TLS with `node:tls` of Node and of Bun, from both sides. */

import { describe, expect, test } from "bun:test";
import { deadline, type TlsOptions } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { readExactly } from "../support/receiving.ts";
import { runCommand } from "../support/run_command.ts";
import { combinations, only, readLine } from "../support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "../support/tls_pair.ts";
import { scriptCommand, scriptServer, type TlsServer } from "../support/tls_servers.ts";

const mebibyte = 1024 * 1024;
const hasOpenssl = isInstalled("openssl");
const made = hasOpenssl ? certificates() : (undefined as never);
const text = JSON.stringify;

const runtimes = [
  { name: "Node", isMissing: !isInstalled("node"), program: () => installedProgram("node") },
  { name: "Bun", isMissing: false, program: () => process.execPath },
];

describe.each(runtimes)("$name", ({ isMissing, program }) => {
  const imports = `
    import tls from "node:tls";
    import net from "node:net";
    import { readFileSync as read } from "node:fs";
  `;

  /** A server that sends what it knows of each connection, and then echoes. */
  const serve = (source: string): Promise<TlsServer> =>
    scriptServer(
      program(),
      `
      ${imports}
      const onConnection = (socket) => {
        socket.on("error", () => {});
        const told = {
          protocol: socket.getProtocol(),
          alpn: socket.alpnProtocol,
          subject: socket.getPeerCertificate()?.subject?.CN,
          resumed: socket.isSessionReused(),
        };
        socket.write(JSON.stringify(told) + "\\n");
        socket.pipe(socket);
      };
      const listening = (server) =>
        server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
      ${source}
    `,
    );

  describe.skipIf(!hasOpenssl || isMissing)("with node:tls", () => {
    test.each(combinations)("as a server with %s and %s", async (version, kind) => {
      const { chain, key } = made[kind];
      await using server = await serve(`
        listening(tls.createServer({
          cert: read(${text(chain)}), key: read(${text(key)}), ca: read(${text(made.root)}),
          minVersion: "${version}", maxVersion: "${version}", ALPNProtocols: ["x"],
          requestCert: true, rejectUnauthorized: true,
        }, onConnection));
      `);
      const sessions: Uint8Array[] = [];
      const bytes = distinctBytes(mebibyte);
      for (const resumed of [false, true]) {
        await using socket = await dialTls(server.port, {
          ...presenting(made.client),
          alpn: ["x"],
          session: sessions.at(-1),
          onSession: (session) => sessions.push(session),
        });
        const same = { protocol: version, alpn: "x", resumed };
        expect(socket.tls).toMatchObject({ ...same, verified: true });
        expect(socket.tls?.certificate?.subject).toBe(`CN=plait test ${kind}`);
        const told = JSON.parse(await readLine(socket));
        expect(told).toEqual({ ...same, subject: "plait test client" });
        const sending = socket.write(bytes);
        expect(hashOf(await readExactly(socket, bytes.byteLength))).toBe(hashOf(bytes));
        await sending;
      }
      const without = dialTls(server.port).then((socket) => socket.next(deadline(4000)));
      expect(await failureOf(without)).toMatchObject({ name: "TlsError" });
    });

    test("as a server that chooses by name", async () => {
      const { named, p256 } = made;
      await using server = await serve(`
        const named = { cert: read(${text(named.chain)}), key: read(${text(named.key)}) };
        const choice = tls.createSecureContext(named);
        const SNICallback = (name, choose) =>
          choose(null, name === "good.example" ? choice : undefined);
        const usual = { cert: read(${text(p256.chain)}), key: read(${text(p256.key)}) };
        listening(tls.createServer({ ...usual, SNICallback }, onConnection));
      `);
      for (const [serverName, subject] of [
        ["good.example", "CN=plait test named"],
        ["localhost", "CN=plait test p256"],
      ]) {
        await using socket = await dialTls(server.port, { serverName });
        expect(socket.tls?.certificate?.subject).toBe(subject);
        expect(JSON.parse(await readLine(socket)).protocol).toBe("TLSv1.3");
      }
    });

    test.each(combinations)("as a client with %s and %s", async (version, kind) => {
      const tls: TlsOptions = {
        ...only(version, made[kind]),
        alpn: ["x"],
        ca: made.root,
        clientAuth: "require",
      };
      const seen: unknown[] = [];
      await using listener = await serveTls(async (socket) => {
        const { protocol, alpn, serverName, certificate, verified, resumed } = socket.tls!;
        const subject = certificate?.subject;
        seen.push({ protocol, alpn, serverName, subject, verified, resumed });
        await socket.write("welcome");
        await socket.next();
      }, tls);
      const { chain, key } = made.client;
      const source = `
        ${imports}
        const once = (session) => new Promise((resolve, reject) => {
          const socket = tls.connect({
            host: "127.0.0.1", port: ${listener.port}, servername: "localhost",
            ALPNProtocols: ["x"], ca: read(${text(made.root)}),
            cert: read(${text(chain)}), key: read(${text(key)}), session,
          });
          const sessions = new Promise((taken) => socket.once("session", taken));
          const data = new Promise((taken) => socket.once("data", taken));
          socket.on("error", reject);
          socket.on("end", () => resolve(sessions));
          // A resumed session need not get another one.
          Promise.all([data, session ?? sessions]).then(([chunk]) => {
            console.log(socket.authorized, socket.isSessionReused(), String(chunk));
            socket.end();
            resolve(session ?? sessions);
          });
        });
        await once(await once());
      `;
      const { text: printed, stderr } = await runCommand(scriptCommand(program(), source));
      expect(stderr).toBe("");
      expect(printed).toBe("true false welcome\ntrue true welcome\n");
      const same = {
        protocol: version,
        alpn: "x",
        serverName: "localhost",
        subject: "CN=plait test client",
        verified: true,
      };
      expect(seen).toEqual([
        { ...same, resumed: false },
        { ...same, resumed: true },
      ]);
    });

    test("a stream that ends without close_notify is reported as truncated", async () => {
      await using server = await serve(`
        const inner = tls.createServer({
          cert: read(${text(made.p256.chain)}), key: read(${text(made.p256.key)}),
        }, (socket) => socket.on("error", () => {}).write("half of the ans"));
        inner.listen(0, "127.0.0.1", () => listening(net.createServer((socket) => {
          const target = net.connect(inner.address().port, "127.0.0.1");
          socket.on("error", () => {}).pipe(target);
          target.on("error", () => {}).on("data", (chunk) => socket.write(chunk));
          process.stdin.once("data", () => socket.end());
        })));
      `);
      await using socket = await dialTls(server.port);
      expect(new TextDecoder().decode(await readExactly(socket, 15))).toBe("half of the ans");
      await server.program.type("cut\n");
      expect(await failureOf(socket.next(deadline(4000)))).toMatchObject({
        code: "ERR_TLS_TRUNCATED",
      });
    });
  });
});
