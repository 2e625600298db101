// Measures the resident memory of sleeping fibers. The argument is the driver: attached or
// blocking. Prints one line of JSON.

import { writeSync } from "node:fs";
import { block, sleep, spawn } from "../../index.ts";
import { settledOwnBytes } from "./settled.ts";

const SLEEPERS = 100_000;
const WARMUP_SLEEPERS = 2_000;
const FOREVER_MS = 3_600_000;

async function sleepLong(): Promise<void> {
  await sleep(FOREVER_MS);
}

async function sleepShort(): Promise<void> {
  await sleep(1);
}

async function main(): Promise<void> {
  const fibers = Array.from({ length: WARMUP_SLEEPERS }, () => spawn(sleepShort));
  for (const fiber of fibers) await fiber.join();
  fibers.length = 0;
  const beforeBytes = await settledOwnBytes(sleep);
  // This program keeps no references to the fibers. What keeps them alive is part of their cost.
  for (let started = 0; started < SLEEPERS; started++) spawn(sleepLong);
  const bytes = await settledOwnBytes(sleep);
  const result = { sleepers: SLEEPERS, bytesEach: (bytes - beforeBytes) / SLEEPERS };
  writeSync(1, `${JSON.stringify(result)}\n`);
  // Otherwise the sleepers keep the program, and block() itself, alive for an hour.
  process.exit(0);
}

if (process.argv[2] === "blocking") block(main);
else await main();
