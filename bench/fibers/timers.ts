// The same as sleepers.ts with bare async functions that await Bun.sleep, for comparison.

import { writeSync } from "node:fs";
import { settledOwnBytes } from "./settled.ts";

const SLEEPERS = 100_000;
const WARMUP_SLEEPERS = 2_000;
const FOREVER_MS = 3_600_000;

async function sleepFor(milliseconds: number): Promise<void> {
  await Bun.sleep(milliseconds);
}

await Promise.all(Array.from({ length: WARMUP_SLEEPERS }, () => sleepFor(1)));
const beforeBytes = await settledOwnBytes(Bun.sleep);
for (let started = 0; started < SLEEPERS; started++) void sleepFor(FOREVER_MS);
const bytes = await settledOwnBytes(Bun.sleep);
const result = { sleepers: SLEEPERS, bytesEach: (bytes - beforeBytes) / SLEEPERS };
writeSync(1, `${JSON.stringify(result)}\n`);
process.exit(0);
