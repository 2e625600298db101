// Times spawn and join, scopes, channels, a mutex and sleeps. The argument is the driver: attached or
// blocking. Prints one line of JSON. promises.mjs and primitives.go do the same work.

import { writeSync } from "node:fs";
import { block, Channel, Mutex, scope, sleep, spawn } from "../../index.ts";
import {
  CONTENDERS,
  COUNT,
  check,
  FIBERS_PER_SCOPE,
  FIBERS_TOGETHER,
  medianCpuNs,
  SLEEP_SAMPLES,
  sleepMs,
} from "./work.mjs";

// Each body is a closure of its own, as in most programs.
async function spawnAndJoin(count: number): Promise<void> {
  let ended = 0;
  for (let started = 0; started < count; started += FIBERS_TOGETHER) {
    const fibers = Array.from({ length: FIBERS_TOGETHER }, () =>
      spawn(async () => {
        ended++;
      }),
    );
    for (const fiber of fibers) await fiber.join();
  }
  check(ended, count);
}

async function spawnPauseAndJoin(count: number): Promise<void> {
  let ended = 0;
  for (let started = 0; started < count; started += FIBERS_TOGETHER) {
    const fibers = Array.from({ length: FIBERS_TOGETHER }, () =>
      spawn(async () => {
        await null;
        ended++;
      }),
    );
    for (const fiber of fibers) await fiber.join();
  }
  check(ended, count);
}

async function scopes(count: number): Promise<void> {
  let ended = 0;
  for (let started = 0; started < count; started += FIBERS_PER_SCOPE) {
    await scope(async (s) => {
      for (let fiber = 0; fiber < FIBERS_PER_SCOPE; fiber++) {
        s.spawn(async () => {
          await null;
          ended++;
        });
      }
    });
  }
  check(ended, count);
}

async function transfer(count: number, capacity: number): Promise<void> {
  const channel = new Channel<number>(capacity);
  const sender = spawn(async () => {
    for (let item = 1; item <= count; item++) await channel.send(item);
    channel.close();
  });
  let received = 0;
  while ((await channel.receive()) !== null) received++;
  await sender.join();
  check(received, count);
}

async function handOver(count: number): Promise<void> {
  const mutex = new Mutex();
  let locked = 0;
  const fibers = Array.from({ length: CONTENDERS }, () =>
    spawn(async () => {
      for (let round = 0; round < count / CONTENDERS; round++) {
        const lock = await mutex.lock();
        locked++;
        lock.unlock();
      }
    }),
  );
  for (const fiber of fibers) await fiber.join();
  check(locked, count);
}

async function sleepAll(count: number): Promise<void> {
  const fibers = Array.from({ length: count }, (_, index) => spawn(() => sleep(sleepMs(index))));
  for (const fiber of fibers) await fiber.join();
}

async function main(): Promise<void> {
  const result = {
    spawnJoinNs: await medianCpuNs(spawnAndJoin, COUNT),
    pausedNs: await medianCpuNs(spawnPauseAndJoin, COUNT),
    scopeNs: await medianCpuNs(scopes, COUNT),
    rendezvousNs: await medianCpuNs((count) => transfer(count, 0), COUNT),
    bufferedNs: await medianCpuNs((count) => transfer(count, 100), COUNT),
    mutexNs: await medianCpuNs(handOver, COUNT),
    sleepNs: await medianCpuNs(sleepAll, COUNT, SLEEP_SAMPLES),
  };
  writeSync(1, `${JSON.stringify(result)}\n`);
  process.exit(0);
}

if (process.argv[2] === "blocking") block(main);
else await main();
