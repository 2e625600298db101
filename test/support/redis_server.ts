/** Redis for tests, on the loopback interface. It keeps everything in memory. */

import type { DriverCertificates } from "./driver_certificates.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { ServerProcess, serverFolder, started } from "./server_process.ts";

export type RedisServer = ServerProcess;

/** A Redis with further settings of its own. */
export async function startRedis(
  further: Readonly<Record<string, string>> = {},
  at?: number,
): Promise<RedisServer> {
  const folder = serverFolder();
  const port = at ?? (await freePort());
  const path = folder.file("socket");
  const settings = {
    port,
    bind: "127.0.0.1",
    unixsocket: path,
    save: "",
    dir: folder.path,
    ...further,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const command = [installedProgram("redis-server"), ...options];
  return await started(new ServerProcess({ command, port, path, folder }));
}

export type EncryptedRedis = RedisServer & { readonly tlsPort: number };

/** A Redis whose `tlsPort` takes TLS. */
export async function startEncryptedRedis(
  { issued }: DriverCertificates,
  further: Readonly<Record<string, string>> = {},
): Promise<EncryptedRedis> {
  const tlsPort = await freePort();
  const server = await startRedis({
    "tls-port": `${tlsPort}`,
    "tls-cert-file": issued.cert,
    "tls-key-file": issued.key,
    "tls-ca-cert-file": issued.cert,
    "tls-auth-clients": "no",
    ...further,
  });
  return Object.assign(server, { tlsPort });
}
