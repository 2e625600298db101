/** TLS with the programs of OpenSSL and GnuTLS, from both sides. */

import { describe, expect, test } from "bun:test";
import { connect, deadline, type Socket, type TlsOptions } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { readText } from "../support/receiving.ts";
import { runCommand } from "../support/run_command.ts";
import { RunningProgram } from "../support/running_program.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import {
  combinations,
  describeLine,
  only,
  readLine,
  told,
  type Version,
} from "../support/tls_matrix.ts";
import { dialTls, presenting, serveTls } from "../support/tls_pair.ts";
import { gnutlsServer, opensslServer } from "../support/tls_servers.ts";

const versions = ["TLSv1.2", "TLSv1.3"] as const;
const hasOpenssl = isInstalled("openssl");
const made = hasOpenssl ? certificates() : (undefined as never);

describe.skipIf(!hasOpenssl)("openssl", () => {
  const program = () => installedProgram("openssl");
  const client = (port: number, ...argv: string[]) => [
    ...[program(), "s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", made.root],
    ...["-verify_return_error", ...argv],
  ];

  test.each(combinations)("s_client with %s and %s", async (version, kind) => {
    await using listener = await serveTls(describeLine, only(version, made[kind]));
    const command = client(listener.port, "-quiet", "-verify_hostname", "localhost");
    const { text, stderr } = await runCommand(command, "hello\n");
    expect(stderr).not.toContain("error");
    expect(told(text)).toMatchObject({ line: "hello", protocol: version, verified: false });
  });

  test("s_client with ALPN, SNI and a certificate of its own", async () => {
    const tls: TlsOptions = {
      ...presenting(made.p256),
      alpn: ["second", "first"],
      ca: made.root,
      clientAuth: "require",
      sni: { "good.example": presenting(made.named) },
    };
    await using listener = await serveTls(describeLine, tls);
    const { cert, chain, key } = made.client;
    const identity = ["-cert", cert, "-cert_chain", chain, "-key", key];
    const names = ["-servername", "good.example", "-verify_hostname", "good.example"];
    const alpn = ["-alpn", "first,second"];
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const command = client(listener.port, "-quiet", version, ...alpn, ...names, ...identity);
      const { text } = await runCommand(command, "hello\n");
      expect(told(text)).toMatchObject({
        alpn: "second",
        serverName: "good.example",
        subject: "client",
        verified: true,
      });
      const refused = await runCommand(
        client(listener.port, "-quiet", version, ...names),
        "hello\n",
      );
      expect(refused.text).toBe("");
    }
  });

  test.each(versions)("s_client resumes with %s", async (version) => {
    using folder = new TemporaryFolder();
    const session = folder.file("session");
    const resumed: (boolean | undefined)[] = [];
    await using listener = await serveTls(
      async (socket) => {
        resumed.push(socket.tls?.resumed);
        await describeLine(socket);
      },
      only(version, made.p256),
    );
    await runCommand(client(listener.port, "-ign_eof", "-sess_out", session), "hello\n");
    const again = await runCommand(
      client(listener.port, "-ign_eof", "-sess_in", session),
      "hello\n",
    );
    expect(again.text).toContain("Reused, TLSv1");
    expect(resumed).toEqual([false, true]);
  });

  test("s_client cannot renegotiate, nor compress, nor speak TLS 1.1", async () => {
    await using listener = await serveTls(describeLine, only("TLSv1.2", made.p256));
    const argv = client(listener.port, "-tls1_2");
    await using running = await RunningProgram.start(argv, /Compression: NONE/);
    expect(running.output).toContain("Expansion: NONE");
    await running.type("R\n");
    await running.printed(/no renegotiation|RENEGOTIATING[\s\S]*(error|alert)/i);
    await using any = await serveTls(describeLine, presenting(made.rsa));
    const old = await runCommand(client(any.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "x\n");
    expect(old.exitCode).not.toBe(0);
  });

  // Each has a part of the data of a write that fails, and what comes after it.
  const endings: [string, boolean, (socket: Socket) => unknown][] = [
    ["shutdown", true, (socket) => socket.shutdown()],
    ["close", true, (socket) => socket.close()],
    ["shutdown", false, (socket) => socket.shutdown()],
  ];

  test.each(endings)("s_client: %s after a write, broken off: %p", async (_name, isBroken, end) => {
    for (const version of versions) {
      const failures: (string | undefined)[] = [];
      await using listener = await serveTls(
        async (socket) => {
          const bytes = new Uint8Array(32 * 1024 * 1024);
          const written = socket.write(bytes);
          // The missing buffer is found when the peer has made room for more.
          if (isBroken) structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
          if (isBroken) failures.push((await failureOf(written)).code);
          else await written;
          await end(socket);
          if (!socket.closed) await socket.next(deadline(2000)).catch(() => {});
        },
        only(version, made.p256),
      );
      const { stdout, stderr } = await runCommand(client(listener.port, "-quiet"), "");
      expect(stdout.byteLength).toBeGreaterThan(0);
      expect(stderr.includes("unexpected eof")).toBe(isBroken);
      expect(failures.length).toBe(isBroken ? 1 : 0);
    }
  });

  test("s_client changes its keys in the middle", async () => {
    const lines: string[] = [];
    await using listener = await serveTls(async (socket) => {
      for (;;) {
        const line = await readLine(socket);
        if (line === "") return;
        lines.push(line);
        await socket.write(`got ${line}\n`);
      }
    });
    const command = client(listener.port, "-tls1_3");
    await using running = await RunningProgram.start(command, /Verify return code/);
    for (const round of [1, 2, 3]) {
      await running.type(`line ${round}\n`);
      await running.printed(new RegExp(`got line ${round}\n`));
      // K changes its own keys and asks the peer to change its keys.
      await running.type("K\n");
      await running.printed(new RegExp(`(KEYUPDATE[\\s\\S]*){${round}}`));
    }
    await running.type("line 4\n");
    await running.printed(/got line 4\n/);
    expect(lines).toEqual(["line 1", "line 2", "line 3", "line 4"]);
  });

  test.each(combinations)("s_server with %s and %s", async (version, kind) => {
    const flag = version === "TLSv1.2" ? "-tls1_2" : "-tls1_3";
    await using server = await opensslServer(made[kind], "-rev", flag);
    await using socket = await dialTls(server.port, {}, deadline(4000));
    expect(socket.tls).toMatchObject({ protocol: version, verified: true });
    await socket.write("hello\n");
    expect(await readLine(socket)).toBe("olleh");
  });

  test("s_server with ALPN, SNI, and a certificate that it asks for", async () => {
    const { cert, key } = made.named;
    const named = ["-servername", "good.example", "-cert2", cert, "-key2", key];
    const asking = ["-CAfile", made.root, "-Verify", "2", "-verify_return_error"];
    await using server = await opensslServer(made.p256, "-alpn", "b", ...named, ...asking);
    const identity = presenting(made.client);
    // It serves one connection at a time.
    {
      await using socket = await dialTls(server.port, { ...identity, alpn: ["a", "b"] });
      expect(socket.tls).toMatchObject({ alpn: "b", verified: true });
      await socket.write("for openssl\n");
      await server.program.printed(/for openssl\n/);
      expect(server.program.output).toContain("plait test client");
    }
    {
      const other = { ...identity, serverName: "good.example", verifyIssuer: false };
      await using socket = await dialTls(server.port, other);
      expect(socket.tls?.certificate?.subject).toContain("named");
    }
    const without = dialTls(server.port, { maxVersion: "TLSv1.2" });
    expect(await failureOf(without)).toMatchObject({
      code: expect.stringMatching(/^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/),
    });
    // With TLS 1.3 the server refuses after the client's handshake has ended.
    await using late = await dialTls(server.port);
    expect(await failureOf(late.next(deadline(4000)))).toMatchObject({
      name: "TlsError",
      code: expect.stringMatching(/CERTIFICATE_REQUIRED$/),
    });
  });

  test.each(versions)("s_server resumes with %s", async (maxVersion) => {
    await using server = await opensslServer(made.p256, "-rev");
    const sessions: Uint8Array[] = [];
    for (const resumed of [false, true, true]) {
      const session = sessions.at(-1);
      const onSession = (bytes: Uint8Array) => sessions.push(bytes);
      await using socket = await dialTls(server.port, { maxVersion, session, onSession });
      expect(socket.tls).toMatchObject({ resumed, protocol: maxVersion, verified: true });
      await socket.write("hello\n");
      expect(await readLine(socket)).toBe("olleh");
      await pollUntil("there is a session", () => sessions.length > 0);
    }
  });

  test("s_server changes its keys in the middle, and so does plait", async () => {
    await using server = await opensslServer(made.p256, "-tls1_3");
    await using socket = await dialTls(server.port);
    for (const round of [1, 2, 3]) {
      socket.updateKeys(round % 2 === 0);
      await socket.write(`from plait ${round}\n`);
      await server.program.printed(new RegExp(`from plait ${round}\n`));
      await server.program.type("K\n");
      await Bun.sleep(20);
      await server.program.type(`from openssl ${round}\n`);
      expect(await readLine(socket)).toBe(`from openssl ${round}`);
    }
  });
});

