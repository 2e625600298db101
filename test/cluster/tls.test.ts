/** Clusters that serve TLS. */

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { sleep, spawn, TlsError } from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import type { ModuleData } from "../support/cluster_module.ts";
import { bound, Client, Subject } from "../support/cluster_subject.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { pollUntil } from "../support/poll.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";
import { dialTls, presenting } from "../support/tls_pair.ts";

setDefaultTimeout(bound);

describe.skipIf(!isInstalled("openssl"))("a cluster with TLS", () => {
  const made = isInstalled("openssl") ? certificates() : (undefined as never);

  async function subjectFor(port: number): Promise<string | undefined> {
    await using socket = await dialTls(port);
    return socket.tls?.certificate?.subject.replace("CN=plait test ", "");
  }

  test("is served by every worker, and renewed in all, also in those that start later", async () => {
    await using subject = await Subject.start({ tls: presenting(made.p256) });
    const { port } = subject.cluster;
    const first = await subjectFor(port);
    for (let count = 0; count < 20; count++) expect(await subjectFor(port)).toBe(first!);
    await subject.cluster.setTls(presenting(made.rsa));
    const second = await subjectFor(port);
    expect(second).not.toBe(first);
    for (let count = 0; count < 20; count++) expect(await subjectFor(port)).toBe(second!);

    await new Client(await dialTls(port)).askForTheEnd("exit");
    await pollUntil("it is restarted", () => subject.restarts.length === 1);
    for (let count = 0; count < 20; count++) expect(await subjectFor(port)).toBe(second!);

    expectMistake(
      await mistakeIn(() => subject.cluster.setTls({ onKeyLog: () => {} })),
      TypeError,
      /setTls.onKeyLog is a function/,
    );
    expect((await failureOf(subject.cluster.setTls({ cert: "/nowhere" }))).name).toBe("TlsError");
    expect(await subjectFor(port)).toBe(second!);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "resumes %s sessions in any worker",
    async (maxVersion) => {
      const named = { "a.wild.example": presenting(made.wildcard) };
      await using subject = await Subject.start({
        tls: { ...presenting(made.p256), sni: named },
      });
      let session: Uint8Array | undefined;
      const workers = new Map<string, number>();
      // With two workers the chance to meet only one is 2^-100.
      for (let attempt = 0; workers.size < 2 && attempt < 100; attempt++) {
        const tls = {
          ...{ maxVersion, session, onSession: (latest: Uint8Array) => (session = latest) },
          serverName: "a.wild.example",
        };
        const client = new Client(await dialTls(subject.cluster.port, tls));
        const worker = await client.ask("who");
        workers.set(worker, (workers.get(worker) ?? 0) + 1);
        const { resumed } = client.socket.tls!;
        expect([attempt, resumed]).toEqual([attempt, attempt > 0]);
        client.socket.close();
      }
      expect(workers.size).toBe(2);
    },
  );

  test("is renewed in a worker that starts meanwhile", async () => {
    using folder = new TemporaryFolder();
    const data: ModuleData = { gate: folder.file("gate") };
    await using subject = await Subject.start({ workers: 1, tls: presenting(made.p256), data });
    const { port } = subject.cluster;
    const first = await subjectFor(port);
    writeFileSync(data.gate!, "");
    await new Client(await dialTls(port)).askForTheEnd("exit");
    await pollUntil("it starts again", () => existsSync(`${data.gate}.reached`), bound / 2);
    await subject.cluster.setTls(presenting(made.rsa));
    rmSync(data.gate!);
    await pollUntil("it listens", () => subject.restarts.length === 1);
    // It was started with the old certificate, and gets the new one when it listens.
    await pollUntil("it is renewed", async () => (await subjectFor(port)) !== first);
    expect(await subjectFor(port)).toBe("rsa");
  });

  test("is not renewed by a cancelled fiber, not even in a worker that starts later", async () => {
    await using subject = await Subject.start({ workers: 1, tls: presenting(made.p256) });
    const { port } = subject.cluster;
    const first = await subjectFor(port);
    const fiber = spawn(async () => {
      await sleep(60_000).catch(() => undefined);
      return await failureOf(subject.cluster.setTls(presenting(made.rsa)));
    });
    fiber.cancel("no");
    expect(await fiber.join()).toMatchObject({ name: "CancelledError", cause: "no" });
    expect(await subjectFor(port)).toBe(first!);
    await new Client(await dialTls(port)).askForTheEnd("exit");
    await pollUntil("it is restarted", () => subject.restarts.length === 1);
    expect(await subjectFor(port)).toBe(first!);
  });

  test("reports a client's certificate that was refused, and shows it", async () => {
    const tls = { ...presenting(made.p256), clientAuth: "require", ca: made.root } as const;
    await using subject = await Subject.start({ workers: 1, tls });
    const { chain, key } = made.expiredClient;
    const socket = await dialTls(subject.cluster.port, { cert: chain, key }).catch(() => undefined);
    await socket?.next().catch(() => undefined);
    socket?.close();
    await pollUntil("it is reported", () => subject.errors.length > 0);
    const error = subject.errors[0]!.error as TlsError;
    expect(error).toBeInstanceOf(TlsError);
    expect(error.code).toBe("CERT_HAS_EXPIRED");
    expect(error.certificate?.subject).toContain("plait test");
    expect(Bun.inspect(error)).toContain("CERT_HAS_EXPIRED");
  });

  test("is renewed only if it was made with tls", async () => {
    await using plain = await Subject.start({ workers: 1 });
    const error = await failureOf(plain.cluster.setTls(presenting(made.rsa)));
    expect(error.message).toContain("without tls");
  });
});
