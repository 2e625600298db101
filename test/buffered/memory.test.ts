/** The memory of readers that wait: a server has many of them. */

import { expect, test } from "bun:test";
import { BufferedReader, scope, stats } from "../../index.ts";
import { socketPair } from "../support/socket_pair.ts";

const readers = 300;

/** Bytes of all buffers of the program. */
function bufferBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().arrayBuffers;
}

async function until(isReached: () => boolean): Promise<void> {
  while (!isReached()) await new Promise(setImmediate);
}

test(`${readers} readers that wait hold what is unread, and no buffer without it`, async () => {
  const pairs = await Promise.all(Array.from({ length: readers }, socketPair));
  let lines = 0;
  await scope(async (all) => {
    for (const { client } of pairs) {
      const reader = new BufferedReader(client);
      all.spawn(async () => {
        for await (const _ of reader.lines()) lines++;
      });
    }
    const before = bufferBytes();
    const send = async (text: string): Promise<void> => {
      const end = stats().bytesReceived + readers * text.length;
      for (const { server } of pairs) await server.write(text);
      await until(() => stats().bytesReceived >= end);
    };
    // Two portions of 64 KiB serve all readers.
    const shared = 2 * 65_536;

    await send(`${"x".repeat(1000)}\n`);
    await until(() => lines === readers);
    expect(bufferBytes() - before).toBeLessThanOrEqual(shared);

    await send("the first part of a line");
    expect(bufferBytes() - before).toBeLessThan(shared + readers * 200);

    for (let time = 0; time < 100; time++) await send("y".repeat(100));
    // A buffer grows to twice its size.
    expect(bufferBytes() - before).toBeGreaterThan(readers * 10_000);
    expect(bufferBytes() - before).toBeLessThan(shared + readers * 21_000);

    await send("\n");
    await until(() => lines === 2 * readers);
    expect(bufferBytes() - before).toBeLessThanOrEqual(shared);

    // Most of it comes into a portion. The part behind it does not hold that.
    await send(`${"z".repeat(20_000)}\na part`);
    await until(() => lines === 3 * readers);
    expect(bufferBytes() - before).toBeLessThan(shared + readers * 200);
    await send("\n");
    for (const { server } of pairs) await server.shutdown();
  });
  for (const pair of pairs) await pair[Symbol.asyncDispose]();
}, 60_000);
