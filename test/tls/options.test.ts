import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import {
  block,
  connect,
  listen,
  setTlsDefaults,
  stats,
  TlsContext,
  type TlsDefaults,
  type TlsOptions,
  tlsContext,
  versions,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { expectMistake, type MistakeKind, mistakeIn } from "../support/mistakes.ts";
import { runProgram } from "../support/programs.ts";
import { readText } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

test("versions() returns plait's version and OpenSSL's", () => {
  expect(versions()).toMatchObject({ plait: "0.1.0" });
  expect(versions().openssl).toMatch(/^3\.\d+\.\d+/);
});

describe.skipIf(!isInstalled("openssl"))("options", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);
  const identity = () => presenting(made.p256);

  type Mistake = [name: string, options: () => TlsOptions, kind: MistakeKind, about: RegExp];

  const mistakes: Mistake[] = [
    ["an unknown option", () => ({ certificate: "x" }) as never, TypeError, /"certificate"/],
    ["a misspelt option", () => ({ minversion: "TLSv1.2" }) as never, TypeError, /"minversion"/],
    ["an old version", () => ({ minVersion: "TLSv1.1" as never }), TypeError, /minVersion.*1\.1/],
    ["a name that every object has", () => ({ minVersion: "toString" as never }), TypeError, /min/],
    [
      "versions the wrong way round",
      () => ({ minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }),
      RangeError,
      /minVersion/,
    ],
    ["alpn as text", () => ({ alpn: "h2" as never }), TypeError, /alpn/],
    ["an empty alpn", () => ({ alpn: [] }), TypeError, /alpn/],
    ["an empty name in alpn", () => ({ alpn: [""] }), TypeError, /alpn/],
    ["a long name in alpn", () => ({ alpn: ["x".repeat(256)] }), RangeError, /alpn/],
    ["a cipher list that matches nothing", () => ({ ciphers: "NONESUCH" }), TypeError, /ciphers/],
    ["an unknown cipher suite", () => ({ cipherSuites: "TLS_X" }), TypeError, /cipherSuites/],
    ["an unknown group", () => ({ groups: "P-1" }), TypeError, /groups.*P-1/],
    ["ciphers with a NUL", () => ({ ciphers: "AES\0" }), TypeError, /NUL/],
    ["verifyPeer as a number", () => ({ verifyPeer: 0 as never }), TypeError, /verifyPeer/],
    ["verifyIssuer as text", () => ({ verifyIssuer: "no" as never }), TypeError, /verifyIssuer/],
    ["an onKeyLog that is not a function", () => ({ onKeyLog: 5 as never }), TypeError, /onKeyLog/],
    ["a key without its certificate", () => ({ key: made.p256.key }), TypeError, /cert/],
    ["a certificate without its key", () => ({ cert: made.p256.chain }), TypeError, /key/],
    [
      "two certificates with one key",
      () => ({ cert: [made.p256.cert, made.rsa.cert], key: made.p256.key }),
      TypeError,
      /same length/,
    ],
    ["an empty list of authorities", () => ({ ca: [] }), TypeError, /ca/],
    ["no bytes", () => ({ ca: new Uint8Array(0) }), TypeError, /ca is empty/],
    ["a number for a key", () => ({ ...identity(), key: 5 as never }), TypeError, /key/],
    ["a Blob", () => ({ ca: new Blob(["x"]) as never }), TypeError, /ca/],
    ["a passphrase for nothing", () => ({ passphrase: "x" }), TypeError, /passphrase/],
    [
      "a long passphrase",
      () => ({ ...identity(), passphrase: "é".repeat(513) }),
      RangeError,
      /passphrase/,
    ],
    [
      "a passphrase with a NUL",
      () => ({ ...identity(), passphrase: "\0" }),
      TypeError,
      /passphrase/,
    ],
    [
      "a passphrase that is not text",
      () => ({ ...identity(), passphrase: 5 as never }),
      TypeError,
      /pass/,
    ],
    [
      "pfx beside cert",
      () => ({ ...identity(), pfx: made.pfx, passphrase: made.passphrase }),
      TypeError,
      /pfx/,
    ],
  ];

  test.each(mistakes)(
    "tlsContext, connect and listen refuse %s",
    async (_, options, kind, about) => {
      const { sockets, waiters, connected } = stats();
      expectMistake(
        thrownBy(() => tlsContext(options())),
        kind,
        about,
      );
      const clientMistake = () => connect({ host: "127.0.0.1", port: 1, tls: options() });
      expectMistake(await mistakeIn(clientMistake), kind, about);
      const serverOptions = (): TlsOptions => ({ ...identity(), ...options() });
      if (!/^(a key|a certificate) without/.test(_) && !_.startsWith("a passphrase")) {
        expectMistake(
          await mistakeIn(() => listen({ port: 0, tls: serverOptions() })),
          kind,
          about,
        );
      }
      expect(stats()).toMatchObject({ sockets, waiters, connected });
    },
  );

  test("options of the other end are refused", async () => {
    const port = 1;
    for (const tls of [{ sni: {} }, { handshakeTimeout: 5 }, { clientAuth: "none" as const }]) {
      expectMistake(await mistakeIn(() => connect({ port, tls })), TypeError, /no option/);
    }
    for (const own of [{ serverName: "x" }, { session: new Uint8Array(1) }]) {
      const tls = { ...identity(), ...own };
      expectMistake(await mistakeIn(() => listen({ port: 0, tls })), TypeError, /no option/);
    }
  });

  test("a listener needs a certificate, and with clientAuth also ca", async () => {
    expectMistake(await mistakeIn(() => listen({ port: 0, tls: {} })), TypeError, /certificate/);
    const tls = { ...identity(), clientAuth: "require" as const };
    expectMistake(await mistakeIn(() => listen({ port: 0, tls })), TypeError, /clientAuth.*ca/);
    const other = { ...identity(), handshakeTimeout: -1 };
    expectMistake(await mistakeIn(() => listen({ port: 0, tls: other })), RangeError, /Timeout/);
    const mode = { ...identity(), clientAuth: "maybe" as never };
    expectMistake(await mistakeIn(() => listen({ port: 0, tls: mode })), TypeError, /clientAuth/);
    const tables: Record<string, TlsOptions>[] = [
      { "*": identity() },
      { "a.example": { ...identity(), handshakeTimeout: 5 } },
      { "a.example": 5 as never },
      { "a.example": null as never },
    ];
    for (const sni of tables) {
      const tls = { ...identity(), sni };
      expectMistake(await mistakeIn(() => listen({ port: 0, tls })), TypeError, /sni/);
    }
    const wrong = await mistakeIn(() => listen({ port: 0, tls: true as never }));
    expectMistake(wrong, TypeError, /tls/);
  });

  test("a client refuses names that cannot be checked", async () => {
    const wrong = [
      "",
      "exa mple",
      "ex\0ample",
      "bücher.example",
      ".example",
      "a..b",
      "a..",
      5 as never,
    ];
    for (const serverName of wrong) {
      const tls = { serverName };
      expectMistake(await mistakeIn(() => connect({ port: 1, tls })), TypeError, /serverName/);
    }
    const unix = () => connect({ path: "/nowhere", tls: true });
    expectMistake(await mistakeIn(unix), TypeError, /serverName/);
    expectMistake(await mistakeIn(() => connect({ port: 1, tls: 1 as never })), TypeError, /tls/);
  });

  test("beside a context only options of one connection are allowed", async () => {
    const context = tlsContext({ ca: made.root });
    const both = () => connect({ port: 1, tls: { context, ca: made.root } });
    expectMistake(await mistakeIn(both), TypeError, /ca.*context/);
    for (const own of [{ session: "x" as never }, { onSession: 5 as never }, { serverName: "" }]) {
      const wrong = () => connect({ port: 1, tls: { context, ...own } });
      expectMistake(await mistakeIn(wrong), TypeError, /session|onSession|serverName/);
    }
    const none = () => connect({ port: 1, tls: { context: {} as never } });
    expectMistake(await mistakeIn(none), TypeError, /context/);
    expectMistake(
      thrownBy(() => tlsContext({ context })),
      TypeError,
      /"context"/,
    );
  });

  test("startTls checks its options before anything happens", async () => {
    await using pair = await socketPair();
    const { client, server } = pair;
    expectMistake(await mistakeIn(() => server.startTls()), TypeError, /certificate/);
    expectMistake(await mistakeIn(() => client.startTls({ sni: {} } as never)), TypeError, /sni/);
    const timeout = { ca: made.root, handshakeTimeout: 5 };
    expectMistake(await mistakeIn(() => client.startTls(timeout)), TypeError, /handshakeTimeout/);
    const side = { side: "both" as never };
    expectMistake(await mistakeIn(() => client.startTls(side)), RangeError, /side/);
    expectMistake(await mistakeIn(() => client.startTls({}, -1)), RangeError, /deadline/);
    expectMistake(await mistakeIn(() => client.startTls(5 as never)), TypeError, /startTls/);
    expect(thrownBy(() => client.updateKeys())).toMatchObject({ code: "EOPNOTSUPP" });
    await client.write("still plain");
    server.shutdown();
    expect(await client.next()).toBeNull();
    client.close();
    expect(await readText(server)).toBe("still plain");
  });

  test("the error of a key or a certificate has OpenSSL's words", () => {
    const { encryptedKey, p256, rsa, pfx, weakKey } = made;
    const cert = p256.cert;
    const failures: [TlsOptions, RegExp][] = [
      [{ cert, key: encryptedKey, passphrase: "wrong" }, /key/],
      [{ cert, key: encryptedKey }, /key/],
      [{ cert, key: made.named.key }, /key.*mismatch/],
      [{ cert, key: rsa.key }, /key.*(mismatch|no certificate)/],
      [{ pfx, passphrase: "wrong" }, /pfx.*mac verify/],
      [{ cert: weakKey.cert, key: weakKey.key }, /too small/],
      [{ ca: new Uint8Array([1, 2, 3]) }, /ca/],
      [{ ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }, /ca/],
      [{ crl: p256.cert }, /crl/],
    ];
    for (const [options, about] of failures) {
      const error = thrownBy(() => tlsContext(options));
      expect(error).toMatchObject({ name: "TlsError", code: expect.stringMatching(/^ERR_OSSL_/) });
      expect(error.message).toMatch(about);
    }
  });

  test("the error of a missing file has its path, and no error has a key", () => {
    const error = thrownBy(() => tlsContext({ ca: "/nowhere/ca.pem" }));
    expect(error).toMatchObject({ name: "TlsError", code: "ENOENT", address: "/nowhere/ca.pem" });
    const secret = readFileSync(made.p256.key, "utf8").split("\n").slice(1).join("\n");
    const lost = thrownBy(() => tlsContext({ cert: made.p256.cert, key: secret }));
    expectMistake(lost, TypeError, /neither PEM nor a path/);
    expect(lost.message).not.toContain(secret.slice(0, 20));
  });

  /** Connects to a listener with these options. */
  async function works(server: TlsOptions, client: TlsOptions = {}): Promise<string | undefined> {
    await using listener = await serveTls((socket) => socket.write("hello"), server);
    await using socket = await dialTls(listener.port, client);
    const { tls } = socket;
    expect(await readText(socket)).toBe("hello");
    return tls?.certificate?.subject;
  }

  test("keys and certificates may be text, bytes, views, files and paths, PEM and DER", async () => {
    using folder = new TemporaryFolder();
    const { cert, chain, key } = made.p256;
    const text = { cert: readFileSync(chain, "utf8"), key: readFileSync(key, "utf8") };
    const bytes = { cert: readFileSync(chain), key: readFileSync(key) };
    const both = folder.file("both.pem");
    writeFileSync(both, text.cert + text.key);
    const pemBody = (pem: string): Uint8Array =>
      Uint8Array.fromBase64(pem.replaceAll(/-----[^-]+-----|\s/g, ""));
    const derCert = pemBody(readFileSync(cert, "utf8"));
    const rootDer = pemBody(readFileSync(made.root, "utf8"));
    const middle = text.cert.slice(text.cert.indexOf("-----BEGIN", 10));
    const subject = await works(text);
    expect(subject).toContain("p256");
    for (const options of [
      bytes,
      { cert: new DataView(bytes.cert.buffer, bytes.cert.byteOffset, bytes.cert.length), key },
      { cert: Bun.file(chain), key: Bun.file(key) },
      { cert: chain, key },
      { cert: both },
      { cert: chain, key: made.encryptedKey, passphrase: made.passphrase },
      { pfx: made.pfx, passphrase: made.passphrase },
      { pfx: readFileSync(made.pfx), passphrase: made.passphrase },
    ]) {
      expect(await works(options)).toBe(subject);
    }
    const der = { cert: derCert, key: pemBody(text.key) };
    expect(await works(der, { ca: [rootDer, middle] })).toBe(subject);
  });

  test("a listener with an RSA and an ECDSA certificate uses the kind that the client supports", async () => {
    const server = {
      cert: [made.rsa.chain, made.p256.chain],
      key: [made.rsa.key, made.p256.key],
      maxVersion: "TLSv1.2" as const,
    };
    expect(await works(server, { ciphers: "ECDHE-RSA-AES128-GCM-SHA256" })).toContain("rsa");
    expect(await works(server, { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" })).toContain("p256");
  });

  test("defaults hold where options say nothing", async () => {
    try {
      expectMistake(
        thrownBy(() => setTlsDefaults({ cert: "x" } as never)),
        TypeError,
        /"cert"/,
      );
      thrownBy(() => setTlsDefaults({ ciphers: "NONESUCH" }));
      setTlsDefaults({ ca: made.root, maxVersion: "TLSv1.2" });
      await using listener = await serveTls(undefined, presenting(made.p256));
      const connecting = connect({ host: "127.0.0.1", port: listener.port, tls: true });
      await using server = await listener.accept();
      await using client = await connecting;
      expect([client.tls?.protocol, server.tls?.protocol]).toEqual(["TLSv1.2", "TLSv1.2"]);
      setTlsDefaults({ ca: made.root });
      expect(await works(presenting(made.p256), { ca: made.root })).toContain("p256");
    } finally {
      setTlsDefaults({});
    }
    await using listener = await serveTls(echo);
    const untrusted = connect({ host: "127.0.0.1", port: listener.port, tls: true });
    expect(await failureOf(untrusted)).toMatchObject({ name: "TlsError" });
  });

  test("the files of defaults are read anew for each context but that of tls: true", async () => {
    using folder = new TemporaryFolder();
    const ca = folder.file("ca.pem");
    writeFileSync(ca, readFileSync(made.otherRoot));
    await using listener = await serveTls(echo);
    const dial = async (tls: true | TlsOptions | TlsContext): Promise<string> => {
      try {
        await using _ = await connect({ host: "127.0.0.1", port: listener.port, tls });
        return "trusted";
      } catch (error) {
        return (error as Error).name;
      }
    };
    try {
      setTlsDefaults({ ca });
      expect([await dial(true), await dial({}), await dial(tlsContext())]).toEqual(
        Array(3).fill("TlsError"),
      );
      writeFileSync(ca, readFileSync(made.root));
      expect([await dial(true), await dial({}), await dial(tlsContext())]).toEqual([
        "TlsError",
        "trusted",
        "trusted",
      ]);
    } finally {
      setTlsDefaults({});
    }
  });

  test.each<[string, TlsDefaults]>([
    ["that cannot be parsed", { ca: "-----BEGIN nothing" }],
    ["that mean nothing", { ciphers: "NONESUCH" }],
    ["of the wrong type", { verifyPeer: "no" as never }],
  ])("defaults %s change nothing", async (_, wrong) => {
    try {
      setTlsDefaults({ ca: made.root, maxVersion: "TLSv1.2" });
      thrownBy(() => setTlsDefaults(wrong));
      await using listener = await serveTls(undefined, presenting(made.p256));
      const connecting = connect({ host: "127.0.0.1", port: listener.port, tls: true });
      await using server = await listener.accept();
      await using client = await connecting;
      expect([client.tls?.protocol, server.tls?.protocol]).toEqual(["TLSv1.2", "TLSv1.2"]);
      expect(tlsContext()).toBeInstanceOf(TlsContext);
    } finally {
      setTlsDefaults({});
    }
    thrownBy(() => setTlsDefaults(wrong));
    expect(await works(presenting(made.p256), { ca: made.root })).toContain("p256");
  });

  test("TLS works under block, while Bun's loop rests", () => {
    const text = block(async () => {
      await using listener = await serveTls((socket) => socket.write("blocked"), {
        cert: Bun.file(made.p256.chain),
        key: Bun.file(made.p256.key),
      });
      await using client = await dialTls(listener.port);
      return await readText(client);
    });
    expect(text).toBe("blocked");
  });

  describe("trust of clients without ca", () => {
    const client = (port: number) => `
      const socket = await connect({ host: "127.0.0.1", port: ${port}, tls: true })
        .catch((error) => console.log(error.code, error.address));
      if (socket) console.log("connected", socket.tls.verified);
      process.exit();
    `;

    async function outcome(env: Record<string, string>): Promise<string> {
      await using listener = await serveTls(echo);
      return (await runProgram(client(listener.port), { env })).stdout;
    }

    test("SSL_CERT_FILE names a bundle", async () => {
      expect(await outcome({ SSL_CERT_FILE: made.root })).toBe("connected true");
    });

    test("contexts share the store, but not with those that have revocation lists", async () => {
      await using listener = await serveTls(echo, presenting(made.revoked));
      const { stdout } = await runProgram(
        `
        const outcome = (tls) =>
          connect({ host: "127.0.0.1", port: ${listener.port}, tls })
            .then((socket) => socket.tls.verified, (error) => error.code);
        const crl = ${JSON.stringify(made.revocations)};
        for (const tls of [{ crl }, true, { alpn: ["x"] }, { crl, alpn: ["x"] }, { alpn: ["y"] }])
          console.log(await outcome(tls));
        process.exit();
      `,
        { env: { SSL_CERT_FILE: made.root } },
      );
      expect(stdout.split("\n")).toEqual(["CERT_REVOKED", "true", "true", "CERT_REVOKED", "true"]);
    });

    test("SSL_CERT_DIR names folders with hashed names", async () => {
      using folder = new TemporaryFolder();
      using empty = new TemporaryFolder();
      const command = ["openssl", "x509", "-hash", "-noout", "-in", made.root];
      const hash = Bun.spawnSync(command).stdout.toString().trim();
      writeFileSync(folder.file(`${hash}.0`), readFileSync(made.root));
      const SSL_CERT_DIR = `${empty.path}:${folder.path}`;
      expect(await outcome({ SSL_CERT_DIR })).toBe("connected true");
    });

    test("other files in such a folder are skipped", async () => {
      using folder = new TemporaryFolder();
      const command = ["openssl", "x509", "-hash", "-noout", "-in", made.root];
      const hash = Bun.spawnSync(command).stdout.toString().trim();
      // To open a FIFO would block the thread.
      Bun.spawnSync(["mkfifo", folder.file(`${hash}.0`)]);
      symlinkSync("nowhere", folder.file(`${hash}.1`));
      mkdirSync(folder.file(`${hash}.2`));
      writeFileSync(folder.file(`${hash}.3`), "no certificate");
      const env = { SSL_CERT_DIR: folder.path };
      expect(await outcome(env)).toStartWith("UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
      writeFileSync(folder.file(`${hash}.4`), readFileSync(made.root));
      expect(await outcome(env)).toBe("connected true");
    });

    test("a variable that names a missing file is an error, and no other store is used", async () => {
      const nothing = "/nowhere/bundle.pem";
      expect(await outcome({ SSL_CERT_FILE: nothing })).toBe(`ENOENT ${nothing}`);
      expect(await outcome({ SSL_CERT_DIR: nothing })).toBe(`ENOENT ${nothing}`);
    });

    test("a bundle without certificates is an error", async () => {
      using folder = new TemporaryFolder();
      writeFileSync(folder.file("bundle.pem"), "no certificates here\n");
      const env = { SSL_CERT_FILE: folder.file("bundle.pem") };
      expect(await outcome(env)).toMatch(/^ERR_OSSL_/);
    });

    test("otherwise clients use the system's store, or Bun's roots, which do not have the test's root", async () => {
      const env = { SSL_CERT_FILE: "", SSL_CERT_DIR: "" };
      expect(await outcome(env)).toMatch(
        /^(UNABLE_TO_GET_ISSUER_CERT_LOCALLY|SELF_SIGNED_CERT_IN_CHAIN) 127\.0\.0\.1$/,
      );
    });
  });
});
