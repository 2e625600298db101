/** A cluster of Redis on plait: the `Cluster` of `ioredis` against three servers. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Cluster, type Redis } from "ioredis";
import { type DriverOptions, ioredis } from "../../src/drivers/drivers.ts";
import { Socket } from "../../src/node/net.ts";
import { DriverCertificates } from "../support/driver_certificates.ts";
import { failureOf } from "../support/failure.ts";
import { isInstalled } from "../support/installed_program.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { RedisCluster } from "../support/redis_cluster.ts";

const programs = ["redis-server", "redis-cli", "openssl"];
const isReady = programs.every((program) => isInstalled(program));

describe.skipIf(!isReady).each([false, true])(
  "a cluster of Redis, encrypted: %p",
  (isEncrypted) => {
    let certificates: DriverCertificates;
    let servers: RedisCluster;

    beforeAll(async () => {
      certificates = new DriverCertificates();
      servers = await RedisCluster.start(certificates, { isEncrypted });
    }, 60_000);

    afterAll(async () => {
      await servers?.[Symbol.asyncDispose]();
      certificates?.[Symbol.dispose]();
    });

    const clusterOf = (own: object = {}): Cluster => {
      const options: DriverOptions = isEncrypted ? { tls: { ca: certificates.ca } } : {};
      const nodes = servers.servers.map(({ port, tlsPort }) => {
        return { host: "127.0.0.1", port: isEncrypted ? tlsPort : port };
      });
      return new Cluster(nodes, { redisOptions: ioredis(options), ...own });
    };

    const streamOf = (redis: Redis): Socket => (redis as unknown as { stream: Socket }).stream;

    test("keys are found on all nodes", async () => {
      const before = openDescriptors();
      const cluster = clusterOf();
      const keys = Array.from({ length: 100 }, (_, index) => `key ${index}`);
      await Promise.all(keys.map((key) => cluster.set(key, `value of ${key}`)));
      const values = await Promise.all(keys.map((key) => cluster.get(key)));
      expect(values).toEqual(keys.map((key) => `value of ${key}`));
      const nodes = cluster.nodes("master");
      expect(nodes.length).toBe(3);
      for (const node of nodes) {
        expect(streamOf(node)).toBeInstanceOf(Socket);
        expect(streamOf(node).encrypted).toBe(isEncrypted);
      }
      await cluster.quit();
      await pollUntil("the descriptors are closed", () => openDescriptors() <= before);
    });

    test("a subscriber of shards hears what is published", async () => {
      const cluster = clusterOf({ shardedSubscribers: true });
      const heard = new Promise((resolve) => {
        cluster.on("smessage", (channel: string, message: string) => resolve({ channel, message }));
      });
      await cluster.ssubscribe("news");
      await cluster.spublish("news", "something");
      expect(await heard).toEqual({ channel: "news", message: "something" });
      await cluster.quit();
    });

    test("a duplicate of a node subscribes", async () => {
      const cluster = clusterOf();
      await cluster.ping();
      const subscriber = cluster.nodes()[0]!.duplicate();
      const heard = new Promise((resolve) => {
        subscriber.on("message", (channel, message) => resolve({ channel, message }));
      });
      await subscriber.subscribe("news");
      expect(streamOf(subscriber).encrypted).toBe(isEncrypted);
      await cluster.publish("news", "something");
      expect(await heard).toEqual({ channel: "news", message: "something" });
      await Promise.all([cluster.quit(), subscriber.quit()]);
    });

    // `Cluster` makes this connection without the connector: it would send the password in plain text.
    if (isEncrypted) {
      test("the subscriber of the cluster itself is refused", async () => {
        const cluster = clusterOf();
        const error = await failureOf(cluster.subscribe("news"));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toContain("duplicate()");
        expect(await cluster.get("nothing")).toBeNull();
        await cluster.quit();
      });
    }

    test("a node that is lost is ioredis's error, and is used again when it is back", async () => {
      const cluster = clusterOf({ clusterRetryStrategy: () => 20, retryDelayOnFailover: 20 });
      cluster.on("error", () => undefined);
      const keys = Array.from({ length: 30 }, (_, index) => `key ${index}`);
      await Promise.all(keys.map((key) => cluster.set(key, key)));
      const lost = servers.servers[2]!;
      await lost.stop("SIGKILL");
      const answers = await Promise.allSettled(keys.map((key) => cluster.get(key)));
      const failures = answers.filter((answer) => answer.status === "rejected");
      expect(failures.length).toBeGreaterThan(0);
      for (const { reason } of failures) expect(reason).toBeInstanceOf(Error);
      expect(failures.length).toBeLessThan(keys.length);
      await lost.start();
      await pollUntil(
        "all nodes answer",
        async () => {
          const again = await Promise.allSettled(keys.map((key) => cluster.set(key, key)));
          return again.every(({ status }) => status === "fulfilled");
        },
        20_000,
      );
      await cluster.quit();
    }, 60_000);
  },
);