describe.skipIf(!hasOpenssl || !isInstalled("gnutls-cli"))("gnutls", () => {
  const priority = (version: Version) => [
    "--priority",
    `NORMAL:-VERS-ALL:+VERS-TLS1.${version.at(-1)}`,
  ];

  test.each(combinations)("gnutls-cli with %s and %s", async (version, kind) => {
    await using listener = await serveTls(describeLine, presenting(made[kind]));
    const command = [
      ...[installedProgram("gnutls-cli"), "--x509cafile", made.root, ...priority(version)],
      ...["--verify-hostname", "localhost", "--port", `${listener.port}`, "127.0.0.1"],
    ];
    const { text, exitCode } = await runCommand(command, "hello\n");
    expect(told(text)).toMatchObject({ line: "hello", protocol: version });
    expect(text).toContain("certificate is trusted");
    expect(exitCode).toBe(0);
  });

  test("gnutls-cli with ALPN, SNI, a certificate, and new keys", async () => {
    const lines: string[] = [];
    const tls: TlsOptions = {
      ...presenting(made.p256),
      alpn: ["x/1"],
      ca: made.root,
      clientAuth: "require",
    };
    await using listener = await serveTls(async (socket) => {
      lines.push(
        `${socket.tls?.alpn} ${socket.tls?.serverName} ${socket.tls?.certificate?.subject}`,
      );
      for (let line: string; (line = await readLine(socket)) !== "end"; ) {
        lines.push(line);
        await socket.write(`got ${line}\n`);
      }
      await socket.write("bye\n");
    }, tls);
    const { chain, key } = made.client;
    await using program = await RunningProgram.start(
      [
        ...[installedProgram("gnutls-cli"), "--x509cafile", made.root, "--alpn", "x/1"],
        ...["--sni-hostname", "localhost", "--verify-hostname", "localhost"],
        ...["--x509certfile", chain, "--x509keyfile", key, "--inline-commands"],
        ...["--port", `${listener.port}`, "127.0.0.1"],
      ],
      /Simple Client Mode/,
    );
    await program.type("one\n");
    await program.printed(/got one\n/);
    await program.type("^rekey^\n");
    await Bun.sleep(50);
    await program.type("two\n");
    await program.printed(/got two\n/);
    await program.type("end\n");
    await program.printed(/bye\n/);
    expect(lines).toEqual(["x/1 localhost CN=plait test client", "one", "two"]);
  });

  test.each(versions)("gnutls-cli resumes with %s", async (version) => {
    const resumed: (boolean | undefined)[] = [];
    await using listener = await serveTls(
      async (socket) => {
        resumed.push(socket.tls?.resumed);
        await describeLine(socket);
      },
      only(version, made.p256),
    );
    const command = [
      ...[installedProgram("gnutls-cli"), "--x509cafile", made.root, "--verify-hostname"],
      ...["localhost", "--resume", ...(version === "TLSv1.3" ? ["--waitresumption"] : [])],
      ...["--port", `${listener.port}`, "127.0.0.1"],
    ];
    const { text } = await runCommand(command, "hello\n");
    expect(text).toContain("This is a resumed session");
    expect(told(text)).toMatchObject({ line: "hello", protocol: version });
    expect(resumed).toEqual([false, true]);
  });

  test.each(combinations)("gnutls-serv with %s and %s", async (version, kind) => {
    await using server = await gnutlsServer(made[kind], ...priority(version));
    await using socket = await dialTls(server.port, {}, deadline(4000));
    expect(socket.tls).toMatchObject({ protocol: version, verified: true });
    await socket.write("hello\n");
    expect(await readLine(socket)).toBe("hello");
    if (version === "TLSv1.3") socket.updateKeys();
    await socket.write("again\n");
    expect(await readLine(socket)).toBe("again");
  });

  test.each(versions)("gnutls-serv resumes with %s", async (version) => {
    await using server = await gnutlsServer(made.p256, ...priority(version));
    const sessions: Uint8Array[] = [];
    for (const resumed of [false, true, true]) {
      const session = sessions.at(-1);
      const onSession = (bytes: Uint8Array) => sessions.push(bytes);
      await using socket = await dialTls(server.port, { session, onSession });
      expect(socket.tls).toMatchObject({ resumed, protocol: version, verified: true });
      await socket.write("hello\n");
      expect(await readLine(socket)).toBe("hello");
      await pollUntil("there is a session", () => sessions.length > 0);
    }
  });

  test("gnutls-serv chooses by name", async () => {
    const { chain, key } = made.named;
    const second = ["--x509certfile", chain, "--x509keyfile", key];
    await using server = await gnutlsServer(made.wildcard, ...second);
    for (const [serverName, subject] of [
      ["good.example", "named"],
      ["a.wild.example", "wildcard"],
    ] as const) {
      await using socket = await dialTls(server.port, { serverName });
      expect(socket.tls?.certificate?.subject).toBe(`CN=plait test ${subject}`);
    }
  });

  test("gnutls-serv with ALPN, and a certificate that it asks for", async () => {
    const asking = ["--x509cafile", made.root, "--require-client-cert", "--verify-client-cert"];
    await using server = await gnutlsServer(made.p256, "--alpn", "x/1", ...asking);
    await using socket = await dialTls(server.port, { ...presenting(made.client), alpn: ["x/1"] });
    expect(socket.tls?.alpn).toBe("x/1");
    await socket.write("hello\n");
    expect(await readLine(socket)).toBe("hello");
  });
});

test.skipIf(!hasOpenssl)("an address is checked as an address and not sent as a name", async () => {
  await using listener = await serveTls(async (socket) => {
    await socket.write(`${socket.tls?.serverName}`);
  });
  const tls = { ca: made.root };
  await using socket = await connect({ host: "127.0.0.1", port: listener.port, tls });
  expect(await readText(socket)).toBe("undefined");
});
