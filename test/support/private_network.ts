/**
 * Programs in a private network: a loopback interface, and a cable to nowhere whose addresses are
 * silent. Nothing leaves it. It has its own hosts file and address of a name server. Linux only,
 * and only where namespaces can be made.
 */

import { writeFileSync } from "node:fs";
import { type ProgramOptions, type ProgramResult, runProgram } from "./programs.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** Addresses that drop all that is sent to them; others of these networks have no route. */
export const silentIpv6 = "2001:db8::2";
export const silentIpv4 = "192.0.2.2";

/** An address of this machine that belongs to one interface. */
export const zonedIpv6 = "fe80::2%plait0";
const zoned = "fe80::2/64";

// The frames reach the other end of the cable, which has another hardware address, and are dropped.
const setUp = `
  set -e
  ip link set lo up
  ip link add plait0 type veth peer name plait1
  ip link set plait1 up
  ip link set plait0 up
  ip addr add 2001:db8::1/64 dev plait0 nodad
  ip addr add ${zoned} dev plait0 nodad
  ip addr add 192.0.2.1/24 dev plait0
  ip neigh add ${silentIpv6} lladdr 02:00:00:00:00:02 dev plait0
  ip neigh add ${silentIpv4} lladdr 02:00:00:00:00:02 dev plait0
  mount --bind "$1/hosts" /etc/hosts
  mount --bind "$1/resolv.conf" /etc/resolv.conf
  mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
  shift
  exec "$@"
`;

function within(folder: string): string[] {
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  return ["unshare", ...asRoot, "--mount", "--net", "sh", "-c", setUp, "sh", folder];
}

function writeFiles(folder: TemporaryFolder, hosts: string): void {
  writeFileSync(folder.file("hosts"), hosts);
  writeFileSync(folder.file("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
  writeFileSync(folder.file("nsswitch.conf"), "hosts: files dns\n");
}

/** Whether such a network can be made; if not, the reason was printed. */
export const hasPrivateNetworks = ((): boolean => {
  if (process.platform !== "linux") {
    console.warn("skipped: private networks are made of Linux's namespaces");
    return false;
  }
  if (Bun.which("unshare") === null || Bun.which("ip") === null) {
    console.warn("skipped: private networks, for unshare (util-linux) or ip (iproute2) is missing");
    return false;
  }
  using folder = new TemporaryFolder();
  writeFiles(folder, "");
  const { exitCode, stderr } = Bun.spawnSync([...within(folder.path), "true"], { stdin: "ignore" });
  if (exitCode === 0) return true;
  console.warn(`skipped: no private network can be made: ${stderr.toString().trim()}`);
  return false;
})();

/** Runs a program to its end in such a network, with these lines in its hosts file. */
export async function runInPrivateNetwork(
  hosts: readonly string[],
  source: string,
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  using folder = new TemporaryFolder();
  writeFiles(folder, ["127.0.0.1 localhost", ...hosts, ""].join("\n"));
  return await runProgram(source, { ...options, within: within(folder.path) });
}
