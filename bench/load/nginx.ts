// nginx with one worker, which serves a file of 1 KiB from memory, plain and over TLS.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "../../test/support/certificate_authority.ts";
import { freePort } from "../../test/support/free_port.ts";
import { pollUntil } from "../../test/support/poll.ts";

export interface BenchServer extends AsyncDisposable {
  readonly plain: string;
  readonly secure: string;
  /** The certificate to trust. */
  readonly ca: string;
}

/** @param core the core that it is bound to; undefined for any */
export async function startServer(core: number | undefined): Promise<BenchServer> {
  const folder = mkdtempSync(join(tmpdir(), "plait-bench-"));
  mkdirSync(join(folder, "www"));
  writeFileSync(join(folder, "www", "file"), "x".repeat(1024));
  const authority = CertificateAuthority.root(folder, "root");
  const { chain, key } = authority.issue("server", {
    extensions: ["subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth"],
  });
  const [plain, secure] = [await freePort(), await freePort()];
  const configuration = join(folder, "nginx.conf");
  writeFileSync(
    configuration,
    `daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log stderr;
    events { worker_connections 4096; }
    http {
      access_log off; sendfile off; keepalive_requests 1000000000; open_file_cache max=10;
      client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
      uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      server { listen 127.0.0.1:${plain}; root ${folder}/www; }
      server { listen 127.0.0.1:${secure} ssl; ssl_certificate ${chain}; ssl_certificate_key ${key}; root ${folder}/www; }
    }`,
  );
  const pinned = core === undefined ? [] : ["taskset", "-c", `${core}`];
  const program = Bun.spawn([...pinned, "nginx", "-p", folder, "-c", configuration], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    stdout: "ignore",
    stderr: "inherit",
  });
  const urls = {
    plain: `http://127.0.0.1:${plain}/file`,
    secure: `https://127.0.0.1:${secure}/file`,
  };
  await pollUntil("nginx answers", async () => {
    const answer = await fetch(urls.plain).catch(() => undefined);
    return answer?.status === 200;
  });
  return {
    ...urls,
    ca: authority.cert,
    async [Symbol.asyncDispose]() {
      program.kill();
      await program.exited;
      rmSync(folder, { recursive: true });
    },
  };
}
