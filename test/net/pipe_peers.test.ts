/** `pipe` between programs that know nothing of plait. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  connect,
  type Listener,
  listen,
  type PipedBytes,
  pipe,
  type TlsOptions,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { distinctBytes, hashOf } from "../support/distinct_bytes.ts";
import { freePort } from "../support/free_port.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { type Nginx, startNginx } from "../support/nginx.ts";
import { pollUntil } from "../support/poll.ts";
import { drain } from "../support/receiving.ts";
import { runCommand } from "../support/run_command.ts";
import { presenting } from "../support/tls_pair.ts";
import { opensslServer } from "../support/tls_servers.ts";

const mebibyte = 1024 * 1024;

interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** How its pipes have ended, in their order. */
  readonly outcomes: (PipedBytes | Error)[];
  /** The end of the next pipe. */
  ended(): Promise<PipedBytes | Error>;
}

/** A proxy to a port, which ends TLS, begins it, or both. */
async function startProxy(
  port: number,
  { front, behind }: { front?: boolean; behind?: boolean },
): Promise<Proxy> {
  const outcomes: (PipedBytes | Error)[] = [];
  let taken = 0;
  let wake: (() => void) | undefined;
  const tls: TlsOptions = { ca: certificates().root };
  const listener: Listener = await listen(
    { host: "127.0.0.1", port: 0, ...(front ? { tls: presenting(certificates().p256) } : {}) },
    async (client) => {
      await using server = await connect({ host: "127.0.0.1", port, ...(behind ? { tls } : {}) });
      outcomes.push(await pipe(client, server).catch((error: Error) => error));
      client.reset();
      server.reset();
      wake?.();
    },
  );
  return {
    port: listener.port,
    outcomes,
    async ended() {
      while (outcomes.length <= taken) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
      return outcomes[taken++]!;
    },
    [Symbol.asyncDispose]: () => listener.close({ cancel: "the test has ended" }),
  };
}

// OpenSSL's command takes seconds to make them.
beforeAll(() => void certificates(), 60_000);

const file = distinctBytes(24 * mebibyte);

describe.skipIf(!isInstalled("nginx") || !isInstalled("curl"))("curl through a proxy", () => {
  let plain: Nginx;
  let secure: Nginx;

  beforeAll(async () => {
    const { chain, key } = certificates().p256;
    plain = await startNginx({ file });
    secure = await startNginx({ file }, `ssl_certificate ${chain}; ssl_certificate_key ${key};`);
  }, 60_000);

  afterAll(async () => {
    await plain?.[Symbol.asyncDispose]();
    await secure?.[Symbol.asyncDispose]();
  });

  const curl = (port: number, isTls: boolean, ...options: string[]) => [
    ...[installedProgram("curl"), "--silent", "--show-error", "--cacert", certificates().root],
    ...[...options, `${isTls ? "https" : "http"}://localhost:${port}/file`],
  ];

  test.each([
    ["plain", false, false],
    ["TLS in front", true, false],
    ["TLS behind", false, true],
    ["TLS on both sides", true, true],
  ])(
    "nginx serves a file, byte for byte: %s",
    async (_, front, behind) => {
      await using proxy = await startProxy((behind ? secure : plain).port, { front, behind });
      const { stdout, stderr } = await runCommand(curl(proxy.port, front, "--ipv4"));
      expect([stderr, stdout.length, hashOf(stdout)]).toEqual(["", file.length, hashOf(file)]);
      const { back } = (await proxy.ended()) as PipedBytes;
      expect(back).toBeGreaterThan(file.length);
    },
    15_000,
  );

  test.each([
    ["plain", false],
    ["TLS in front", true],
  ])(
    "a curl that is killed fails the pipe: %s",
    async (_, front) => {
      await using proxy = await startProxy(plain.port, { front });
      const child = Bun.spawn(curl(proxy.port, front, "--ipv4", "--limit-rate", "1M"), {
        stdout: "pipe",
      });
      const reader = child.stdout.getReader();
      await reader.read();
      child.kill("SIGKILL");
      const outcome = await proxy.ended();
      expect(outcome).toMatchObject({ name: "PipeError", forth: expect.any(Number) });
      const { back } = outcome as unknown as PipedBytes;
      expect(back).toBeGreaterThan(0);
      expect(back).toBeLessThan(file.length);
      // The next one is served.
      const { stdout } = await runCommand(curl(proxy.port, front, "--ipv4"));
      expect(hashOf(stdout)).toBe(hashOf(file));
    },
    15_000,
  );
});

describe.skipIf(!isInstalled("openssl"))("OpenSSL's programs through a proxy", () => {
  const client = (port: number) => [
    ...[installedProgram("openssl"), "s_client", "-connect", `127.0.0.1:${port}`],
    ...["-quiet", "-CAfile", certificates().root, "-verify_return_error"],
  ];

  test("s_client to s_server, each over a TLS of its own", async () => {
    await using server = await opensslServer(certificates().p256, "-rev");
    await using proxy = await startProxy(server.port, { front: true, behind: true });
    const child = Bun.spawn(client(proxy.port), {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    child.stdin.write("straight\n");
    await child.stdin.flush();
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("thgiarts\n");
    child.kill("SIGKILL");
    await proxy.ended();
  });

  test("s_client to a plain server, byte for byte", async () => {
    const received = Promise.withResolvers<{ bytes: number; hash: string }>();
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      received.resolve(await drain(socket));
    });
    await using proxy = await startProxy(listener.port, { front: true });
    // Without this option it does not end its stream when its input ends.
    await runCommand([...client(proxy.port), "-no_ign_eof"], file);
    expect(await received.promise).toEqual({ bytes: file.length, hash: hashOf(file) });
  }, 15_000);

  test("an s_server that is killed fails the pipe", async () => {
    const { cert, chain, key } = certificates().p256;
    const port = await freePort();
    const command = [installedProgram("openssl"), "s_server", "-accept", `127.0.0.1:${port}`];
    const identity = ["-cert", cert, "-key", key, "-cert_chain", chain];
    const server = Bun.spawn([...command, "-quiet", ...identity], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
    });
    await using proxy = await startProxy(port, { behind: true });
    await pollUntil("s_server listens", async () => {
      await using probe = await connect({ host: "127.0.0.1", port }).catch(() => null);
      return probe !== null;
    });
    await using socket = await connect({ host: "127.0.0.1", port: proxy.port });
    const writing = socket.write(new Uint8Array(512 * mebibyte)).catch(() => {});
    await pollUntil("the pipe carries", () => socket.bytesWritten > 4 * mebibyte);
    server.kill("SIGKILL");
    expect(await proxy.ended()).toMatchObject({ name: "PipeError" });
    await writing;
  }, 15_000);
});
