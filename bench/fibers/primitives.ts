// Times spawn and join, channels, a mutex and sleeps. The argument is the driver: attached or
// blocking. Prints one line of JSON. promises.mjs and primitives.go do the same work.

import { writeSync } from "node:fs";
import { block, Channel, Mutex, sleep, spawn } from "../../index.ts";
import {
  CONTENDERS,
  COUNT,
  FIBERS_TOGETHER,
  medianCpuNs,
  SLEEP_SAMPLES,
  sleepMs,
} from "./work.mjs";

async function empty(): Promise<void> {}

async function paused(): Promise<void> {
  await null;
}

async function spawnAndJoin(count: number, body: () => Promise<void>): Promise<void> {
  for (let started = 0; started < count; started += FIBERS_TOGETHER) {
    const fibers = Array.from({ length: FIBERS_TOGETHER }, () => spawn(body));
    for (const fiber of fibers) await fiber.join();
  }
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
  if (received !== count) throw new Error(`${received} of ${count} items`);
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
  if (locked !== count) throw new Error(`${locked} of ${count} locks`);
}

async function sleepAll(count: number): Promise<void> {
  const fibers = Array.from({ length: count }, (_, index) => spawn(() => sleep(sleepMs(index))));
  for (const fiber of fibers) await fiber.join();
}

async function main(): Promise<void> {
  const result = {
    spawnJoinNs: await medianCpuNs((count) => spawnAndJoin(count, empty), COUNT),
    pausedNs: await medianCpuNs((count) => spawnAndJoin(count, paused), COUNT),
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
