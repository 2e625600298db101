/** Certificates by the name that a client sends. */

import { describe, expect, test } from "bun:test";
import {
  connect,
  now,
  type Socket,
  sleep,
  spawn,
  stats,
  type TlsOptions,
  tlsContext,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { runCommand } from "../support/run_command.ts";
import { socketPair } from "../support/socket_pair.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { describeLine, told } from "../support/tls_matrix.ts";
import { clientHello, dialTls, echo, presenting, serveTls, tlsPair } from "../support/tls_pair.ts";

describe.skipIf(!isInstalled("openssl"))("listeners with sni", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  /** The subject of the certificate that a client with this name gets. */
  async function subjectFor(port: number, tls: TlsOptions): Promise<string | undefined> {
    await using socket = await dialTls(port, tls);
    return socket.tls?.certificate?.subject.replace("CN=plait test ", "");
  }

  test("choose a certificate by name", async () => {
    const sni = {
      "good.example": presenting(made.named),
      "*.wild.example": tlsContext(presenting(made.wildcard)),
    };
    await using listener = await serveTls(echo, { ...presenting(made.p256), sni });
    const subject = (serverName: string, rest: TlsOptions = {}) =>
      subjectFor(listener.port, { serverName, ...rest });
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      expect(await subject("good.example", { maxVersion })).toBe("named");
      expect(await subject("Good.Example", { maxVersion })).toBe("named");
      expect(await subject("a.wild.example", { maxVersion })).toBe("wildcard");
      expect(await subject("localhost", { maxVersion })).toBe("p256");
      expect(await subject("127.0.0.1", { maxVersion })).toBe("p256");
    }
    const unverified = { verifyPeer: false };
    expect(await subject("a.b.wild.example", unverified)).toBe("p256");
    expect(await subject("wild.example", unverified)).toBe("p256");
  });

  describe.each(["TLSv1.2", "TLSv1.3"] as const)(
    "show the name by which they chose (%s)",
    (version) => {
      const client = (port: number, name: string, ...argv: string[]) =>
        runCommand(
          [
            ...[installedProgram("openssl"), "s_client", "-connect", `127.0.0.1:${port}`],
            ...["-CAfile", made.root, "-ign_eof", "-servername", name, ...argv],
          ],
          "hello\n",
        );

      test.each([
        ["GOOD.Example.", "good.example", "named"],
        ["Good.example", "good.example", "named"],
        ["LOCALHOST.", "localhost", "p256"],
        // Not the name of a host, so that it selects nothing.
        ["good .example", undefined, "p256"],
      ])("%j", async (sent, serverName, subject) => {
        const asked: string[] = [];
        const named = tlsContext({ ...presenting(made.named), maxVersion: version });
        const choose = (name: string) => {
          asked.push(name);
          return name === "good.example" ? named : undefined;
        };
        for (const sni of [{ "good.example": named }, choose]) {
          const tls = { ...presenting(made.p256), maxVersion: version, sni };
          await using listener = await serveTls(describeLine, tls);
          const { text } = await client(listener.port, sent);
          const line = told(text) as { protocol: string; serverName?: string };
          expect([line.protocol, line.serverName]).toEqual([version, serverName]);
          expect(text).toMatch(new RegExp(`subject=CN ?= ?plait test ${subject}\n`));
        }
        expect(asked).toEqual(serverName === undefined ? [] : [serverName]);
      });

      test("also to a client", async () => {
        const options = { serverName: "Good.Example.", maxVersion: version };
        await using pair = await tlsPair(options, presenting(made.named));
        expect(pair.client.tls?.serverName).toBe("good.example");
        expect(pair.server.tls?.serverName).toBe("good.example");
      });

      test("and not the name of an earlier session", async () => {
        using folder = new TemporaryFolder();
        const session = folder.file("session");
        const seen: unknown[] = [];
        await using listener = await serveTls(
          async (socket) => {
            seen.push([socket.tls?.serverName, socket.tls?.resumed]);
            await describeLine(socket);
          },
          { ...presenting(made.p256), maxVersion: version },
        );
        await client(listener.port, "localhost", "-sess_out", session);
        await client(listener.port, "LOCALHOST", "-sess_in", session);
        await client(listener.port, "good.example", "-sess_in", session);
        // In TLS 1.2 a session belongs to a name (RFC 6066, section 3).
        expect(seen).toEqual([
          ["localhost", false],
          ["localhost", true],
          ["good.example", version === "TLSv1.3"],
        ]);
      });
    },
  );

  test("choose by a function that returns a promise", async () => {
    const contexts = {
      "good.example": tlsContext(presenting(made.named)),
      "slow.wild.example": tlsContext(presenting(made.wildcard)),
    };
    const asked: string[] = [];
    const errors: unknown[] = [];
    const sni = async (name: string) => {
      asked.push(name);
      if (name === "slow.wild.example") await sleep(50);
      if (name === "never.example") await new Promise(() => {});
      if (name === "wrong.example") throw new Error("the store is down");
      if (name === "refused.example") return null;
      return contexts[name as keyof typeof contexts];
    };
    const tls = { ...presenting(made.p256), sni, handshakeTimeout: 300 };
    const onError = (error: unknown) => errors.push(error);
    await using listener = await serveTls(echo, tls, { onError });
    const subject = (serverName: string) => subjectFor(listener.port, { serverName });
    const start = now();
    expect(await Promise.all(["slow.wild.example", "good.example"].map(subject))).toEqual([
      "wildcard",
      "named",
    ]);
    expect(now() - start).toBeGreaterThanOrEqual(49);
    expect(await subject("localhost")).toBe("p256");
    expect(asked.toSorted()).toEqual(["good.example", "localhost", "slow.wild.example"]);
    expect(errors).toEqual([]);

    expect(await failureOf(subject("refused.example"))).toMatchObject({
      code: expect.stringMatching(/UNRECOGNIZED_NAME/),
    });
    await failureOf(subject("wrong.example"));
    await failureOf(subject("never.example"));
    await pollUntil("all three are reported", () => errors.length === 3);
    expect(errors).toMatchObject([
      { name: "TlsError", code: "ERR_TLS_UNKNOWN_SERVER_NAME" },
      { message: "the store is down" },
      { name: "TimeoutError", syscall: "handshake" },
    ]);
  });

  test("choose by a function that returns at once", async () => {
    const named = tlsContext(presenting(made.named));
    const sni = (name: string) => (name === "good.example" ? named : undefined);
    await using listener = await serveTls(echo, { ...presenting(made.p256), sni });
    expect(await subjectFor(listener.port, { serverName: "good.example" })).toBe("named");
    expect(await subjectFor(listener.port, {})).toBe("p256");
    await using only = await serveTls(echo, { sni });
    expect(await subjectFor(only.port, { serverName: "good.example" })).toBe("named");
    expect(await failureOf(subjectFor(only.port, {}))).toMatchObject({ name: "TlsError" });
  });

  test("use the settings of each name", async () => {
    const own: TlsOptions = {
      ...presenting(made.named),
      groups: "P-384:P-256",
      ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305",
      cipherSuites: "TLS_CHACHA20_POLY1305_SHA256",
      alpn: ["own"],
    };
    const sni = { "good.example": own, "*.wild.example": tlsContext(presenting(made.wildcard)) };
    const usual = { ...presenting(made.p256), groups: "X25519:P-256", alpn: ["usual"], sni };
    await using listener = await serveTls(echo, usual);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const settings = async (serverName: string) => {
        const tls: TlsOptions = {
          serverName,
          maxVersion,
          alpn: ["usual", "own"],
          groups: "P-384:X25519:P-256",
        };
        await using socket = await dialTls(listener.port, tls);
        const { group, cipher, alpn } = socket.tls!;
        return `${group?.toLowerCase()} ${cipher.includes("CHACHA20")} ${alpn}`;
      };
      expect(await settings("good.example")).toBe("secp384r1 true own");
      expect(await settings("localhost")).toBe("x25519 false usual");
      expect(await settings("a.wild.example")).toMatch(/^(x25519|secp384r1) false undefined$/);
    }
    // A context without `groups` has the default ones, not the listener's.
    await using socket = await dialTls(listener.port, {
      serverName: "a.wild.example",
      groups: "P-384",
    });
    expect(socket.tls?.group).toBe("secp384r1");
    const refused = dialTls(listener.port, { groups: "P-384" });
    expect(await failureOf(refused)).toMatchObject({ name: "TlsError" });
  });

  test.each(["an object", "a function"])("log the keys of all names, chosen by %s", async (way) => {
    const contexts = {
      "good.example": presenting(made.named),
      "a.wild.example": tlsContext(presenting(made.wildcard)),
    };
    const choose = (name: string) => contexts[name as keyof typeof contexts];
    let lines = 0;
    await using listener = await serveTls(echo, {
      ...presenting(made.p256),
      onKeyLog: () => void lines++,
      sni: way === "a function" ? choose : contexts,
    });
    for (const serverName of ["localhost", "good.example", "a.wild.example"]) {
      lines = 0;
      await using socket = await dialTls(listener.port, { serverName });
      await socket.write("x");
      await socket.next();
      await pollUntil("its secrets are logged", () => lines >= 4);
    }
  });

  test("refuse the client for any failure of the function, and report it with the address", async () => {
    const mistakes: [() => unknown, object][] = [
      [
        () => {
          throw new Error("the store is down");
        },
        { message: "the store is down" },
      ],
      [() => 5, { name: "TypeError" }],
      [() => ({}), { name: "TypeError" }],
      [async () => "good.example", { name: "TypeError" }],
      [() => ({ cert: "/nowhere", key: "/nowhere" }), { name: "TlsError", code: "ENOENT" }],
      [() => ({ ...presenting(made.named), sni: {} }), { name: "TypeError" }],
    ];
    for (const [sni, expected] of mistakes) {
      const told = Promise.withResolvers<{ error: unknown; socket: Socket | undefined }>();
      const onError = (error: unknown, socket?: Socket) => told.resolve({ error, socket });
      const tls = { ...presenting(made.p256), sni: sni as never };
      await using listener = await serveTls(echo, tls, { onError });
      const refused = await failureOf(subjectFor(listener.port, { serverName: "localhost" }));
      expect(refused).toMatchObject({ code: expect.stringMatching(/UNRECOGNIZED_NAME$/) });
      const { error, socket } = await told.promise;
      expect(error).toMatchObject(expected);
      expect(socket).toMatchObject({ closed: true, remoteAddress: "127.0.0.1" });
    }
  });

  test("do not call the function when they are closed in the same turn", async () => {
    const asked: string[] = [];
    const sni = (name: string) => {
      asked.push(name);
      return new Promise<undefined>(() => {});
    };
    const hello = await clientHello({ serverName: "localhost" });
    const { fibers } = stats();
    const listener = await serveTls(echo, { ...presenting(made.p256), sni, handshakeTimeout: 0 });
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    await pollUntil("it is accepted", () => listener.connections === 1);
    await using pair = await socketPair();
    const closing = spawn(() => pair.server.next().then(() => listener.close()));
    // Both arrive before the next poll, in this order.
    await Promise.all([pair.client.write("now"), client.write(hello)]);
    await closing.join();
    await client.next().catch(() => {});
    expect(asked).toEqual([]);
    expect(stats().fibers).toBe(fibers);
  });

  test("ignore a choice that fails after the end of its handshake", async () => {
    const { stdout } = await runProgram(
      `
      process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
      const choice = Promise.withResolvers();
      const { CERT: cert, KEY: key, ROOT: ca } = process.env;
      const tls = { cert, key, sni: () => choice.promise, handshakeTimeout: 20 };
      const reported = Promise.withResolvers();
      const onError = (error) => reported.resolve(error.code);
      const listener = await listen({ host: "127.0.0.1", port: 0, tls, onError }, () => {});
      const client = { host: "127.0.0.1", port: listener.port, tls: { ca, serverName: "localhost" } };
      const refusal = await connect(client).catch((error) => error.code);
      console.log(await reported.promise, refusal);
      choice.reject(new Error("too late"));
      await sleep(20);
      console.log("serving on");
      process.exit();
    `,
      { env: { CERT: made.p256.chain, KEY: made.p256.key, ROOT: made.root } },
    );
    expect(stdout).toBe("ETIMEDOUT ERR_SSL_TLSV1_UNRECOGNIZED_NAME\nserving on");
  });
});
