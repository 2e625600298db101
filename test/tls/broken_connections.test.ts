/** Clients that are silent, slow or broken, and connections that end where they must not. */

import { describe, expect, test } from "bun:test";
import {
  connect,
  deadline,
  type Listener,
  listen,
  now,
  type Socket,
  sleep,
  stats,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { readExactly, readText } from "../support/receiving.ts";
import { clientHello, dialTls, echo, presenting, serveTls } from "../support/tls_pair.ts";

interface Problem {
  readonly name?: string;
  readonly code?: string;
  readonly port?: number;
}

describe.skipIf(!isInstalled("openssl"))("TLS on bad connections", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  /** An echo listener, and the errors that it reports. */
  async function observed(handshakeTimeout: number) {
    const problems: Problem[] = [];
    const tls = { ...presenting(made.p256), handshakeTimeout };
    const onError = (error: unknown) => problems.push(error as Problem);
    const listener = await serveTls(echo, tls, { onError });
    return { listener, problems, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
  }

  function dialPlain(listener: Listener): Promise<Socket> {
    return connect({ host: "127.0.0.1", port: listener.port });
  }

  async function expectService(listener: Listener): Promise<void> {
    await using client = await dialTls(listener.port, {}, deadline(2000));
    await client.write("alive");
    expect(new TextDecoder().decode(await readExactly(client, 5))).toBe("alive");
  }

  test("a client that sends nothing takes a waiter until its time is up", async () => {
    await using server = await observed(200);
    const { listener, problems } = server;
    const { waiters } = stats();
    const start = now();
    const silent = await Promise.all(Array.from({ length: 20 }, () => dialPlain(listener)));
    await pollUntil("all are accepted", () => listener.connections === 20);
    expect(stats().waiters - waiters).toBe(20);
    await expectService(listener);
    expect(problems).toEqual([]);
    await pollUntil("all are reported", () => problems.length === 20);
    expect(now() - start).toBeGreaterThanOrEqual(199);
    for (const [index, problem] of problems.entries()) {
      expect(problem).toMatchObject({ name: "TimeoutError", syscall: "handshake" });
      expect(silent.map((socket) => socket.localPort)).toContain(problems[index]!.port);
    }
    expect(listener.connections).toBe(0);
    for (const socket of silent) {
      expect(await socket.next()).toBeNull();
      socket.close();
    }
  });

  test("a client that sends a byte at a time has no more time", async () => {
    await using server = await observed(250);
    const { listener, problems } = server;
    const hello = await clientHello();
    await using slow = await dialPlain(listener);
    const start = now();
    for (let index = 0; problems.length === 0 && index < 100; index++) {
      await slow.write(hello.subarray(index, index + 1)).catch(() => {});
      await sleep(20);
    }
    expect(problems).toMatchObject([{ name: "TimeoutError", code: "ETIMEDOUT" }]);
    expect(now() - start).toBeLessThan(1500);
    await expectService(listener);
  });

  test("a slow client with enough time is served", async () => {
    await using server = await observed(0);
    const { listener, problems } = server;
    await using relay = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await using target = await dialPlain(listener);
      const pass = async (from: Socket, to: Socket) => {
        for await (const chunk of from) {
          for (let start = 0; start < chunk.byteLength; start += 100) {
            await to.write(chunk.subarray(start, start + 100));
            await sleep(0);
          }
        }
        await to.shutdown();
      };
      await Promise.all([pass(socket, target), pass(target, socket)]);
    });
    await using client = await dialTls(relay.port, {}, deadline(4000));
    await client.write("through thick and thin");
    await client.shutdown();
    expect(await readText(client)).toBe("through thick and thin");
    expect(problems).toEqual([]);
  });

  test("garbage is an error of that connection alone", async () => {
    await using server = await observed(10_000);
    const { listener, problems } = server;
    const hello = await clientHello();
    const flipped = hello.slice();
    flipped[9]! ^= 0xff;
    const long = new Uint8Array([22, 3, 1, 0xff, 0xff, ...hello.subarray(5)]);
    const garbage = [
      new TextEncoder().encode("SSH-2.0-OpenSSH_9.2p1\r\n"),
      new Uint8Array(1000),
      new Uint8Array(1000).fill(0xff),
      crypto.getRandomValues(new Uint8Array(5000)),
      flipped,
      long,
      new Uint8Array([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
    ];
    for (const bytes of garbage) {
      const before = problems.length;
      await using client = await dialPlain(listener);
      await client.write(bytes);
      await client.shutdown();
      await client.next().catch(() => {});
      await pollUntil("it is reported", () => problems.length > before);
      expect(problems.at(-1)?.name).toMatch(/^(TlsError|SocketError)$/);
    }
    await expectService(listener);
    expect(listener.connections).toBeLessThanOrEqual(1);
  });

  test("a client that hangs up during its handshake is reported", async () => {
    await using server = await observed(10_000);
    const { listener, problems } = server;
    const hello = await clientHello();
    for (const length of [0, 1, 5, 100, hello.byteLength]) {
      const before = problems.length;
      const client = await dialPlain(listener);
      if (length > 0) await client.write(hello.subarray(0, length));
      await client.shutdown();
      await client.next().catch(() => {});
      client.close();
      await pollUntil("it is reported", () => problems.length > before);
      expect(["ERR_TLS_TRUNCATED", "ECONNRESET", "EPIPE"]).toContain(problems.at(-1)!.code!);
    }
    for (const bytes of [hello.subarray(0, 50), hello]) {
      const before = problems.length;
      const client = await dialPlain(listener);
      await client.write(bytes);
      await sleep(10);
      client.reset();
      await pollUntil("it is reported", () => problems.length > before);
      expect(["ECONNRESET", "EPIPE"]).toContain(problems.at(-1)!.code!);
    }
    await expectService(listener);
  });

  /** A relay to a listener, which can cut its connections. */
  async function cuttingRelay(listener: Listener) {
    const ends: Socket[] = [];
    const relay = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await using target = await dialPlain(listener);
      ends.push(socket, target);
      const pass = async (from: Socket, to: Socket) => {
        for await (const chunk of from) await to.write(chunk);
      };
      await Promise.all([pass(socket, target), pass(target, socket)]).catch(() => {});
    });
    return {
      port: relay.port,
      cut: () => Promise.all(ends.map((socket) => socket.shutdown())),
      [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
    };
  }

  test("an end without close_notify is an error of every read", async () => {
    const problems: Problem[] = [];
    const onError = (error: unknown) => problems.push(error as Problem);
    await using listener = await serveTls(echo, presenting(made.p256), { onError });
    await using relay = await cuttingRelay(listener);
    await using client = await dialTls(relay.port);
    await client.write("before the cut");
    expect(new TextDecoder().decode(await readExactly(client, 14))).toBe("before the cut");
    const reading = failureOf(client.next());
    await relay.cut();
    const truncated = { name: "TlsError", code: "ERR_TLS_TRUNCATED", syscall: "read" };
    expect(await reading).toMatchObject(truncated);
    expect(await failureOf(client.read(new Uint8Array(5)))).toMatchObject(truncated);
    expect(await failureOf(client.next())).toMatchObject(truncated);
    expect(client.eof).toBe(false);
    await pollUntil("the other end has noticed", () => problems.length === 1);
    expect(problems[0]).toMatchObject(truncated);
  });

  test("bytes that were changed on their way are an error", async () => {
    const problems: Problem[] = [];
    const onError = (error: unknown) => problems.push(error as Problem);
    await using listener = await serveTls(echo, presenting(made.p256), { onError });
    let isEvil = false;
    await using relay = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await using target = await dialPlain(listener);
      const pass = async (from: Socket, to: Socket) => {
        for await (const chunk of from) {
          if (isEvil) chunk[chunk.length - 1]! ^= 1;
          await to.write(chunk);
        }
      };
      await Promise.race([pass(socket, target), pass(target, socket)]).catch(() => {});
    });
    await using client = await dialTls(relay.port);
    await client.write("well");
    await readExactly(client, 4);
    isEvil = true;
    await client.write("ill");
    await pollUntil("it is reported", () => problems.length === 1);
    expect(problems[0]).toMatchObject({
      name: "TlsError",
      code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    });
    expect(await failureOf(client.next())).toMatchObject({ name: "TlsError" });
  });

  test("every call that waits when the connection breaks fails with the reason", async () => {
    await using listener = await serveTls((socket) => socket.next().then(() => sleep(5000)));
    let isEvil = false;
    await using relay = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      await using target = await dialPlain(listener);
      const answering = (async () => {
        for await (const chunk of target) await socket.write(chunk);
      })();
      for await (const chunk of socket) {
        if (isEvil) break;
        await target.write(chunk);
      }
      // The peer reads no more from here on, so that the client's writer has to wait.
      await socket.write("this is no record");
      await answering;
    });
    await using client = await dialTls(relay.port);
    isEvil = true;
    const calls = [
      client.write(new Uint8Array(32 * 1024 * 1024)),
      client.write("behind it"),
      client.shutdown(),
      client.next(),
    ];
    const errors = await Promise.all(calls.map((call) => failureOf(call)));
    const same = { name: "TlsError", code: "ERR_SSL_BAD_RECORD_TYPE", port: relay.port };
    expect(errors).toMatchObject([
      { ...same, syscall: "write" },
      { ...same, syscall: "write", bytesWritten: 0 },
      { ...same, syscall: "shutdown", address: "127.0.0.1" },
      { ...same, syscall: "read" },
    ]);
  });

  test("STARTTLS works over Unix sockets and over a foreign descriptor", async () => {
    const path = `\0plait-tls-${process.pid}`;
    await using listener = await listen({ path }, async (socket) => {
      await socket.startTls(presenting(made.p256));
      await echo(socket);
    });
    expect(listener.address).toBe(path);
    await using client = await connect({ path, tls: { ca: made.root, serverName: "localhost" } });
    await client.write("local");
    expect(new TextDecoder().decode(await readExactly(client, 5))).toBe("local");
  });

  test("a thousand handshakes leave neither sockets nor waiters behind", async () => {
    const { sockets, waiters, fibers } = stats();
    {
      await using listener = await serveTls(echo);
      const target = { host: "127.0.0.1", port: listener.port };
      for (let round = 0; round < 10; round++) {
        await Promise.all(
          Array.from({ length: 100 }, async (_, index) => {
            if (index % 10 === 0) return (await connect(target)).reset();
            await using client = await dialTls(listener.port);
            await client.write("x");
            await client.next();
          }),
        );
      }
    }
    await pollUntil("all is over", () => stats().sockets <= sockets && stats().fibers <= fibers);
    expect(stats().waiters).toBeLessThanOrEqual(waiters + 1);
  }, 20_000);
});
