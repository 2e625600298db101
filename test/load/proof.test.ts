/** A load test against servers that fail in known ways: what it reports is what they did. */

import { describe, expect, test } from "bun:test";
import { deadline, listen, type Socket, sleep, sleepUntil } from "../../index.ts";
import { load } from "../../src/load/load.ts";
import { CertificateAuthority } from "../support/certificate_authority.ts";
import { loadTarget, okAnswer } from "../support/load_target.ts";
import { isSoak } from "../support/soak.ts";
import { TemporaryFolder } from "../support/temporary_folder.ts";

/** Answers as fast as it can, and stands still once for a second, with its whole thread, after so many requests. */
async function stallingTarget(stallAt: number) {
  let requests = 0;
  const listener = await listen({ host: "127.0.0.1", port: 0, onError() {} }, async (socket) => {
    const buffer = new Uint8Array(4096);
    while ((await socket.read(buffer)) > 0) {
      if (++requests === stallAt)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      await socket.write(okAnswer);
    }
  });
  return {
    url: `http://127.0.0.1:${listener.port}`,
    [Symbol.asyncDispose]: () => listener.close({ cancel: true }),
  };
}

describe("a server that stands still for a second, once", () => {
  const requests = isSoak ? 500_000 : 50_000;

  test("a closed loop hides it at p99.9, and shows it as the greatest time", async () => {
    await using target = await stallingTarget(requests / 2);
    const report = await load({ target: target.url, connections: 64, iterations: requests });
    const { ok } = report.latencies.response;
    expect(ok!.count).toBe(requests);
    expect(ok!.most).toBeGreaterThan(999);
    // At most one request of each connection waited for it.
    const slow = [...ok!.buckets()].filter(([nanoseconds]) => nanoseconds > 900e6);
    expect(slow.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(64);
    if (isSoak) expect(ok!.percentile(99.9)).toBeLessThan(500);
  }, 120_000);

  test("an open loop counts what was due while it stood", async () => {
    const [rate, seconds] = isSoak ? [20_000, 10] : [1000, 3];
    await using target = await stallingTarget(rate);
    const report = await load({
      ...{ target: target.url, connections: 64, rate, duration: `${seconds}s`, catchUp: true },
    });
    const response = report.latencies.response.ok!;
    expect(report.iterations).toMatchObject({ due: rate * seconds, unsent: 0, droppedLate: 0 });
    // Of all that were due, one of `seconds` was due while it stood, and waited for what was left of that second.
    for (const percent of [95, 99, 99.9]) {
      const expected = 1000 * (1 - ((100 - percent) / 100) * seconds);
      if (expected > 0) expect(response.percentile(percent)).toBeGreaterThan(expected * 0.95);
    }
    // How soon the rest is caught up is the machine's; the longest waits are arithmetic.
    if (isSoak) expect(response.percentile(99.9)).toBeLessThan(990 * 1.05);
    // The service times hide it, as those of a closed loop do.
    const { service } = report.latencies;
    expect(service.ok!.percentile(50)).toBeLessThan(response.percentile(99));
  }, 120_000);
});

describe("servers that fail", () => {
  test("one request in a hundred is reset, one in a thousand truncated: exactly these are counted", async () => {
    let [resets, truncated] = [0, 0];
    await using target = await loadTarget(({ number }) => {
      if (number % 1000 === 500) {
        truncated++;
        return { send: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut", end: "close" };
      }
      if (number % 100 !== 50) return okAnswer;
      resets++;
      return { end: "reset" };
    });
    const report = await load({ target: target.url, connections: 32, iterations: 20_000 });
    expect([resets, truncated]).toEqual([200, 20]);
    expect(report.iterations.outcomes).toEqual({
      ...{ ok: 20_000 - 220, reset: 200, "early close": 20 },
    });
    expect(target.requests).toBe(20_000);
  }, 60_000);

  test("one that accepts and never answers", async () => {
    await using target = await loadTarget(() => undefined);
    const report = await load({
      ...{ target: target.url, connections: 8, duration: 500, timeout: 100, gracePeriod: 200 },
    });
    const { sent, outcomes, unfinished } = report.iterations;
    expect(outcomes).toEqual({ timeout: sent });
    expect(unfinished).toBe(0);
    expect(report.latencies.response.timeout!.least).toBeGreaterThan(99.9);
  });

  test("one that answers a byte at a time", async () => {
    await using target = await loadTarget(async ({ socket }) => {
      for (const byte of Buffer.from(okAnswer)) {
        await socket.write(new Uint8Array([byte]));
        await sleep(5);
      }
      return new Uint8Array(0);
    });
    const whole = await load({ target: target.url, connections: 4, iterations: 8 });
    expect(whole.iterations.outcomes).toEqual({ ok: 8 });
    expect(whole.latencies.service.ok!.least).toBeGreaterThan(5 * (okAnswer.length - 1));
    const late = await load({ target: target.url, connections: 4, iterations: 8, timeout: 40 });
    expect(late.iterations.outcomes).toEqual({ timeout: 8 });
  });

  test("a certificate that expires while the run goes on", async () => {
    using folder = new TemporaryFolder();
    const authority = CertificateAuthority.root(folder.path, "root");
    const seconds = 4;
    const { chain, key } = authority.issue("server", {
      extensions: ["subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth"],
      from: -1,
      to: seconds / 86_400,
    });
    const expires = deadline(seconds * 1000);
    const answer = async (socket: Socket): Promise<void> => {
      const buffer = new Uint8Array(4096);
      while ((await socket.read(buffer)) > 0) await socket.write(okAnswer);
    };
    await using listener = await listen(
      { host: "127.0.0.1", port: 0, tls: { cert: chain, key }, onError() {} },
      answer,
    );
    const abort = new AbortController();
    const running = load({
      ...{ target: `https://127.0.0.1:${listener.port}`, connections: 2, duration: "30s" },
      ...{ keepAlive: false, resume: false, tls: { ca: authority.cert }, signal: abort.signal },
    });
    // The certificate's times are whole seconds.
    await sleepUntil(expires + 1500);
    abort.abort();
    const report = await running;
    const { ok, "tls CERT_HAS_EXPIRED": expired, ...others } = report.iterations.outcomes;
    expect(others).toEqual({});
    expect(ok).toBeGreaterThan(0);
    expect(expired).toBeGreaterThan(0);
    const failure = report.failures.find(({ outcome }) => outcome.startsWith("tls"));
    expect(failure!.example).toMatchObject({ code: "CERT_HAS_EXPIRED", phase: "handshake" });
    expect(report.verdict.exitCode).toBe(130);
    // Connection attempts that fail pause, so that they are few.
    expect(expired!).toBeLessThan(200);
  }, 30_000);
});
