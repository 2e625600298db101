/**
 * A client that gets a HelloRetryRequest sends its ClientHello again, with only the changes that it
 * was asked for (RFC 8446, section 4.1.2). The listener chooses by the name in the first one; the
 * second must not differ.
 */

import { describe, expect, test } from "bun:test";
import { sleep, type TlsContext, type TlsOptions, tlsContext } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import {
  alpnOf,
  ExtensionType,
  firstHello,
  type HandHello,
  keyShareOf,
  noKeyShare,
  preSharedKeysOf,
  retried,
  sayHellos,
  serverNameOf,
  withExtension,
} from "../support/hand_hello.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { runCommand } from "../support/run_command.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { describeLine, told } from "../support/tls_matrix.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";
import { scriptCommand } from "../support/tls_servers.ts";

const illegalParameter = 47;

describe.skipIf(!isInstalled("openssl"))("a second ClientHello", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);
  const asked: string[] = [];

  /**
   * `secret.example` is for clients with a certificate, `public.example` and no name are for all.
   */
  function guarded(way: string): TlsOptions {
    const contexts: Record<string, TlsContext> = {
      "public.example": tlsContext(presenting(made.named)),
      "secret.example": tlsContext({
        ...presenting(made.wildcard),
        ca: made.root,
        clientAuth: "require",
      }),
    };
    const choose = (name: string) => {
      asked.push(name);
      return contexts[name];
    };
    const sni = {
      "a table": contexts,
      "a function": choose,
      "a function that takes its time": async (name: string) => {
        await sleep(1);
        return choose(name);
      },
    }[way];
    return { ...presenting(made.p256), sni };
  }

  const ways = ["a table", "a function", "a function that takes its time"];
  const none = "no name";
  const names = ["public.example", "secret.example", "unknown.example", none];
  const helloFor = (name: string) => firstHello(name === none ? undefined : name);

  describe.each(ways)("to a listener that chooses by %s", (way) => {
    const changes = names.flatMap((first) =>
      names.filter((second) => second !== first).map((second) => [first, second] as const),
    );

    test.each(changes)("must not turn from %s to %s", async (first, second) => {
      const errors: unknown[] = [];
      const onError = (error: unknown) => errors.push(error);
      await using listener = await serveTls(echo, guarded(way), { onError });
      asked.length = 0;
      const answers = await sayHellos(listener.port, helloFor(first), retried(helloFor(second)));
      expect(answers).toEqual(["HelloRetryRequest", illegalParameter]);
      expect(asked).toEqual(way === "a table" || first === none ? [] : [first]);
      await pollUntil("it is reported", () => errors.length === 1);
      expect(errors).toMatchObject([{ name: "TlsError", code: "ERR_SSL_CLIENT_HELLO_CHANGED" }]);
    });

    test.each(names)("that still names %s is accepted", async (name) => {
      await using listener = await serveTls(echo, guarded(way));
      asked.length = 0;
      const hello = helloFor(name);
      const answers = await sayHellos(listener.port, hello, retried(hello));
      expect(answers).toEqual(["HelloRetryRequest", "ServerHello"]);
      expect(asked).toEqual(way === "a table" || name === none ? [] : [name]);
    });
  });

  const { grease, alpn, padding, preSharedKey, earlyData, cookie, keyShare } = ExtensionType;
  const nothing = new Uint8Array(0);
  const plain = firstHello("public.example");
  const full = [
    [grease, nothing],
    [alpn, alpnOf("h2")],
    [ExtensionType.sessionTicket, nothing],
    [padding, new Uint8Array(20)],
    [earlyData, nothing],
    [preSharedKey, preSharedKeysOf("first", "second", "third")],
  ].reduce(
    (hello, [type, content]) => withExtension(hello, type as number, content as Uint8Array),
    plain,
  );
  /** The second ClientHello of a client: the request has refused its early data. */
  const again = withExtension(retried(full), earlyData, undefined);
  const swapped = [...again.extensions];
  swapped.splice(0, 2, swapped[1]!, swapped[0]!);

  const allowed: [string, HandHello, HandHello][] = [
    ["the share of a key alone", plain, retried(plain)],
    ["without early data", full, again],
    ["with less padding", full, withExtension(again, padding, new Uint8Array(5))],
    ["without padding", full, withExtension(again, padding, undefined)],
    ["with padding", plain, withExtension(retried(plain), padding, new Uint8Array(9))],
    [
      "with some of its tickets",
      full,
      withExtension(again, preSharedKey, preSharedKeysOf("first", "third")),
    ],
    ["without tickets", full, withExtension(again, preSharedKey, undefined)],
  ];

  test.each(allowed)("may be sent with other parts: %s", async (_, first, second) => {
    await using listener = await serveTls(echo);
    expect(await sayHellos(listener.port, first, second)).toEqual([
      "HelloRetryRequest",
      "ServerHello",
    ]);
  });

  const changed: [string, HandHello, HandHello][] = [
    ["another random number", full, { ...again, random: new Uint8Array(32).fill(9) }],
    ["another session id", full, { ...again, sessionId: new Uint8Array(32).fill(9) }],
    ["a shorter session id", full, { ...again, sessionId: new Uint8Array(0) }],
    ["another version", full, { ...again, legacyVersion: 0x0302 }],
    ["one more cipher", full, { ...again, cipherSuites: [0x1301, 0x1302, 0x1303] }],
    ["one cipher less", full, { ...again, cipherSuites: [0x1301] }],
    ["ciphers in another order", full, { ...again, cipherSuites: [0x1302, 0x1301] }],
    ["one more compression", full, { ...again, compressionMethods: [0, 1] }],
    ["extensions in another order", full, { ...again, extensions: swapped }],
    ["another protocol", full, withExtension(again, alpn, alpnOf("h3"))],
    ["no protocol", full, withExtension(again, alpn, undefined)],
    ["a protocol", plain, withExtension(retried(plain), alpn, alpnOf("h2"))],
    ["another unknown extension", full, withExtension(again, grease, new Uint8Array(1))],
    ["no unknown extension", full, withExtension(again, grease, undefined)],
    [
      "the name in capitals",
      full,
      withExtension(again, ExtensionType.serverName, serverNameOf("PUBLIC.example")),
    ],
    [
      "another kind of ticket",
      full,
      withExtension(again, ExtensionType.sessionTicket, new Uint8Array(1)),
    ],
    ["a cookie that it was not given", plain, withExtension(retried(plain), cookie, keyShareOf())],
    ["early data", plain, withExtension(retried(plain), earlyData, nothing)],
    ["a ticket", plain, withExtension(retried(plain), preSharedKey, preSharedKeysOf("first"))],
    ["another ticket", full, withExtension(again, preSharedKey, preSharedKeysOf("other"))],
    [
      "tickets in another order",
      full,
      withExtension(again, preSharedKey, preSharedKeysOf("third", "first")),
    ],
    ["a ticket twice", full, withExtension(again, preSharedKey, preSharedKeysOf("first", "first"))],
    ["no share of a key again", full, withExtension(again, keyShare, noKeyShare)],
  ];

  test.each(changed)("must not be sent with other parts: %s", async (_, first, second) => {
    await using listener = await serveTls(echo);
    expect(await sayHellos(listener.port, first, second)).toEqual([
      "HelloRetryRequest",
      illegalParameter,
    ]);
  });
});

