import { chmodSync, writeFileSync } from "node:fs";
import { connect } from "../../index.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { pollUntil } from "./poll.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

export interface Nginx extends AsyncDisposable {
  readonly port: number;
}

/**
 * Runs an nginx on the loopback interface, which serves these files; over TLS with lines for
 * `ssl_certificate` and so on.
 */
export async function startNginx(
  files: Record<string, string | Uint8Array>,
  ssl?: string,
): Promise<Nginx> {
  const folder = new TemporaryFolder();
  // Its workers may run as another user.
  chmodSync(folder.path, 0o755);
  for (const [name, contents] of Object.entries(files)) {
    writeFileSync(folder.file(name), contents);
  }
  const port = await freePort();
  const configuration = folder.file("nginx.conf");
  writeFileSync(configuration, configurationFor(folder.path, port, ssl));
  const command = [installedProgram("nginx"), "-p", folder.path, "-c", configuration];
  const child = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
  const stop = async () => {
    child.kill();
    await child.exited;
    folder[Symbol.dispose]();
  };
  try {
    await pollUntil("nginx listens", async () => {
      if (child.exitCode !== null) throw new Error(await new Response(child.stderr).text());
      try {
        await using _probe = await connect({ host: "127.0.0.1", port });
        return true;
      } catch {
        return false;
      }
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, [Symbol.asyncDispose]: stop };
}

function configurationFor(folder: string, port: number, ssl: string | undefined): string {
  return `
    daemon off;
    master_process off;
    error_log stderr;
    pid ${folder}/nginx.pid;
    events { worker_connections 512; }
    http {
      access_log off;
      client_body_temp_path ${folder}/body;
      proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      server {
        listen 127.0.0.1:${port} ${ssl === undefined ? "" : "ssl"} backlog=512;
        ${ssl ?? ""}
        root ${folder};
        keepalive_requests 100000;
      }
    }
  `;
}
