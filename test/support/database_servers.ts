/** The servers of the tests of drivers, on the loopback interface and in temporary folders. */

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import type { DriverCertificates } from "./driver_certificates.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { asUser, giveTo, runToEnd, ServerProcess } from "./server_process.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** The user of the databases, and the password. */
export const user = "tester";
export const password = "secret";

class Server extends ServerProcess {
  readonly port: number;
  /** The Unix socket. */
  readonly path: string;
  readonly #folder: TemporaryFolder;

  constructor(
    command: string[],
    port: number,
    path: string,
    folder: TemporaryFolder,
    isReady?: string[],
  ) {
    super(command, port, folder.file("log"), isReady);
    this.port = port;
    this.path = path;
    this.#folder = folder;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

export type { Server };

function serverFolder(): TemporaryFolder {
  const folder = new TemporaryFolder();
  chmodSync(folder.path, 0o755);
  return folder;
}

/** A PostgreSQL, which takes TLS and plain connections. */
export async function startPostgres(certificates: DriverCertificates): Promise<Server> {
  const folder = serverFolder();
  const port = await freePort();
  const data = folder.file("data");
  writeFileSync(folder.file("password"), password);
  const { cert, key } = certificates.copyTo(folder.path);
  giveTo("postgres", folder.path);
  const authentication = ["--auth-local=trust", "--auth-host=scram-sha-256"];
  const own = [...authentication, "-U", user, `--pwfile=${folder.file("password")}`, "-D", data];
  const initdb = [installedProgram("initdb"), "--no-sync", "--locale=C", "-E", "UTF8", ...own];
  runToEnd(asUser("postgres", initdb));
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder.path,
    ssl: "on",
    ssl_cert_file: cert,
    ssl_key_file: key,
    fsync: "off",
    max_connections: 150,
    shared_buffers: "16MB",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const command = [installedProgram("postgres"), "-D", data, ...options];
  const path = folder.file(`.s.PGSQL.${port}`);
  const isReady = [installedProgram("pg_isready"), "-q", "-h", "127.0.0.1", "-p", `${port}`];
  const server = new Server(asUser("postgres", command), port, path, folder, isReady);
  await server.start();
  return server;
}

/** A MariaDB, which takes TLS and plain connections. */
export async function startMariadb(certificates: DriverCertificates): Promise<Server> {
  const folder = serverFolder();
  const port = await freePort();
  const data = folder.file("data");
  const path = folder.file("socket");
  mkdirSync(data);
  const { cert, key } = certificates.copyTo(folder.path);
  const statements = folder.file("init.sql");
  writeFileSync(
    statements,
    [
      "CREATE DATABASE IF NOT EXISTS test;",
      `CREATE USER IF NOT EXISTS '${user}'@'%' IDENTIFIED BY '${password}';`,
      `CREATE USER IF NOT EXISTS 'encrypted'@'%' IDENTIFIED BY '${password}' REQUIRE SSL;`,
      `GRANT ALL ON *.* TO '${user}'@'%';`,
      "GRANT ALL ON test.* TO 'encrypted'@'%';",
    ].join("\n"),
  );
  giveTo("mysql", folder.path);
  const install = ["--no-defaults", `--datadir=${data}`, "--skip-test-db"];
  const root = "--auth-root-authentication-method=normal";
  runToEnd(asUser("mysql", [installedProgram("mariadb-install-db"), ...install, root]));
  const options = [
    "--no-defaults",
    `--datadir=${data}`,
    `--socket=${path}`,
    `--port=${port}`,
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    `--ssl-cert=${cert}`,
    `--ssl-key=${key}`,
    `--init-file=${statements}`,
    `--pid-file=${folder.file("pid")}`,
    "--max-connections=150",
    "--max-allowed-packet=128M",
    "--innodb-flush-log-at-trx-commit=0",
  ];
  const command = [installedProgram("mariadbd"), ...options];
  const server = new Server(asUser("mysql", command), port, path, folder);
  await server.start();
  return server;
}

export type RedisServer = Server & { readonly tlsPort: number };

/** A Redis, whose `tlsPort` takes TLS, with further settings of its own. */
export async function startRedis(
  certificates: DriverCertificates,
  further: Readonly<Record<string, string>> = {},
): Promise<RedisServer> {
  const folder = serverFolder();
  const [port, tlsPort] = await Promise.all([freePort(), freePort()]);
  const path = folder.file("socket");
  const { cert, key } = certificates.copyTo(folder.path);
  const settings = {
    port,
    "tls-port": tlsPort,
    "tls-cert-file": cert,
    "tls-key-file": key,
    "tls-ca-cert-file": cert,
    "tls-auth-clients": "no",
    bind: "127.0.0.1",
    unixsocket: path,
    save: "",
    dir: folder.path,
    ...further,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const command = [installedProgram("redis-server"), ...options];
  const server = Object.assign(new Server(command, port, path, folder), { tlsPort });
  await server.start();
  return server;
}

/** A NATS; with certificates it takes TLS alone. */
export async function startNats(certificates?: DriverCertificates): Promise<Server> {
  const folder = serverFolder();
  const port = await freePort();
  const configuration = folder.file("nats.conf");
  const issued = certificates?.copyTo(folder.path);
  const tls =
    issued === undefined ? "" : `tls { cert_file: "${issued.cert}", key_file: "${issued.key}" }`;
  writeFileSync(configuration, `listen: "127.0.0.1:${port}"\nmax_payload: 60MB\n${tls}\n`);
  const command = [installedProgram("nats-server"), "-c", configuration];
  const server = new Server(command, port, "", folder);
  await server.start();
  return server;
}
