/** Servers for the snippets of plait/drivers. They have the certificate of the page's folder. */

import { chmodSync, copyFileSync } from "node:fs";
import { resolve } from "node:path";
import * as databases from "./database_servers.ts";
import type { ServerCertificate } from "./driver_certificates.ts";
import { freePort } from "./free_port.ts";
import { installedProgram, isInstalled } from "./installed_program.ts";
import * as redis from "./redis_server.ts";
import { runToEnd, type ServerProcess } from "./server_process.ts";

/** The status with which a snippet ends whose server is not installed. */
export const skippedStatus = 75;

/** A user of the databases, as it stands in the documentation. */
export interface Account {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

const certificate: ServerCertificate = {
  copyTo(folder) {
    const copy = { cert: `${folder}/server.pem`, key: `${folder}/server.key` };
    copyFileSync("chain.pem", copy.cert);
    copyFileSync("key.pem", copy.key);
    chmodSync(copy.key, 0o600);
    return copy;
  },
};

const servers: ServerProcess[] = [];

/** Ends the servers that the snippet has started. */
export async function endServers(): Promise<void> {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
}

/** A PostgreSQL, which takes TLS and plain connections. */
export async function startPostgres(port: number, account: Account): Promise<void> {
  needs("postgres");
  const server = owned(await databases.startPostgres(certificate, port));
  const folder = server.path.slice(0, server.path.lastIndexOf("/"));
  for (const statement of [
    `CREATE ROLE ${account.user} LOGIN PASSWORD '${account.password}'`,
    `CREATE DATABASE ${account.database} OWNER ${account.user}`,
  ]) {
    const where = ["-h", folder, "-p", `${port}`, "-U", databases.user, "-d", "postgres"];
    runToEnd([installedProgram("psql"), ...where, "-c", statement]);
  }
}

/** A MariaDB, which takes TLS and plain connections. */
export async function startMysql(port: number, account: Account): Promise<void> {
  needs("mariadbd");
  const server = owned(await databases.startMariadb(certificate, port));
  const statements = [
    `CREATE DATABASE ${account.database}`,
    `CREATE USER '${account.user}'@'%' IDENTIFIED BY '${account.password}'`,
    `GRANT ALL ON ${account.database}.* TO '${account.user}'@'%'`,
  ];
  const where = ["--no-defaults", `--socket=${server.path}`, "--user=root"];
  runToEnd([installedProgram("mariadb"), ...where, "-e", statements.join("; ")]);
}

/** A NATS, which takes TLS alone. */
export async function startNats(port: number): Promise<void> {
  needs("nats-server");
  owned(await databases.startNats(certificate, port));
}

export interface RedisSettings {
  /** Whether the port takes TLS, and no plain connections. */
  readonly tls?: boolean;
  readonly password?: string;
}

/** A Redis. */
export async function startRedis(port: number, settings: RedisSettings = {}): Promise<void> {
  await ownRedis(port, settings, {});
}

/** A cluster of one Redis, which has all slots. */
export async function startRedisCluster(port: number, settings: RedisSettings = {}): Promise<void> {
  const server = await ownRedis(port, settings, {
    "cluster-enabled": "yes",
    "cluster-announce-ip": "127.0.0.1",
    "cluster-port": `${await freePort()}`,
    ...(settings.tls === true ? { "tls-cluster": "yes" } : {}),
  });
  const secret =
    settings.password === undefined ? [] : ["--no-auth-warning", "-a", settings.password];
  const command = [installedProgram("redis-cli"), "-p", `${server.port}`, ...secret];
  runToEnd([...command, "CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
}

async function ownRedis(
  port: number,
  { tls, password }: RedisSettings,
  further: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  needs("redis-server");
  const secret: Record<string, string> = password === undefined ? {} : { requirepass: password };
  if (tls !== true) return owned(await redis.startRedis({ ...secret, ...further }, port));
  const encryption = {
    "tls-port": `${port}`,
    "tls-cert-file": resolve("chain.pem"),
    "tls-key-file": resolve("key.pem"),
    "tls-ca-cert-file": resolve("ca.pem"),
    "tls-auth-clients": "no",
  };
  return owned(await redis.startRedis({ ...encryption, ...secret, ...further }));
}

function needs(program: string): void {
  if (!isInstalled(program)) process.exit(skippedStatus);
}

function owned<Server extends ServerProcess>(server: Server): Server {
  servers.push(server);
  return server;
}
