/** Clean-ups that wait although their fiber is being cancelled. */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  current,
  deadline,
  dump,
  type Fiber,
  now,
  park,
  scope,
  shield,
  sleep,
  spawn,
  stats,
  TimeoutError,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { expectMistake, mistakeIn } from "../support/mistakes.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";

describe("shield", () => {
  test("lets a cancelled fiber wait, which is cancelled again afterwards", async () => {
    await using pair = await socketPair();
    let after: Error | undefined;
    const fiber = spawn(async () => {
      try {
        await park();
      } finally {
        const count = await shield(() => pair.client.write("goodbye"), deadline(4000));
        expect(count).toBe(7);
        after = await failureOf(yieldNow());
      }
    });
    fiber.cancel("the end");
    expect((await failureOf(fiber.join())).cause).toBe("the end");
    expect(fiber.state).toBe("cancelled");
    expect(after).toBeInstanceOf(CancelledError);
    expect(new TextDecoder().decode(await readExactly(pair.server, 7))).toBe("goodbye");
  });

  test("delays a cancellation that comes meanwhile", async () => {
    const steps: string[] = [];
    let inner: Fiber | undefined;
    const fiber = spawn(async () => {
      const value = await shield(function cleanUp() {
        inner = current();
        return park<string>();
      }, 0);
      steps.push(value);
      await yieldNow();
      steps.push("unreached");
    });
    expect(dump()).toContain(` waiting: shield cleanUp, `);
    expect(dump()).toContain(`\n  #${inner!.id} cleanUp waiting: park, `);
    fiber.cancel("meanwhile");
    await yieldNow();
    expect(inner?.isCancelled).toBe(false);
    expect(fiber.state).toBe("waiting");
    unpark(inner!, "value");
    expect((await failureOf(fiber.join())).cause).toBe("meanwhile");
    expect(steps).toEqual(["value"]);
  });

  test("is bounded by its deadline, which cancels the body and waits for its end", async () => {
    const before = stats();
    const seen: Error[] = [];
    let error: Error | undefined;
    const fiber = spawn(async () => {
      try {
        await park();
      } finally {
        error = await failureOf(
          shield(async () => {
            seen.push(await failureOf(park()));
            seen.push(await failureOf(yieldNow()));
          }, deadline(30)),
        );
      }
    });
    fiber.cancel("the end");
    expect((await failureOf(fiber.join())).cause).toBe("the end");
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error?.message).toBe("shield ETIMEDOUT (the deadline has passed)");
    expect(seen.map(({ cause }) => cause)).toEqual([error, error]);
    expect(stats()).toMatchObject({ fibers: before.fibers, waiters: before.waiters });
  });

  test("whose deadline has passed runs nothing", async () => {
    let ran = false;
    const body = (): void => {
      ran = true;
    };
    expect(await failureOf(shield(body, now() - 1))).toBeInstanceOf(TimeoutError);
    expect(ran).toBe(false);
  });

  test("returns and throws as the body does, also outside of fibers and under block", async () => {
    expect(await shield(() => 1, 0)).toBe(1);
    expect(await shield(() => sleep(1).then(() => 2), Number.POSITIVE_INFINITY)).toBe(2);
    const error = new Error("broken");
    expect(await failureOf(shield(() => Promise.reject(error), 0))).toBe(error);
    const steps: string[] = [];
    const thrown = thrownBy(() =>
      block(async () => {
        try {
          current()?.cancel("the end");
          await park();
        } finally {
          await shield(() => sleep(1), deadline(4000));
          steps.push("slept");
        }
      }),
    );
    expect(thrown.cause).toBe("the end");
    expect(steps).toEqual(["slept"]);
  });

  test("keeps the cancellation from scopes inside it", async () => {
    const fiber = spawn(async () => {
      await park().catch(() => {});
      return shield(
        () =>
          scope(async (s) => {
            const halves = [s.spawn(() => sleep(1).then(() => 1)), s.spawn(() => 2)];
            return (await halves[0]!.join()) + (await halves[1]!.join());
          }),
        0,
      );
    });
    fiber.cancel();
    expect(await fiber.join()).toBe(3);
  });

  test("serves a thousand fibers that are cancelled together, before and after its deadline", async () => {
    const before = stats();
    const endings: (string | undefined)[] = [];
    const fibers = Array.from({ length: 1000 }, (_, index) =>
      spawn(async () => {
        try {
          await park();
        } finally {
          const body = index % 2 === 0 ? () => sleep(1) : () => park();
          await shield(body, index % 2 === 0 ? 0 : deadline(2)).catch((error) => {
            endings[index] = error.name;
          });
          endings[index] ??= "in time";
        }
      }),
    );
    for (const fiber of fibers) fiber.cancel("the end");
    for (const fiber of fibers) expect((await failureOf(fiber.join())).cause).toBe("the end");
    expect(fibers.every((fiber) => fiber.state === "cancelled")).toBe(true);
    expect(endings).toEqual(fibers.map((_, index) => (index % 2 ? "TimeoutError" : "in time")));
    expect(stats()).toMatchObject({ fibers: before.fibers, waiters: before.waiters });
  });

  test("needs a deadline", async () => {
    const body = (): void => {};
    expectMistake(await mistakeIn(() => shield(body, undefined as never)), TypeError, /deadline/);
    expectMistake(await mistakeIn(() => shield(body, null as never)), TypeError, /deadline/);
    expectMistake(await mistakeIn(() => shield(body, -1)), RangeError, /deadline/);
    expectMistake(await mistakeIn(() => shield(1 as never, 0)), TypeError, /function/);
  });
});
