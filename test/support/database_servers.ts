/** PostgreSQL, MariaDB and NATS for the tests of drivers, on the loopback interface and in temporary folders. */

import { mkdirSync, writeFileSync } from "node:fs";
import type { ServerCertificate } from "./driver_certificates.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import {
  asUser,
  giveTo,
  runToEnd,
  ServerProcess,
  serverFolder,
  started,
} from "./server_process.ts";

/** The user of the databases, and the password. */
export const user = "tester";
export const password = "secret";

/** A PostgreSQL, which takes TLS and plain connections. */
export async function startPostgres(
  certificates: ServerCertificate,
  at?: number,
): Promise<ServerProcess> {
  const folder = serverFolder();
  const port = at ?? (await freePort());
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
  return await started(
    new ServerProcess({ command: asUser("postgres", command), port, path, folder, isReady }),
  );
}

/** A MariaDB, which takes TLS and plain connections. */
export async function startMariadb(
  certificates: ServerCertificate,
  at?: number,
): Promise<ServerProcess> {
  const folder = serverFolder();
  const port = at ?? (await freePort());
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
  return await started(
    new ServerProcess({ command: asUser("mysql", command), port, path, folder }),
  );
}

/** A NATS; with certificates it takes TLS alone. */
export async function startNats(
  certificates?: ServerCertificate,
  at?: number,
): Promise<ServerProcess> {
  const folder = serverFolder();
  const port = at ?? (await freePort());
  const configuration = folder.file("nats.conf");
  const issued = certificates?.copyTo(folder.path);
  const tls =
    issued === undefined ? "" : `tls { cert_file: "${issued.cert}", key_file: "${issued.key}" }`;
  writeFileSync(configuration, `listen: "127.0.0.1:${port}"\nmax_payload: 60MB\n${tls}\n`);
  const command = [installedProgram("nats-server"), "-c", configuration];
  return await started(new ServerProcess({ command, port, folder }));
}