describe.skipIf(!isInstalled("openssl"))(
  "clients whose first key share the listener cannot use",
  () => {
    const made = isInstalled("openssl") ? certificates() : (undefined as never);
    const resumed: (boolean | undefined)[] = [];

    /** A listener that accepts only X25519. */
    const serve = (rest: TlsOptions = {}) =>
      serveTls(
        async (socket) => {
          resumed.push(socket.tls?.resumed);
          await describeLine(socket);
        },
        { ...presenting(made.p256), groups: "X25519", ...rest },
      );

    test("plait, which resumes its session", async () => {
      resumed.length = 0;
      await using listener = await serve();
      let session: Uint8Array | undefined;
      for (const isResumed of [false, true]) {
        await using socket = await dialTls(listener.port, {
          groups: "P-384:X25519",
          session,
          onSession: (bytes) => (session = bytes),
        });
        await socket.write("hello\n");
        await socket.next();
        expect(socket.tls).toMatchObject({ group: "x25519", resumed: isResumed });
      }
      expect(resumed).toEqual([false, true]);
    });

    test("s_client, which resumes its session", async () => {
      using folder = new TemporaryFolder();
      const session = folder.file("session");
      resumed.length = 0;
      await using listener = await serve({ clientAuth: "require", ca: made.root });
      const { cert, chain, key } = made.client;
      for (const argv of [
        ["-sess_out", session],
        ["-sess_in", session],
      ]) {
        const { text } = await runCommand(
          [
            ...[installedProgram("openssl"), "s_client", "-connect", `127.0.0.1:${listener.port}`],
            ...["-CAfile", made.root, "-groups", "P-384:X25519", "-msg", "-ign_eof", ...argv],
            ...["-cert", cert, "-cert_chain", chain, "-key", key],
          ],
          "hello\n",
        );
        expect(text.match(/ClientHello/g)).toHaveLength(2);
        expect(told(text)).toMatchObject({ line: "hello", protocol: "TLSv1.3", subject: "client" });
      }
      expect(resumed).toEqual([false, true]);
    });

    test.skipIf(!isInstalled("gnutls-cli"))("gnutls-cli", async () => {
      await using listener = await serve();
      const groups = "NORMAL:-GROUP-ALL:+GROUP-SECP384R1:+GROUP-X25519";
      const command = [
        ...[installedProgram("gnutls-cli"), "--x509cafile", made.root, "--single-key-share"],
        ...["--verify-hostname", "localhost", "--sni-hostname", "localhost"],
        ...["--priority", groups, "--port", `${listener.port}`, "127.0.0.1"],
      ];
      const { text } = await runCommand(command, "hello\n");
      expect(told(text)).toMatchObject({ line: "hello", protocol: "TLSv1.3" });
    });

    test.each([
      ["Node", () => (isInstalled("node") ? installedProgram("node") : undefined)],
      ["Bun", () => process.execPath],
    ] as const)("%s", async (name, find) => {
      const program = find();
      if (program === undefined) return console.warn(`skipped: ${name} is not installed`);
      await using listener = await serve();
      const source = `
      import tls from "node:tls";
      import { readFileSync as read } from "node:fs";
      const socket = tls.connect({
        host: "127.0.0.1", port: ${listener.port}, servername: "localhost",
        ca: read(${JSON.stringify(made.root)}), ecdhCurve: "P-384:X25519",
      }, () => socket.write("hello\\n"));
      socket.on("data", (data) => process.stdout.write(data));
      socket.on("end", () => socket.end());
    `;
      const { text } = await runCommand(scriptCommand(program, source));
      expect(told(text)).toMatchObject({ line: "hello", protocol: "TLSv1.3" });
    });
  },
);

