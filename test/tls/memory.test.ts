/** Memory does not grow with the number of handshakes, at either end. */

import { describe, expect, test } from "bun:test";
import { certificates } from "../support/certificates.ts";
import type { Tally } from "../support/handshake_clients.ts";
import type { Ports } from "../support/handshake_server.ts";
import { isInstalled } from "../support/installed_program.ts";
import { MeasuredProgram, type Memory } from "../support/measured_program.ts";
import { isSoak } from "../support/soak.ts";

/** Handshakes before the first measurement, and in total. */
const warmUp = 1000;
const total = isSoak ? 20_000 : 8000;

/** The server gets new options after so many handshakes. */
const renewEvery = 500;

/**
 * The tolerance: less than a byte of native memory for each handshake. On a busy machine code is
 * compiled late, and is not an object: 50 bytes of collected memory are less than any object of a
 * connection.
 */
const tolerance = { native: 8 * 1024, collected: 512 * 1024, objects: 300 };

/**
 * Bun's allocators keep memory for some time, and code is compiled. But a connection that is kept
 * has more than 20 KiB.
 */
const residentPerHandshake = 2048;

const bound = 150_000;

describe.skipIf(!isInstalled("openssl") || process.platform !== "linux")("TLS", () => {
  test(
    `memory after ${total} handshakes is what it was before`,
    async () => {
      // The programs find them by the environment.
      certificates();
      await using server = await MeasuredProgram.start("handshake_server.ts", bound);
      await using clients = await MeasuredProgram.start("handshake_clients.ts", bound);
      await clients.ask(`use ${JSON.stringify(await server.ask<Ports>("ports"))}`);
      let done = 0;

      async function run(until: number): Promise<{ server: Memory; clients: Memory }> {
        for (; done < until; done += renewEvery) {
          await clients.ask(`run ${renewEvery}`);
          await server.ask(`renew number-${done}`);
        }
        return { clients: await clients.ask("measure"), server: await server.ask("measure") };
      }

      const first = await run(warmUp);
      const middle = await run(total / 2);
      const last = await run(total);
      for (const side of ["clients", "server"] as const) {
        expect(last[side].native - first[side].native).toBeLessThan(tolerance.native);
        // The code of a program grows with its time, up to a limit.
        const growth = (what: keyof Memory) => last[side][what] - middle[side][what];
        expect(growth("collected")).toBeLessThan(tolerance.collected);
        expect(growth("objects")).toBeLessThan(tolerance.objects);
        expect(growth("resident")).toBeLessThan((residentPerHandshake * total) / 2);
      }
      const tally = await clients.ask<Tally>("tally");
      expect(tally.good + tally.failed).toBe(total);
      expect(tally.resumed).toBeGreaterThan(total / 5);
      expect(await server.ask<number>("failures")).toBeGreaterThan(total / 5);
    },
    bound,
  );
});
