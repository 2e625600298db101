/** nginx for tests, on the loopback interface. */

import { writeFileSync } from "node:fs";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { ServerProcess, serverFolder, started } from "./server_process.ts";

export type Nginx = ServerProcess;

/**
 * An nginx which serves these files; over TLS with lines for `ssl_certificate` and so on, and with `more` lines
 * of its server's configuration. `http` are lines outside of the server, such as the format of a log.
 */
export async function startNginx(
  files: Readonly<Record<string, string | Uint8Array>>,
  ssl?: string,
  more = "",
  http = "",
): Promise<Nginx> {
  const folder = serverFolder();
  for (const [name, contents] of Object.entries(files)) {
    writeFileSync(folder.file(name), contents);
  }
  const port = await freePort();
  const configuration = folder.file("nginx.conf");
  writeFileSync(configuration, configurationFor(folder.path, port, ssl, more, http));
  const command = [installedProgram("nginx"), "-p", folder.path, "-c", configuration];
  return await started(new ServerProcess({ command, port, folder }));
}

function configurationFor(
  folder: string,
  port: number,
  ssl: string | undefined,
  more: string,
  http: string,
): string {
  return `
    daemon off;
    master_process off;
    error_log stderr;
    pid ${folder}/nginx.pid;
    events { worker_connections 12000; }
    http {
      access_log off;
      ${http}
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
        ${more}
      }
    }
  `;
}
