// Times spawn() and join() of an empty fiber. The argument is the driver: attached or blocking.
// Prints one line of JSON, in nanoseconds.

import { writeSync } from "node:fs";
import { block, spawn } from "../../index.ts";

const FIBERS_PER_SAMPLE = 200_000;
const WARMUP_SAMPLES = 3;
const SAMPLES = 9;
const FIBERS_TOGETHER = 1_000;

type Work = (count: number) => Promise<void>;

async function empty(): Promise<void> {}

async function oneAtATime(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await spawn(empty).join();
}

async function manyTogether(count: number): Promise<void> {
  for (let started = 0; started < count; started += FIBERS_TOGETHER) {
    const fibers = Array.from({ length: FIBERS_TOGETHER }, () => spawn(empty));
    for (const fiber of fibers) await fiber.join();
  }
}

/** The cost of the language alone: an async function that is called and awaited. */
async function bareCall(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await empty();
}

async function medianNs(work: Work): Promise<number> {
  const samplesNs: number[] = [];
  for (let sample = -WARMUP_SAMPLES; sample < SAMPLES; sample++) {
    const startNs = Bun.nanoseconds();
    await work(FIBERS_PER_SAMPLE);
    const eachNs = (Bun.nanoseconds() - startNs) / FIBERS_PER_SAMPLE;
    if (sample >= 0) samplesNs.push(eachNs);
  }
  samplesNs.sort((left, right) => left - right);
  return samplesNs[SAMPLES >> 1] ?? Number.NaN;
}

async function main(): Promise<void> {
  const result = {
    bareCallNs: await medianNs(bareCall),
    oneAtATimeNs: await medianNs(oneAtATime),
    manyTogetherNs: await medianNs(manyTogether),
  };
  writeSync(1, `${JSON.stringify(result)}\n`);
  process.exit(0);
}

if (process.argv[2] === "blocking") block(main);
else await main();
