/**
 * AsyncLocalStorage in each kind of wait: it follows the code that waits, and reaches no other
 * code.
 */

import { describe, expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  connect,
  current,
  deadline,
  listen,
  now,
  park,
  sleep,
  spawn,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { waitKinds } from "../support/waits.ts";

const storage = new AsyncLocalStorage<string>();

test("the context survives every kind of wait, by success and by failure", async () => {
  const stores: (string | undefined)[] = [];
  const expected: string[] = [];
  for (const { name, prepare, failsByDeadline } of waitKinds) {
    if (!failsByDeadline) continue;
    await using situation = await prepare();
    const body = async (): Promise<void> => {
      await failureOf(situation.wait(deadline(1)));
      stores.push(storage.getStore());
    };
    await spawn(() => storage.run(name, body)).join();
    expected.push(name);
  }
  const succeeding: Record<string, () => Promise<unknown>> = {
    sleep: () => sleep(1),
    yieldNow: () => yieldNow(),
    join: () => spawn(() => sleep(1)).join(),
  };
  for (const [name, wait] of Object.entries(succeeding)) {
    await storage.run(name, async () => {
      await wait();
      stores.push(storage.getStore());
    });
    expected.push(name);
  }
  expect(stores).toEqual(expected);
});

test("a fiber has the context of the code that spawned it, not of the code that wakes it", async () => {
  const fiber = storage.run("spawner", () =>
    spawn(async () => {
      await park();
      return storage.getStore();
    }),
  );
  storage.run("waker", () => unpark(fiber));
  expect(await fiber.join()).toBe("spawner");
  expect(storage.getStore()).toBeUndefined();
});

describe("a handler", () => {
  /** Lets turns begin inside a fiber, whose context they must not pass on. */
  async function keepBusy(name: string, until: number): Promise<void> {
    await storage.run(name, async () => {
      while (now() < until) {
        await Bun.sleep(0);
        for (let count = 0; count < 10; count++) await yieldNow();
      }
    });
  }

  test("does not see the context of an unrelated fiber", async () => {
    const stores: (string | undefined)[] = [];
    await using listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      stores.push(storage.getStore());
      await socket.write("done");
      stores.push(storage.getStore());
    });
    const until = now() + 100;
    const busy = ["first", "second"].map((name) => spawn(() => keepBusy(name, until)));
    for (let count = 0; count < 30; count++) {
      await using client = await connect({ host: "127.0.0.1", port: listener.port! });
      await readExactly(client, 4);
      await Bun.sleep(0);
    }
    await Promise.all(busy.map((fiber) => fiber.join()));
    expect(stores).toEqual(Array(60).fill(undefined));
  });

  test("runs in a fiber of its own, and onError runs in no unrelated fiber", async () => {
    const fibers = new Set<number | undefined>();
    const reported: (number | undefined)[] = [];
    const onError = (): void => void reported.push(current()?.id);
    const options = { host: "127.0.0.1", port: 0, onError };
    await using listener = await listen(options, async () => {
      fibers.add(current()?.id);
      throw new Error("reported");
    });
    const until = now() + 50;
    const busy = spawn(() => keepBusy("busy", until));
    for (let count = 0; count < 10; count++) {
      await using client = await connect({ host: "127.0.0.1", port: listener.port! });
      expect(await client.next()).toBeNull();
    }
    await busy.join();
    expect(fibers.size).toBe(10);
    expect(fibers).not.toContain(busy.id);
    expect(reported).toEqual(Array(10).fill(undefined));
  });
});

test("fibers that share a wait each keep their context", async () => {
  await using pair = await socketPair();
  const readers = ["a", "b", "c"].map((name) =>
    storage.run(name, () =>
      spawn(
        async () => {
          await pair.client.read(new Uint8Array(1));
          return [storage.getStore(), current()?.name];
        },
        { name },
      ),
    ),
  );
  await pair.server.write("123");
  for (const reader of readers) expect(await reader.join()).toEqual([reader.name, reader.name]);
});
