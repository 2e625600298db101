/**
 * Waiting for promises that are not plait's, and passing a cancellation on to the code that made
 * them.
 */

import { describe, expect, test } from "bun:test";
import {
  type CancelledError,
  current,
  deadline,
  dump,
  type Fiber,
  now,
  race,
  scope,
  sleep,
  spawn,
  waitFor,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";

const never = new Promise<never>(() => {});

describe("waitFor", () => {
  test("returns the value of a promise that is fulfilled before or after the call", async () => {
    expect(await waitFor(Promise.resolve(7))).toBe(7);
    const later = Promise.withResolvers<string>();
    const fiber = spawn(() => waitFor(later.promise));
    expect(fiber.state).toBe("waiting");
    later.resolve("done");
    expect(await fiber.join()).toBe("done");
  });

  test("throws the error of a promise that is rejected", async () => {
    const error = new Error("a mistake of the other library");
    expect(await failureOf(waitFor(Promise.reject(error)))).toBe(error);
    const later = Promise.withResolvers<never>();
    const fiber = spawn(() => waitFor(later.promise));
    later.reject(error);
    expect(await failureOf(fiber.join())).toBe(error);
  });

  test("ends at a deadline that is still to come, and at once for one that has passed", async () => {
    const until = deadline(20);
    expect(await failureOf(waitFor(never, until))).toMatchObject({
      code: "ETIMEDOUT",
      syscall: "promise",
    });
    expect(now()).toBeGreaterThanOrEqual(until);
    expect(await failureOf(waitFor(Promise.resolve(1), until))).toMatchObject({
      code: "ETIMEDOUT",
    });
  });

  test("ends when its fiber is cancelled, before the call or after it", async () => {
    let second: unknown;
    const fiber = spawn(async () => {
      try {
        await waitFor(never);
      } finally {
        second = await failureOf(waitFor(Promise.resolve(1)));
      }
    });
    expect(dump()).toContain("waiting: promise, ");
    fiber.cancel("enough");
    expect(await failureOf(fiber.join())).toMatchObject({ code: "ECANCELED", cause: "enough" });
    expect(second).toMatchObject({ code: "ECANCELED", cause: "enough" });
  });

  test("ignores a promise that is settled too late, fulfilled or rejected", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): unknown => unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      const [rejected, fulfilled] = [Promise.withResolvers<never>(), Promise.withResolvers<void>()];
      for (const { promise } of [rejected, fulfilled]) {
        expect(await failureOf(waitFor(promise, deadline(1)))).toMatchObject({ code: "ETIMEDOUT" });
      }
      rejected.reject(new Error("too late"));
      fulfilled.resolve();
      const passed = now() - 1;
      expect(await failureOf(waitFor(Promise.reject(new Error("unheard")), passed))).toMatchObject({
        code: "ETIMEDOUT",
      });
      // Bun reports rejections in a turn of its loop.
      await Bun.sleep(1);
      await sleep(1);
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("calls no `then` of a lazy thenable when it is refused", async () => {
    let begun = 0;
    const lazy = Object.create(null, {
      // biome-ignore lint/suspicious/noThenProperty: a lazy thenable is what the test is about
      then: {
        value: (resolve: (value: number) => void) => {
          begun++;
          resolve(7);
        },
      },
    }) as PromiseLike<number>;
    expect(await failureOf(waitFor(lazy, now() - 1))).toMatchObject({ code: "ETIMEDOUT" });
    expect(begun).toBe(0);
    expect(await waitFor(lazy)).toBe(7);
    expect(begun).toBe(1);
  });

  test("lets a race end although a foreign promise is slow", async () => {
    expect(await race([() => waitFor(never), () => sleep(1).then(() => "in time")])).toBe(
      "in time",
    );
  });

  test("refuses a value that is not a promise", async () => {
    for (const value of [undefined, null, 3, {}, () => {}]) {
      expect(await failureOf(waitFor(value as unknown as Promise<void>))).toBeInstanceOf(TypeError);
    }
  });
});

describe("a fiber's signal", () => {
  test("is aborted when the fiber is cancelled, with the error of its waits", async () => {
    const signals: AbortSignal[] = [];
    const fiber = spawn(async () => {
      signals.push(current()!.signal);
      await waitFor(never);
    });
    expect(fiber.signal).toBe(signals[0]!);
    expect(fiber.signal.aborted).toBe(false);
    fiber.cancel("enough");
    expect(fiber.signal.aborted).toBe(true);
    expect(fiber.signal.reason).toMatchObject({ code: "ECANCELED", cause: "enough" });
    await failureOf(fiber.join());
  });

  test("is aborted already when it is first read after the cancellation", async () => {
    const fiber = spawn(() => waitFor(never));
    fiber.cancel("enough");
    expect((fiber.signal.reason as CancelledError).cause).toBe("enough");
    expect(await failureOf(fiber.join())).toMatchObject({ code: "ECANCELED" });
  });

  test("ends a fetch with its scope, as any cancellation", async () => {
    const asked = Promise.withResolvers<void>();
    using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => {
        asked.resolve();
        return never;
      },
    });
    let fetching: Fiber | undefined;
    const error = new Error("the other one has failed");
    const failure = await failureOf(
      scope(async (s) => {
        fetching = s.spawn(() => fetch(server.url, { signal: current()!.signal }));
        s.spawn(async () => {
          await waitFor(asked.promise, deadline(5000));
          throw error;
        });
      }),
    );
    expect(failure).toBe(error);
    expect(failure).not.toHaveProperty("suppressed");
    expect(fetching?.state).toBe("cancelled");
    server.stop(true);
  });

  test("is not aborted when the fiber ends by itself", async () => {
    const fiber = spawn(() => sleep(1));
    const { signal } = fiber;
    await fiber.join();
    fiber.cancel();
    expect(signal.aborted).toBe(false);
  });
});
