import { describe, expect, test } from "bun:test";
import {
  connect,
  deadline,
  dump,
  listen,
  now,
  type Socket,
  sleep,
  spawn,
  stats,
  type TlsOptions,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { readText } from "../support/receiving.ts";
import { dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

describe.skipIf(!isInstalled("openssl"))("listeners with TLS", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  /** The subject of the certificate that a client with this name gets. */
  async function subjectFor(port: number, tls: TlsOptions): Promise<string | undefined> {
    await using socket = await dialTls(port, tls);
    return socket.tls?.certificate?.subject.replace("CN=plait test ", "");
  }

  test("run the handler after the handshake", async () => {
    await using listener = await serveTls(async (socket) => {
      expect(socket.secure).toBe(true);
      await socket.write(`${socket.tls?.protocol} ${socket.remotePort}`);
    });
    await using client = await dialTls(listener.port);
    expect(await readText(client)).toBe(`TLSv1.3 ${client.localPort}`);
  });

  test("without a handler pass connections to accept, in the order in which their handshakes end", async () => {
    await using listener = await serveTls();
    await using silent = await connect({ host: "127.0.0.1", port: listener.port });
    const accepting = listener.accept(deadline(4000));
    await sleep(10);
    await using client = await dialTls(listener.port);
    await using server = await accepting;
    expect(server.remotePort).toBe(client.localPort!);
    expect(silent.connected).toBe(true);
    const later = spawn(() => listener.accept(deadline(4000)));
    later.cancel();
    const [next, another] = await Promise.all([
      listener.accept(deadline(4000)),
      dialTls(listener.port),
    ]);
    expect(next.remotePort).toBe(another.localPort!);
    next.close();
    another.close();
  });

  test("keep a connection whose caller gave up for the next one", async () => {
    await using listener = await serveTls();
    const first = spawn(() => listener.accept());
    const plain = await connect({ host: "127.0.0.1", port: listener.port });
    await pollUntil("it is accepted", () => listener.connections === 1);
    first.cancel();
    await plain.startTls({ ca: made.root }, deadline(4000));
    await using server = await listener.accept(deadline(4000));
    expect(server.remotePort).toBe(plain.localPort!);
    plain.close();
  });

  test("do handshakes beside each other, and list them in dump()", async () => {
    await using listener = await serveTls(echo);
    const target = { host: "127.0.0.1", port: listener.port };
    const silent = await Promise.all(Array.from({ length: 50 }, () => connect(target)));
    await pollUntil("all are accepted", () => listener.connections === 50);
    expect(dump()).toMatch(/ handshake (127\.0\.0\.1:\d+) waiting: handshake \1, /);
    const start = now();
    await using client = await dialTls(listener.port, {}, deadline(4000));
    expect(client.secure).toBe(true);
    expect(now() - start).toBeLessThan(1000);
    for (const socket of silent) socket.reset();
    await pollUntil("they are gone", () => listener.connections === 1);
  });

  test("report handshakes that fail, with the peer's address, and serve on", async () => {
    const problems: { error: unknown; socket: Socket | undefined }[] = [];
    const onError = (error: unknown, socket?: Socket) => problems.push({ error, socket });
    let handled = 0;
    await using listener = await serveTls(() => void handled++, undefined, { onError });
    await using client = await connect({ host: "127.0.0.1", port: listener.port });
    const port = client.localPort!;
    await client.write("GET / HTTP/1.0\r\n\r\n");
    await pollUntil("it is reported", () => problems.length === 1);
    expect(problems[0]?.error).toMatchObject({
      name: "TlsError",
      code: "ERR_SSL_HTTP_REQUEST",
      syscall: "handshake",
      address: "127.0.0.1",
      port,
    });
    expect(problems[0]?.socket?.remotePort).toBe(port);
    expect(await failureOf(dialTls(listener.port, { ca: made.otherRoot }))).toMatchObject({
      name: "TlsError",
    });
    await pollUntil("the client's alert is reported", () => problems.length === 2);
    expect(problems[1]?.error).toMatchObject({ code: expect.stringMatching(/ALERT_UNKNOWN_CA$/) });
    expect(handled).toBe(0);
    expect(listener.connections).toBe(0);
    await (await dialTls(listener.port)).next();
    expect(handled).toBe(1);
  });

  test("can change certificates while they serve", async () => {
    await using listener = await serveTls(echo, presenting(made.p256));
    await using before = await dialTls(listener.port);
    await using during = await connect({ host: "127.0.0.1", port: listener.port });
    await pollUntil("it is accepted", () => listener.connections === 2);
    listener.setTls(presenting(made.rsa));
    expect(await subjectFor(listener.port, {})).toBe("rsa");
    await during.startTls({ ca: made.root });
    expect(during.tls?.certificate?.subject).toContain("p256");
    await before.write("x");
    expect(await before.next()).toEqual(new Uint8Array([120]));
    expect(() => listener.setTls({ cert: "/nowhere" })).toThrow();
    expect(() => listener.setTls({})).toThrow(/certificate/);
    expect(await subjectFor(listener.port, {})).toBe("rsa");
    await using plain = await listen({ host: "127.0.0.1", port: 0 });
    expect(() => plain.setTls(presenting(made.rsa))).toThrow(/without tls/);
  });

  describe("that ask for certificates", () => {
    type Outcome =
      | { verified?: boolean; verifyError?: string; subject?: string }
      | { code: string };

    /** The listener's view of a client with these options. */
    async function seen(server: TlsOptions, client: TlsOptions): Promise<Outcome> {
      const outcome = Promise.withResolvers<Outcome>();
      await using listener = await serveTls(
        async (socket) => {
          const { verified, verifyError, certificate } = socket.tls!;
          const subject = certificate?.subject.replace("CN=plait test ", "");
          outcome.resolve({ verified, verifyError, subject });
          await socket.write("welcome");
        },
        { ...presenting(made.p256), ca: made.root, ...server },
        { onError: (error) => outcome.resolve({ code: (error as { code: string }).code }) },
      );
      // With TLS 1.3 a client finds out by reading that it is refused.
      const text = await dialTls(listener.port, client)
        .then(
          (socket) => readText(socket).finally(() => socket.close()),
          () => "",
        )
        .catch(() => "");
      const result = await outcome.promise;
      expect(text).toBe("code" in result ? "" : "welcome");
      return result;
    }

    const none = { verified: false, verifyError: undefined, subject: undefined };
    const good = { verified: true, verifyError: undefined, subject: "client" };

    test.each(["TLSv1.2", "TLSv1.3"] as const)(
      "by request, and require them, with %s",
      async (v) => {
        const client = { ...presenting(made.client), maxVersion: v };
        const without = { maxVersion: v };
        const stranger = { ...presenting(made.strangeClient), maxVersion: v };
        const refused = { code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY" };
        expect(await seen({ clientAuth: "none" }, client)).toEqual(none);
        expect(await seen({ clientAuth: "request" }, client)).toEqual(good);
        expect(await seen({ clientAuth: "request" }, without)).toEqual(none);
        expect(await seen({ clientAuth: "request" }, stranger)).toEqual(refused);
        expect(await seen({ clientAuth: "require" }, client)).toEqual(good);
        expect(await seen({ clientAuth: "require" }, without)).toEqual({
          code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
        });
        expect(await seen({ clientAuth: "require" }, stranger)).toEqual(refused);
      },
    );

    test("check dates, purpose and revocation", async () => {
      const server = { clientAuth: "require" as const, crl: made.revocations };
      expect(await seen(server, presenting(made.client))).toEqual(good);
      expect(await seen(server, presenting(made.revokedClient))).toEqual({ code: "CERT_REVOKED" });
      const late = await seen(server, presenting(made.expiredClient));
      expect(late).toEqual({ code: "CERT_HAS_EXPIRED" });
      expect(await seen(server, presenting(made.named))).toEqual({ code: "INVALID_PURPOSE" });
    });

    test("accept what their options allow, and report its faults", async () => {
      const lax = { clientAuth: "require" as const, verifyIssuer: false };
      expect(await seen(lax, presenting(made.strangeClient))).toEqual({
        verified: false,
        verifyError: expect.stringMatching(/^UNABLE_TO/) as never,
        subject: "strangeClient",
      });
      const late = await seen(lax, presenting(made.expiredClient));
      expect(late).toEqual({ code: "CERT_HAS_EXPIRED" });
      const laxer = { clientAuth: "request" as const, verifyPeer: false };
      expect(await seen(laxer, presenting(made.expiredClient))).toEqual({
        verified: false,
        verifyError: "CERT_HAS_EXPIRED",
        subject: "expiredClient",
      });
      expect(await seen(laxer, {})).toEqual(none);
    });
  });

  test("close connections that were not accepted when they are closed", async () => {
    const { sockets } = stats();
    const listener = await serveTls();
    const callers = Array.from({ length: 3 }, () => spawn(() => listener.accept()));
    const target = { host: "127.0.0.1", port: listener.port };
    const clients = await Promise.all(callers.map(() => connect(target)));
    await pollUntil("all are accepted", () => listener.connections === 3);
    for (const caller of callers) caller.cancel();
    for (const client of clients) await client.startTls({ ca: made.root }, deadline(4000));
    await pollUntil("all handshakes have ended", () => !dump().includes("handshake"));
    expect(listener.connections).toBe(3);
    await listener.close();
    expect(listener.connections).toBe(0);
    for (const client of clients) {
      expect(await client.next(deadline(4000))).toBeNull();
      client.close();
    }
    await pollUntil("nothing is left", () => stats().sockets <= sockets);
  });

  test("close connections in their handshake when they are closed", async () => {
    const errors: unknown[] = [];
    const options = { onError: (error: unknown) => errors.push(error) };
    const { sockets } = stats();
    const listener = await serveTls(echo, undefined, options);
    await using silent = await connect({ host: "127.0.0.1", port: listener.port });
    await pollUntil("it is accepted", () => listener.connections === 1);
    await listener.close();
    expect(listener.connections).toBe(0);
    expect(await silent.next()).toBeNull();
    silent.close();
    await pollUntil("nothing is left", () => stats().sockets <= sockets);
    expect(errors).toEqual([]);
  });
});
