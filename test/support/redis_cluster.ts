/** A cluster of three Redis servers, each with a third of the slots. */

import type { DriverCertificates } from "./driver_certificates.ts";
import { freePort } from "./free_port.ts";
import { installedProgram } from "./installed_program.ts";
import { pollUntil } from "./poll.ts";
import { type EncryptedRedis, startEncryptedRedis } from "./redis_server.ts";

const shares = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
] as const;

export class RedisCluster implements AsyncDisposable {
  readonly servers: readonly EncryptedRedis[];

  private constructor(servers: readonly EncryptedRedis[]) {
    this.servers = servers;
  }

  /**
   * Starts the servers, and waits until each of them says that the cluster is complete. Encrypted, they name
   * each other by their ports for TLS.
   */
  static async start(
    certificates: DriverCertificates,
    { isEncrypted }: { readonly isEncrypted: boolean },
  ): Promise<RedisCluster> {
    const encryption = isEncrypted ? "yes" : "no";
    const started = shares.map(async (share) => {
      // The port on which the servers speak to each other. Redis's own choice may be above 65,535.
      const bus = await freePort();
      const server = await startEncryptedRedis(certificates, {
        "cluster-enabled": "yes",
        "cluster-port": `${bus}`,
        "tls-cluster": encryption,
        // The servers check each other's certificates.
        "tls-ca-cert-file": certificates.ca,
      });
      cluster(server, "ADDSLOTSRANGE", ...share);
      return { server, bus };
    });
    const nodes = await Promise.all(started);
    const servers = nodes.map(({ server }) => server);
    for (const { server, bus } of nodes.slice(1)) {
      const port = isEncrypted ? server.tlsPort : server.port;
      cluster(servers[0]!, "MEET", "127.0.0.1", port, bus);
    }
    await pollUntil(
      "the cluster is complete",
      () => servers.every((server) => isComplete(server)),
      20_000,
    );
    return new RedisCluster(servers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
  }
}

function isComplete(server: EncryptedRedis): boolean {
  const state = cluster(server, "INFO");
  return state.includes("cluster_state:ok") && state.includes("cluster_known_nodes:3");
}

/** Gives a server a command of `CLUSTER`, and returns its answer. */
function cluster({ port }: EncryptedRedis, ...command: (string | number)[]): string {
  const argv = [installedProgram("redis-cli"), "-p", `${port}`, "CLUSTER", ...command.map(String)];
  const { exitCode, stdout, stderr } = Bun.spawnSync(argv);
  const answer = stdout.toString();
  if (exitCode !== 0 || answer.startsWith("ERR")) throw new Error(`${argv}: ${answer}${stderr}`);
  return answer;
}
