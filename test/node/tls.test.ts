/** TLS on sockets of plait/net: from the start, and behind an exchange in the clear, on both sides. */

import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, type TlsOptions, tlsContext } from "../../index.ts";
import net, { type ConnectOptions } from "../../src/node/net.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import {
  closed,
  listening,
  NetPair,
  type NetSocket,
  nextData,
  received,
} from "../support/net_pair.ts";
import { netClient, netServer, runtimes } from "../support/net_peer.ts";
import { runCommand } from "../support/run_command.ts";

const hasOpenssl = isInstalled("openssl");
const made = hasOpenssl ? certificates() : (undefined as never);
const host = "127.0.0.1";
const text = JSON.stringify;

function ofServer(): TlsOptions {
  return { cert: made.p256.chain, key: made.p256.key, alpn: ["two", "one"] };
}

function ofClient(): TlsOptions {
  return { ca: made.root, alpn: ["one", "two"] };
}

/** A server that says "220 ready", waits for "STARTTLS", answers "go", and echoes over TLS. */
async function startTlsServer(tls: TlsOptions = ofServer()) {
  const accepted: NetSocket[] = [];
  const errors: unknown[] = [];
  const { server, port } = await listening({}, async (socket) => {
    accepted.push(socket);
    socket.on("error", (error) => errors.push(error));
    socket.write("220 ready\n");
    await nextData(socket);
    socket.write("go\n");
    await socket.startTls(tls).catch(() => {});
    if (!socket.destroyed) socket.pipe(socket);
  });
  return { server, port, accepted, errors };
}

/** Exchanges the lines in the clear, and begins TLS. */
async function startTlsClient(port: number, tls: TlsOptions, more: ConnectOptions = {}) {
  const client = net.connect({ port, host: "localhost", ...more });
  expect((await nextData(client)).toString()).toBe("220 ready\n");
  client.write("STARTTLS\n");
  expect((await nextData(client)).toString()).toBe("go\n");
  client.on("error", () => {});
  return { client, start: client.startTls(tls) };
}

