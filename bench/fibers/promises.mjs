// The work of primitives.ts with promises alone, for Bun and for Node, without deadlines, cancellation and
// names. A program that needs none of these is written like this. Prints one line of JSON.

import { writeSync } from "node:fs";
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

class Channel {
  #capacity;
  #items = [];
  #senders = [];
  #receivers = [];
  #isClosed = false;

  constructor(capacity) {
    this.#capacity = capacity;
  }

  send(item) {
    if (this.#isClosed) return Promise.reject(new Error("closed"));
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) receiver(item);
    else if (this.#items.length < this.#capacity) this.#items.push(item);
    else return new Promise((resolve) => this.#senders.push({ item, resolve }));
    return Promise.resolve();
  }

  receive() {
    const sender = this.#senders.shift();
    if (sender !== undefined) {
      this.#items.push(sender.item);
      sender.resolve();
    }
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    if (this.#isClosed) return Promise.resolve(null);
    return new Promise((resolve) => this.#receivers.push(resolve));
  }

  close() {
    this.#isClosed = true;
    for (const receiver of this.#receivers) receiver(null);
  }
}

class Mutex {
  #isLocked = false;
  #waiting = [];

  lock() {
    if (this.#isLocked) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#isLocked = true;
    return Promise.resolve();
  }

  unlock() {
    const next = this.#waiting.shift();
    if (next === undefined) this.#isLocked = false;
    else next();
  }
}

async function callAndAwait(count) {
  let ended = 0;
  for (let started = 0; started < count; started += FIBERS_TOGETHER) {
    const promises = Array.from({ length: FIBERS_TOGETHER }, () =>
      (async () => {
        ended++;
      })(),
    );
    for (const promise of promises) await promise;
  }
  check(ended, count);
}

async function callPauseAndAwait(count) {
  let ended = 0;
  for (let started = 0; started < count; started += FIBERS_TOGETHER) {
    const promises = Array.from({ length: FIBERS_TOGETHER }, () =>
      (async () => {
        await null;
        ended++;
      })(),
    );
    for (const promise of promises) await promise;
  }
  check(ended, count);
}

async function awaitAll(count) {
  let ended = 0;
  for (let started = 0; started < count; started += FIBERS_PER_SCOPE) {
    const promises = [];
    for (let fiber = 0; fiber < FIBERS_PER_SCOPE; fiber++) {
      const body = async () => {
        await null;
        ended++;
      };
      promises.push(body());
    }
    await Promise.all(promises);
  }
  check(ended, count);
}

async function transfer(count, capacity) {
  const channel = new Channel(capacity);
  const send = async () => {
    for (let item = 1; item <= count; item++) await channel.send(item);
    channel.close();
  };
  const sender = send();
  let received = 0;
  while ((await channel.receive()) !== null) received++;
  await sender;
  check(received, count);
}

async function handOver(count) {
  const mutex = new Mutex();
  let locked = 0;
  const contend = async () => {
    for (let round = 0; round < count / CONTENDERS; round++) {
      await mutex.lock();
      locked++;
      mutex.unlock();
    }
  };
  await Promise.all(Array.from({ length: CONTENDERS }, contend));
  check(locked, count);
}

async function sleepAll(count) {
  const sleep = async (milliseconds) => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  };
  const promises = Array.from({ length: count }, (_, index) => sleep(sleepMs(index)));
  for (const promise of promises) await promise;
}

const result = {
  spawnJoinNs: await medianCpuNs(callAndAwait, COUNT),
  pausedNs: await medianCpuNs(callPauseAndAwait, COUNT),
  scopeNs: await medianCpuNs(awaitAll, COUNT),
  rendezvousNs: await medianCpuNs((count) => transfer(count, 0), COUNT),
  bufferedNs: await medianCpuNs((count) => transfer(count, 100), COUNT),
  mutexNs: await medianCpuNs(handOver, COUNT),
  sleepNs: await medianCpuNs(sleepAll, COUNT, SLEEP_SAMPLES),
};
writeSync(1, `${JSON.stringify(result)}\n`);
process.exit(0);
