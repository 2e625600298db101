/**
 * The programs that the tests talk to or run. On a Debian machine this installs missing ones if it runs as root,
 * as in CI. Elsewhere the tests that need them are skipped, and say so.
 */

import { existsSync } from "node:fs";

/** Java's HdrHistogram, which is no program. */
export const javaHistogram = "/usr/share/java/hdrhistogram.jar";

const packages: Record<string, string> = {
  nc: "netcat-openbsd",
  socat: "socat",
  curl: "curl",
  nginx: "nginx-light",
  openssl: "openssl",
  "gnutls-cli": "gnutls-bin",
  ip: "iproute2",
  readelf: "binutils",
  "ld64.lld-19": "lld-19",
  "llvm-strip-19": "llvm-19",
  testssl: "testssl.sh",
  mariadbd: "mariadb-server",
  "redis-server": "redis-server",
  "nats-server": "nats-server",
  postgres: "postgresql",
  chromium: "chromium",
  java: "default-jre-headless",
  promtool: "prometheus",
  [javaHistogram]: "libhdrhistogram-java",
};

export const peerPrograms: readonly string[] = Object.keys(packages);

export function installPeers(): void {
  const missing = Object.keys(packages).filter((program) => findProgram(program) === null);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) {
    console.error(`plait: not installed, so tests are skipped: ${missing.join(", ")}`);
    return;
  }
  const wanted = missing.map((program) => packages[program] as string);
  console.error(`plait: installing ${wanted.join(", ")} for the tests`);
  // In this runlevel invoke-rc.d(8) starts no services: the tests start the servers themselves.
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const apt = (...argv: string[]): boolean => {
    const options = { env: environment, stdin: "ignore" } as const;
    const { exitCode, stderr } = Bun.spawnSync(["apt-get", "-y", "-qq", ...argv], options);
    if (exitCode !== 0) console.error(`plait: apt-get ${argv.join(" ")}: ${stderr}`);
    return exitCode === 0;
  };
  apt("update");
  const install = (names: string[]): boolean => apt("install", "--no-install-recommends", ...names);
  // One that this system does not have must not keep the others away.
  if (!install(wanted)) for (const name of wanted) install([name]);
}

/** Servers are in folders that are only in root's PATH. PostgreSQL has a folder for each version. */
function findProgram(program: string): string | null {
  if (program.startsWith("/")) return existsSync(program) ? program : null;
  const postgres = [...new Bun.Glob("/usr/lib/postgresql/*/bin").scanSync({ onlyFiles: false })];
  const folders = [process.env.PATH, "/usr/sbin", "/sbin", ...postgres];
  return Bun.which(program, { PATH: folders.join(":") });
}