describe.skipIf(!hasOpenssl)("TLS", () => {
  test("both ends turn a connection into TLS", async () => {
    const { server, port, accepted } = await startTlsServer();
    const { client, start } = await startTlsClient(port, ofClient());
    const events: string[] = [];
    client.on("secureConnect", () => events.push("secureConnect"));
    expect(client.encrypted).toBe(false);
    expect([client.authorized, client.alpnProtocol, client.getCipher()]).toEqual([
      ...[false, null, undefined],
    ]);
    // Written behind the start of TLS: it waits for the handshake.
    client.write("secret");
    await start;
    expect(events).toEqual(["secureConnect"]);
    expect((await nextData(client)).toString()).toBe("secret");
    expect([client.encrypted, client.authorized, client.authorizationError]).toEqual([
      ...[true, true, null],
    ]);
    expect([client.alpnProtocol, client.getProtocol()]).toEqual(["two", "TLSv1.3"]);
    const { name, standardName, version } = client.getCipher()!;
    expect([name, version]).toEqual([standardName!, "TLSv1.3"]);
    expect(name).toMatch(/^TLS_/);
    expect(accepted[0]!.encrypted).toBe(true);
    expect(accepted[0]!.servername).toBe("localhost");
    client.end();
    await closed(client);
    await server[Symbol.asyncDispose]();
  });

  test("the certificate of the peer has Node's shape", async () => {
    const { server, port } = await startTlsServer();
    const { client, start } = await startTlsClient(port, ofClient());
    await start;
    const certificate = client.getPeerCertificate(true);
    expect(certificate.subject.CN).toBe("plait test p256");
    expect(certificate.issuer.CN).toBe("plait test middle");
    expect(certificate.raw).toBeInstanceOf(Buffer);
    expect(new Date(certificate.valid_to) > new Date(certificate.valid_from)).toBe(true);
    expect(certificate.fingerprint256).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(certificate.fingerprint256).toBe(client.getPeerX509Certificate()!.fingerprint256);
    expect(certificate.issuerCertificate.subject.CN).toBe("plait test middle");
    expect(client.getPeerCertificate()).not.toHaveProperty("issuerCertificate");
    client.destroy();
    expect(client.getPeerCertificate()).toBeNull();
    await server[Symbol.asyncDispose]();
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("connect with tls, %s", async (version) => {
    const { server, port } = await listening({}, async (socket) => {
      await socket.startTls(ofServer());
      socket.pipe(socket);
    });
    const tls: TlsOptions = { ...ofClient(), minVersion: version, maxVersion: version };
    const client = net.connect({ port, host: "localhost", tls });
    const events: string[] = [];
    for (const event of ["connect", "ready", "secureConnect", "data", "end", "finish", "close"]) {
      client.on(event, () => events.push(event));
    }
    client.write("hello");
    await once(client, "data");
    client.end();
    await closed(client);
    expect(events).toEqual([
      ...["connect", "ready", "secureConnect", "data", "finish", "end", "close"],
    ]);
    await server[Symbol.asyncDispose]();
  });

  test("a session is resumed, and both ends say so", async () => {
    const { server, port } = await listening({ tls: ofServer() });
    const resumed: boolean[] = [];
    server.on("secureConnection", (socket: NetSocket) => {
      resumed.push(socket.isSessionReused());
      socket.end("text");
    });
    let session: Uint8Array | undefined;
    const onSession = (offered: Uint8Array): void => {
      session = offered;
    };
    for (const expected of [false, true]) {
      const tls: TlsOptions = session === undefined ? {} : { session };
      const client = net.connect({ port, host, tls: { ...ofClient(), ...tls, onSession } });
      expect(client.isSessionReused()).toBe(false);
      await once(client, "secureConnect");
      expect(client.isSessionReused()).toBe(expected);
      expect((await received(client)).toString()).toBe("text");
    }
    expect(resumed).toEqual([false, true]);
    await server[Symbol.asyncDispose]();
  });

  test("megabytes both ways over TLS", async () => {
    const { server, port } = await startTlsServer();
    const { client, start } = await startTlsClient(port, ofClient());
    await start;
    const data = distinctBytes(20_000_000);
    client.end(data);
    expect(hashOf(await received(client))).toBe(hashOf(data));
    await server[Symbol.asyncDispose]();
  }, 20_000);

  test("a certificate that is refused is the error of the promise and of the event", async () => {
    const { server, port, errors } = await startTlsServer({
      cert: made.expired.chain,
      key: made.expired.key,
    });
    const { client, start } = await startTlsClient(port, ofClient());
    const [error] = await once(client, "error");
    expect(error).toMatchObject({ code: "CERT_HAS_EXPIRED" });
    expect(await failureOf(start)).toBe(error);
    await closed(client);
    await server[Symbol.asyncDispose]();
    expect(errors.length).toBe(1);
  });

  test("a refused certificate of connect is an error event alone", async () => {
    const { server, port } = await listening({}, (socket) => {
      socket.on("error", () => {});
      socket.startTls({ cert: made.selfSigned.chain, key: made.selfSigned.key }).catch(() => {});
    });
    const client = net.connect({ port, host: "localhost", tls: ofClient() });
    const written: unknown[] = [];
    client.write("x", (error) => written.push(error));
    const events: string[] = [];
    for (const event of ["connect", "ready", "secureConnect", "error", "close"]) {
      client.on(event, () => events.push(event));
    }
    await closed(client);
    expect(events).toEqual(["connect", "ready", "error", "close"]);
    await Bun.sleep(1);
    expect(written).toEqual([expect.any(Error)]);
    await server[Symbol.asyncDispose]();
  });

  test("without a check the connection goes on, and says what is wrong", async () => {
    const { server, port } = await startTlsServer({
      cert: made.selfSigned.chain,
      key: made.selfSigned.key,
    });
    const { client, start } = await startTlsClient(port, { ...ofClient(), verifyPeer: false });
    await start;
    expect(client.authorized).toBe(false);
    expect(client.authorizationError).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    client.destroy();
    await server[Symbol.asyncDispose]();
  });

  test("data that came before the handshake is not taken for what came in it", async () => {
    await using pair = await NetPair.make();
    const { client, accepted } = pair;
    accepted.write("go\ninjected\n");
    await once(client, "readable");
    expect((client.read(3) as Buffer).toString()).toBe("go\n");
    expect(await failureOf(client.startTls(ofClient()))).toMatchObject({ code: "EBUSY" });
    // The connection is as it was.
    expect((client.read() as Buffer).toString()).toBe("injected\n");
    client.write("plain");
    expect((await nextData(accepted)).toString()).toBe("plain");
    expect([client.encrypted, client.destroyed]).toEqual([false, false]);
  });

  test("nothing that comes after the start is taken for data", async () => {
    await using pair = await NetPair.make();
    const { client, accepted } = pair;
    const data: string[] = [];
    client.on("data", (chunk) => data.push(String(chunk)));
    const started = client.startTls({ ...ofClient(), serverName: "localhost" });
    client.on("error", () => {});
    accepted.write("injected\n");
    expect(await failureOf(started)).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
    expect(data).toEqual([]);
    expect(client.destroyed).toBe(true);
  });

  test("a handshake that fails and that nothing awaits is no unhandled rejection", async () => {
    await using pair = await NetPair.make();
    const { client, accepted } = pair;
    void client.startTls({ ...ofClient(), serverName: "localhost" });
    const written: unknown[] = [];
    client.write("behind it", (error) => written.push(error));
    accepted.destroy();
    const [error] = await once(client, "error");
    await closed(client);
    expect(error).toBeInstanceOf(Error);
    expect(written).toEqual([expect.any(Error)]);
  });

  test("writes before the start of TLS leave in the clear, those behind it encrypted", async () => {
    await using pair = await NetPair.make();
    const { client, accepted } = pair;
    const plain = distinctBytes(5_000_000);
    client.cork();
    client.write(plain.subarray(0, 100));
    client.write(plain.subarray(100));
    const started = client.startTls({ ...ofClient(), serverName: "localhost" });
    client.write("encrypted");
    client.write(" text");
    client.uncork();
    let count = 0;
    const chunks: Buffer[] = [];
    const all = Promise.withResolvers<void>();
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      count += chunk.length;
      if (count < plain.length) return;
      accepted.off("data", take);
      // The client's hello may be here already: then this end starts too late.
      all.resolve();
    };
    accepted.on("data", take);
    await all.promise;
    const clear = Buffer.concat(chunks);
    expect(hashOf(clear.subarray(0, plain.length))).toBe(hashOf(plain));
    expect(clear.length === plain.length || clear[plain.length] === 0x16).toBe(true);
    expect(clear.includes("encrypted")).toBe(false);
    client.on("error", () => {});
    accepted.destroy();
    expect(await failureOf(started)).toBeInstanceOf(Error);
  });

  test.each([
    ["TLSv1.3", {}],
    // A client that wants sessions stays with OpenSSL.
    ["TLSv1.3", { onSession: () => {} }],
    ["TLSv1.2", {}],
    ["TLSv1.3", { cipherSuites: "TLS_AES_128_GCM_SHA256" }],
  ] as const)("both ends export the same keying material: %s %p", async (version, more) => {
    const { server, port, accepted } = await startTlsServer();
    const tls: TlsOptions = { ...ofClient(), minVersion: version, maxVersion: version, ...more };
    const { client, start } = await startTlsClient(port, tls);
    expect(() => client.exportKeyingMaterial(32, "EXPERIMENTAL test")).toThrow(
      expect.objectContaining({ code: "ERR_TLS_INVALID_STATE" }),
    );
    await start;
    client.write("x");
    await nextData(client);
    const seen = new Set<string>();
    for (const [length, label, context] of [
      [32, "EXPERIMENTAL test", undefined],
      [33, "EXPERIMENTAL test", Buffer.from("context")],
      [200, "EXPERIMENTAL other", Buffer.alloc(0)],
      [1, "EXPERIMENTAL other", Buffer.alloc(1000)],
    ] as const) {
      const own = client.exportKeyingMaterial(length, label, context);
      expect(own.length).toBe(length);
      expect(accepted[0]!.exportKeyingMaterial(length, label, context)).toEqual(own);
      seen.add(own.toString("hex"));
    }
    expect(seen.size).toBe(4);
    for (const wrong of [0, -1, 1.5, 1e9]) {
      expect(() => client.exportKeyingMaterial(wrong, "label")).toThrow();
    }
    expect(() => client.exportKeyingMaterial(32, "x".repeat(250))).toThrow(RangeError);
    client.destroy();
    await server[Symbol.asyncDispose]();
  });

  test.skipIf(!isInstalled("node")).each([
    ["TLSv1.3", {}],
    ["TLSv1.3", { onSession: () => {} }],
    ["TLSv1.2", {}],
  ] as const)("keying material is that of Node: %s %p", async (version, more) => {
    await using server = await netServer(
      installedProgram("node"),
      `
        const context = tls.createSecureContext({
          cert: readFileSync(${text(made?.p256.chain)}), key: readFileSync(${text(made?.p256.key)}),
        });
        const secure = new tls.TLSSocket(socket, { isServer: true, secureContext: context });
        secure.on("error", () => {});
        secure.on("secure", () => {
          const keys = (...args) => secure.exportKeyingMaterial(...args).toString("hex");
          secure.write(keys(48, "EXPORTER-Channel-Binding", Buffer.from("some")) + keys(40, "label"));
        });
      `,
    );
    const tls: TlsOptions = { ...ofClient(), minVersion: version, maxVersion: version, ...more };
    const client = net.connect({ port: server.port, host: "localhost", tls });
    const theirs = (await nextData(client)).toString();
    const own = [
      client.exportKeyingMaterial(48, "EXPORTER-Channel-Binding", Buffer.from("some")),
      client.exportKeyingMaterial(40, "label"),
    ];
    expect(Buffer.concat(own).toString("hex")).toBe(theirs);
    client.destroy();
  });

  describe("a server with tls", () => {
    const openssl = (port: number, ...more: string[]) =>
      runCommand([
        ...["openssl", "s_client", "-connect", `${host}:${port}`, "-quiet", "-verify_return_error"],
        ...["-CAfile", made.root, "-servername", "localhost", ...more],
      ]);

    test("its listener gets encrypted sockets: openssl is the client", async () => {
      const events: string[] = [];
      const { server, port } = await listening({ tls: ofServer() }, (socket) => {
        events.push(`secureConnection ${socket.encrypted} ${socket.servername}`);
        socket.end("encrypted\n");
      });
      server.on("connection", (socket) => events.push(`connection ${socket.encrypted}`));
      const { text: got } = await openssl(port, "-alpn", "one");
      expect(got).toBe("encrypted\n");
      expect(events).toEqual(["connection false", "secureConnection true localhost"]);
      await server[Symbol.asyncDispose]();
    });

    test("plait/net is the client, and what is written at once arrives", async () => {
      const { server, port } = await listening({ tls: tlsContext(ofServer()) }, (socket) => {
        socket.pipe(socket);
      });
      const client = net.connect({ port, host: "localhost", tls: ofClient() });
      const data = distinctBytes(3_000_000);
      client.end(data);
      expect(hashOf(await received(client))).toBe(hashOf(data));
      await server[Symbol.asyncDispose]();
    });

    test("a handshake that fails is a tlsClientError, and ends no server", async () => {
      const served: NetSocket[] = [];
      const { server, port } = await listening({ tls: ofServer() }, (socket) => {
        served.push(socket);
        socket.on("error", () => {}).end("well");
      });
      const failures: unknown[] = [];
      const failed = async (connectWrongly: () => NetSocket): Promise<void> => {
        const client = connectWrongly().on("error", () => {});
        const [error, socket] = await once(server, "tlsClientError");
        failures.push(error.code);
        expect(socket.destroyed).toBe(true);
        client.destroy();
      };
      await failed(() => net.connect(port, host).resume().end());
      await failed(() => net.connect(port, host).resume().end("GET / HTTP/1.1\r\n\r\n"));
      await failed(() => net.connect({ port, host: "localhost", tls: true }));
      const client = net.connect({ port, host: "localhost", tls: ofClient() });
      expect((await received(client)).toString()).toBe("well");
      expect(served.length).toBe(1);
      expect(failures).toEqual([
        ...["ERR_TLS_TRUNCATED", "ERR_SSL_HTTP_REQUEST", "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"],
      ]);
      await server[Symbol.asyncDispose]();
    });

    test("a handshake that takes too long is a tlsClientError", async () => {
      const { server, port } = await listening({ tls: { ...ofServer(), handshakeTimeout: 50 } });
      const client = net.connect(port, host).resume();
      const [error, socket] = await once(server, "tlsClientError");
      expect(error.code).toBe("ETIMEDOUT");
      expect(socket.destroyed).toBe(true);
      await closed(client);
      await server[Symbol.asyncDispose]();
    });

    test("a connection that is destroyed before its handshake is none", async () => {
      const { server, port } = await listening({ tls: ofServer() });
      const events: string[] = [];
      for (const event of ["secureConnection", "tlsClientError"]) {
        server.on(event, () => events.push(event));
      }
      server.on("connection", (socket) => socket.destroy());
      const client = net.connect({ port, host: "localhost", tls: ofClient() });
      client.on("error", () => {});
      await closed(client);
      await server[Symbol.asyncDispose]();
      expect(events).toEqual([]);
    });

    test("wrong options are the error of the call", () => {
      expect(() => net.createServer({ tls: {} })).toThrow(TypeError);
      expect(() => net.createServer({ tls: { nonsense: 1 } as TlsOptions })).toThrow(TypeError);
    });
  });

  describe.each([true, false])("half open: %p", (allowHalfOpen) => {
    test.each(["TLSv1.2", "TLSv1.3"] as const)(
      "an end without close_notify is an end, and can be told from a whole one, %s",
      async (maxVersion) => {
        const { server, port } = await listening({ allowHalfOpen }, async (socket) => {
          await socket.startTls({ ...ofServer(), maxVersion });
          socket.pipe(socket);
        });
        // A man in the middle, who ends the way to the client.
        const { server: middle, port: place } = await listening(
          { allowHalfOpen: true },
          (front) => {
            const back = net.connect({ port, host, allowHalfOpen: true });
            front.pipe(back);
            back.on("data", (data) => front.write(data));
            back.on("end", () => front.end());
            middle.once("cut", () => front.end());
          },
        );
        for (const isCut of [true, false]) {
          const events: string[] = [];
          const tls = { ...ofClient(), serverName: "localhost" };
          const client = net.connect({ port: place, host, tls, allowHalfOpen });
          for (const event of ["end", "finish", "error", "close"]) {
            client.on(event, (...rest) => events.push([event, ...rest].join(" ")));
          }
          client.write("text");
          expect((await nextData(client)).toString()).toBe("text");
          client.resume();
          expect(client.truncated).toBe(false);
          if (isCut) middle.emit("cut");
          else client.end();
          await once(client, "end");
          expect(client.truncated).toBe(isCut);
          if (isCut && allowHalfOpen) client.end("the rest");
          await closed(client);
          expect(events.toSorted()).toEqual(["close false", "end", "finish"]);
          expect(client.truncated).toBe(isCut);
        }
        await Promise.all([middle[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
      },
    );
  });

  test("a second handshake is refused, and leaves the first one alone", async () => {
    const { server, port } = await listening({}, (socket) => {
      socket.on("error", () => {});
      void socket.startTls(ofServer()).catch(() => {});
      socket.pipe(socket);
    });
    const begun = async (tls: TlsOptions | undefined): Promise<void> => {
      const client = net.connect({ port, host, tls });
      const errors: unknown[] = [];
      client.on("error", (error) => errors.push(error));
      const ready = once(client, "secureConnect");
      if (tls === undefined) {
        await once(client, "connect");
        await Promise.all([
          client.startTls(ofClient()),
          failureOf(client.startTls(ofClient())).then((error) => errors.push(error.code)),
        ]);
      } else errors.push((await failureOf(client.startTls(ofClient()))).code);
      await ready;
      client.end("text");
      expect((await received(client)).toString()).toBe("text");
      expect(errors).toEqual(["EALREADY"]);
    };
    await begun(undefined);
    await begun(ofClient());
    await server[Symbol.asyncDispose]();
  });

  test("a mistake in the options leaves the connection alone", async () => {
    await using pair = await NetPair.make();
    const { client, accepted } = pair;
    const options = { nonsense: true } as TlsOptions;
    expect(await failureOf(client.startTls(options))).toBeInstanceOf(TypeError);
    expect(() => net.connect({ port: 1, host, tls: options })).toThrow(TypeError);
    expect(client.destroyed).toBe(false);
    client.write("still plain");
    expect((await nextData(accepted)).toString()).toBe("still plain");
  });

  test("a socket of plait that is encrypted becomes a stream", async () => {
    const { server, port } = await startTlsServer();
    const plait = await connect({ host: "localhost", port });
    await plait.next();
    await plait.write("STARTTLS\n");
    await plait.next();
    await plait.startTls(ofClient());
    const client = new net.Socket({ socket: plait });
    expect(client.encrypted).toBe(true);
    client.write("text");
    expect((await nextData(client)).toString()).toBe("text");
    client.end();
    await closed(client);
    await server[Symbol.asyncDispose]();
  });

  describe.each(runtimes)("with node:tls of $name", ({ isMissing, program }) => {
    test.skipIf(isMissing)("as the server", async () => {
      // Bun cannot turn an accepted connection into TLS (its issue 25044): it begins at once.
      await using server = await netServer(
        program(),
        `
          const context = tls.createSecureContext({
            cert: readFileSync(${text(made?.p256.chain)}), key: readFileSync(${text(made?.p256.key)}),
          });
          const secure = new tls.TLSSocket(socket, { isServer: true, secureContext: context });
          secure.on("error", (error) => console.log("error " + error.code));
          secure.pipe(secure);
        `,
      );
      const client = net.connect({ port: server.port, host: "localhost", tls: ofClient() });
      client.write("over TLS");
      expect((await nextData(client)).toString()).toBe("over TLS");
      client.end();
      await closed(client);
    });

    test.skipIf(isMissing)("as the client of a server with tls", async () => {
      const { server, port } = await listening({ tls: ofServer() }, (socket) => {
        socket.pipe(socket);
      });
      await using client = await netClient(
        program(),
        port,
        `
          const secure = tls.connect({
            socket, ca: readFileSync(${text(made?.root)}), servername: "localhost",
          }, () => secure.write("over TLS"));
          secure.on("data", (data) => { console.log("data " + data); secure.end(); });
        `,
      );
      await client.printed(/data over TLS/);
      await server[Symbol.asyncDispose]();
    });

    test.skipIf(isMissing)("as the client", async () => {
      const { server, port } = await startTlsServer();
      await using client = await netClient(
        program(),
        port,
        `
          socket.once("data", () => {
            socket.write("STARTTLS\\n");
            socket.once("data", () => {
              const secure = tls.connect({
                socket, ca: readFileSync(${text(made?.root)}), servername: "localhost",
              }, () => {
                console.log("authorized " + secure.authorized);
                secure.write("over TLS");
              });
              secure.on("error", (error) => console.log("error " + error.message));
              secure.on("data", (data) => { console.log("data " + data); secure.end(); });
            });
          });
        `,
      );
      await client.printed(/data over TLS/);
      expect(client.output).toContain("authorized true");
      await server[Symbol.asyncDispose]();
    });
  });
});
