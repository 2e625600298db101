/** The program's own AsyncLocalStorage beside plait's. */

import { expect, test } from "bun:test";
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
  yieldNow,
} from "../../index.ts";

const storage = new AsyncLocalStorage<string>();

test("a fiber has the context of the code that spawned it, through every kind of wait", async () => {
  const seen = await storage.run("outer", () =>
    spawn(async () => {
      const stores = [storage.getStore()];
      await sleep(1);
      stores.push(storage.getStore());
      await yieldNow();
      stores.push(storage.getStore());
      await Bun.sleep(1);
      stores.push(storage.getStore());
      return stores;
    }).join(),
  );
  expect(seen).toEqual(["outer", "outer", "outer", "outer"]);
  expect(storage.getStore()).toBeUndefined();
});

test("handlers have the context of listen's caller, not of the code whose turn accepts", async () => {
  const stores: (string | undefined)[] = [];
  await using listener = await storage.run("listener", () =>
    listen({ host: "127.0.0.1", port: 0, onError: () => stores.push(storage.getStore()) }, () => {
      stores.push(storage.getStore());
      throw new Error("reported in the same context");
    }),
  );
  await storage.run("client", () =>
    spawn(async () => {
      // After an event of Bun's, this fiber is the one that schedules the next turn.
      await Bun.sleep(1);
      await using socket = await connect({ host: "127.0.0.1", port: listener.port });
      await yieldNow();
      expect(await socket.next()).toBeNull();
    }).join(),
  );
  expect(stores).toEqual(["listener", "listener"]);
});

test("the work of a turn does not have the context of the code that scheduled the turn", async () => {
  const seen: unknown[] = [];
  // Long enough for the turns of earlier tests to end: this turn must be scheduled by the test.
  await Bun.sleep(50);
  const until = deadline(100);
  const late = spawn(() => park(), { deadline: until });
  late.signal.addEventListener("abort", () => seen.push(storage.getStore(), current()));
  await storage.run("whoever yields", () =>
    spawn(async () => {
      // The deadline has passed when the turn comes that the yield schedules.
      Bun.sleepSync(Math.max(until - now(), 0) + 5);
      await yieldNow();
    }).join(),
  );
  expect(late.isCancelled).toBe(true);
  expect(seen).toEqual([undefined, undefined]);
  await late.join().catch(() => {});
});
