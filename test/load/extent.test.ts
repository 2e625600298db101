/** Long runs and many connections: memory and descriptors stay within bounds. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { load } from "../../src/load/load.ts";
import { isInstalled } from "../support/installed_program.ts";
import { startNginx } from "../support/nginx.ts";
import { isSoak } from "../support/soak.ts";

/** Memory from the kernel that this process has, in bytes. */
function residentBytes(): number {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const hasNginx = isInstalled("nginx");
if (!hasNginx) console.warn("skipped: long runs and many connections, without nginx");

test.skipIf(!hasNginx)(
  "the memory of a run does not grow with its requests",
  async () => {
    await using nginx = await startNginx({ file: "x".repeat(1024) });
    const [early, all] = isSoak ? [1_000_000, 10_000_000] : [100_000, 250_000];
    const samples: number[] = [];
    const report = await load({
      ...{ target: `http://127.0.0.1:${nginx.port}/file`, connections: 32, iterations: all },
      onProgress({ totals }) {
        const { sent } = totals.iterations;
        if (sent < early) return;
        Bun.gc(true);
        samples.push(residentBytes());
      },
    });
    expect(report.iterations.outcomes).toEqual({ ok: all });
    // Single samples differ by some megabytes.
    const atEarly = medianOf(samples.slice(0, 9));
    const atEnd = medianOf(samples.slice(-9));
    // A short run still compiles code and fills caches.
    const allowed = isSoak ? 5_000_000 : 48_000_000;
    expect(atEnd - atEarly).toBeLessThan(allowed);
  },
  900_000,
);

test.skipIf(!hasNginx)(
  "many connections, from several addresses",
  async () => {
    const connections = isSoak ? 10_000 : 1000;
    const files = { file: "x" };
    await using nginx = await startNginx(files);
    const options = {
      target: `http://127.0.0.1:${nginx.port}/file`,
      connections,
      iterations: 3 * connections,
      localAddresses: ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"],
      threads: 2,
    };
    const report = await load(options);
    expect(report.iterations.outcomes).toEqual({ ok: 3 * connections });
    expect(report.latencies.connect.count).toBe(connections);
    const error = await load({ ...options, connections: 900_000 }).catch(
      (thrown: unknown) => thrown,
    );
    expect(String(error)).toContain("raise it (ulimit -n)");
  },
  120_000,
);
