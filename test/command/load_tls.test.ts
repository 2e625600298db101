/** TLS of `plait load`: what nginx's log says of versions, names, certificates and sessions; and openssl's server. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { certificates } from "../support/certificates.ts";
import { freePort } from "../support/free_port.ts";
import { installedProgram, isInstalled } from "../support/installed_program.ts";
import { exitOf, type LoadRun, loadReport, plaitLoad } from "../support/load_command.ts";
import { type LoggedRequest, LoggingNginx } from "../support/logging_nginx.ts";
import { RunningProgram } from "../support/running_program.ts";

setDefaultTimeout(30_000);

const hasOpenssl = isInstalled("openssl");
// To make them takes longer than a hook may.
const made = hasOpenssl ? certificates() : undefined;

describe.skipIf(!hasOpenssl || !isInstalled("nginx"))("nginx", () => {
  let nginx: LoggingNginx;
  let runs = 0;

  beforeAll(async () => {
    const { p256, root } = made!;
    nginx = await LoggingNginx.start(
      { file: "x".repeat(1024) },
      `ssl_certificate ${p256.chain}; ssl_certificate_key ${p256.key};
       ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:plait:1m;
       ssl_client_certificate ${root}; ssl_verify_client optional; ssl_verify_depth 3;`,
      `location = /guarded { if ($ssl_client_verify != SUCCESS) { return 403; } return 200 "in"; }`,
    );
  });
  afterAll(async () => await nginx[Symbol.asyncDispose]());

  async function reached(
    path: string,
    ...words: readonly string[]
  ): Promise<LoadRun & { log: LoggedRequest[] }> {
    const agent = `run ${runs++}`;
    const run = await loadReport([
      ...[`https://127.0.0.1:${nginx.port}${path}`, "-n", "12", "-c", "2"],
      ...["-H", `User-Agent: ${agent}`, ...words],
    ]);
    const { sent } = run.report.requests;
    const log = sent === 0 ? [] : await nginx.requests(sent, agent);
    return { ...run, log };
  }

  const trusted = (): string[] => ["--ca", made!.root];

  test.concurrent("certificates are checked unless --insecure says otherwise", async () => {
    const [other, insecure, ok] = await Promise.all([
      reached("/file", "--ca", made!.otherRoot),
      reached("/file", "--insecure"),
      reached("/file", ...trusted()),
    ]);
    expect(other.exitCode).toBe(3);
    expect(other.report.verdict.reasons[0]).toMatch(/handshake [A-Z_]*ISSUER_CERT/);
    for (const run of [insecure, ok]) {
      expect(exitOf(run)).toBe(0);
      expect(run.report.iterations.outcomes).toEqual({ ok: 12 });
      expect(run.report.latencies.handshake.count).toBe(2);
      expect(run.log[0]).toMatchObject({ protocol: "TLSv1.3", serverName: "", client: "" });
    }
  });

  test.concurrent("--sni is asked for and checked", async () => {
    const [good, bad] = await Promise.all([
      reached("/file", ...trusted(), "--sni", "good.example", "--tls-min", "1.3"),
      reached("/file", ...trusted(), "--sni", "bad.example"),
    ]);
    expect(good.log[0]).toMatchObject({
      ...{ serverName: "good.example", protocol: "TLSv1.3" },
      host: `127.0.0.1:${nginx.port}`,
    });
    expect(bad.exitCode).toBe(3);
    expect(bad.report.verdict.reasons[0]).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
  });

  test.concurrent("--cert and --key are the client's own", async () => {
    const { client, p256 } = made!;
    const own = ["--cert", client.chain, "--key", client.key];
    const [without, ours] = await Promise.all([
      reached("/guarded", ...trusted()),
      reached("/guarded", ...trusted(), ...own),
    ]);
    expect(without.report.iterations.outcomes).toEqual({ "status 4xx": 12 });
    expect(ours.report.iterations.outcomes).toEqual({ ok: 12 });
    expect(ours.log[0]!.client).toBe("CN=plait test client");
    const mixed = await plaitLoad([
      ...[`https://127.0.0.1:${nginx.port}/`, "--cert", client.chain, "--key", p256.key],
    ]);
    expect([mixed.exitCode, mixed.stdout]).toEqual([2, ""]);
    expect(mixed.stderr).toContain("key values mismatch");
    const missing = await plaitLoad([`https://127.0.0.1:${nginx.port}/`, "--ca", "none.pem"]);
    expect(missing.stderr).toBe("plait: open ENOENT (ca cannot be read) none.pem\n");
  });

  test.concurrent("each user resumes the session of its last connection, unless --no-resume says otherwise", async () => {
    const words = [...trusted(), "--no-keep-alive"];
    const [resumed, older, full] = await Promise.all([
      reached("/file", ...words),
      reached("/file", ...words, "--tls-max", "1.2"),
      reached("/file", ...words, "--no-resume"),
    ]);
    const sessions = (log: readonly LoggedRequest[]): string[] =>
      log.map(({ resumed }) => resumed).toSorted();
    const two = Array.from({ length: 12 }, (_, index) => (index < 2 ? "." : "r"));
    expect(sessions(resumed.log)).toEqual(two);
    expect(sessions(older.log)).toEqual(two);
    expect(sessions(full.log)).toEqual(two.map(() => "."));
    expect([older.log[0]!.protocol, full.log[0]!.protocol]).toEqual(["TLSv1.2", "TLSv1.3"]);
    for (const { report, log } of [resumed, older, full]) {
      expect(report.latencies.handshake.count).toBe(12);
      expect(new Set(log.map(({ connection }) => connection)).size).toBe(12);
    }
  });
});

test.skipIf(!hasOpenssl)(
  "openssl's server: bodies that end with the connection, and an expired certificate",
  async () => {
    const { p256, expired, root } = made!;
    const served = async (
      issued: typeof p256,
    ): Promise<{ server: RunningProgram; url: string }> => {
      const port = await freePort();
      const key = ["-cert", issued.cert, "-cert_chain", issued.chain, "-key", issued.key];
      const server = await RunningProgram.start(
        [installedProgram("openssl"), "s_server", "-accept", `127.0.0.1:${port}`, "-www", ...key],
        /ACCEPT/,
      );
      return { server, url: `https://127.0.0.1:${port}/` };
    };
    const good = await served(p256);
    await using _good = good.server;
    const bad = await served(expired);
    await using _bad = bad.server;
    // It serves one connection at a time.
    const words = ["-n", "5", "-c", "1", "--ca", root];
    const [closing, refused, unchecked] = [
      await loadReport([good.url, ...words]),
      await loadReport([bad.url, ...words]),
      await loadReport([bad.url, "-n", "5", "-c", "1", "--insecure"]),
    ];
    for (const run of [closing, unchecked]) {
      expect(exitOf(run)).toBe(0);
      expect(run.report.iterations.outcomes).toEqual({ ok: 5 });
      expect(run.report.latencies.connect.count).toBe(5);
    }
    expect(refused.exitCode).toBe(3);
    expect(refused.report.verdict.reasons[0]).toContain("CERT_HAS_EXPIRED");
  },
);