describe.skipIf(!isInstalled("openssl"))("a ticket of a name without clientAuth", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  test.each([
    ["TLSv1.2", "a table"],
    ["TLSv1.2", "a function"],
    ["TLSv1.3", "a table"],
    ["TLSv1.3", "a function"],
  ] as const)("is worth nothing where one is required (%s, %s)", async (version, way) => {
    using folder = new TemporaryFolder();
    const session = folder.file("session");
    const contexts: Record<string, TlsContext> = {
      "public.example": tlsContext(presenting(made.named)),
      "secret.example": tlsContext({
        ...presenting(made.named),
        ca: made.root,
        clientAuth: "require",
      }),
    };
    const sni = way === "a table" ? contexts : (name: string) => contexts[name];
    const served: unknown[] = [];
    await using listener = await serveTls(
      async (socket) => {
        served.push([socket.tls?.serverName, socket.tls?.resumed]);
        await describeLine(socket);
      },
      { ...presenting(made.p256), maxVersion: version, sni },
    );
    const dial = (name: string, ...argv: string[]) =>
      runCommand(
        [
          ...[installedProgram("openssl"), "s_client", "-connect", `127.0.0.1:${listener.port}`],
          ...["-CAfile", made.root, "-servername", name, "-ign_eof", ...argv],
        ],
        "hello\n",
      );
    await dial("public.example", "-sess_out", session);
    await dial("public.example", "-sess_in", session);
    const refused = await dial("secret.example", "-sess_in", session);
    expect(refused.text).not.toContain('{"line"');
    expect(served).toEqual([
      ["public.example", false],
      ["public.example", true],
    ]);
  });
});
