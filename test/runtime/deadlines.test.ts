/** Deadlines of each kind of wait: neither early nor late, and checked before anything else. */

import { describe, expect, test } from "bun:test";
import {
  block,
  connect,
  deadline,
  listen,
  now,
  park,
  type Socket,
  sleep,
  sleepUntil,
  spawn,
  stats,
  TimeoutError,
  unpark,
} from "../../index.ts";
import { failureOf, thrownBy } from "../support/failure.ts";
import { latenessOf } from "../support/lateness.ts";
import { pollUntil } from "../support/poll.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";
import { waitKinds } from "../support/waits.ts";

/** The lateness that is allowed on an idle loop, in milliseconds. */
const allowedLateness = 2;

const kindsWithDeadline = waitKinds.filter((kind) => kind.failsByDeadline);

describe.each(kindsWithDeadline)("the deadline of $name", ({ syscall, prepare }) => {
  test("ends it with a TimeoutError, not early and not late", async () => {
    await using situation = await prepare();
    const fiber = spawn(() =>
      latenessOf(async (until) => {
        const error = await failureOf(situation.wait(until));
        expect(error).toBeInstanceOf(TimeoutError);
        expect(error.code).toBe("ETIMEDOUT");
        expect(error.syscall).toBe(syscall);
      }, allowedLateness),
    );
    const { least, median } = await fiber.join();
    expect(least).toBeGreaterThanOrEqual(0);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });

  test("is as precise in the blocking driver", () => {
    const { least, median } = block(async () => {
      await using situation = await prepare();
      return await latenessOf(async (until) => {
        expect(await failureOf(situation.wait(until))).toBeInstanceOf(TimeoutError);
      }, allowedLateness);
    });
    expect(least).toBeGreaterThanOrEqual(0);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });

  test("that has passed fails it at once, without a turn of the scheduler", async () => {
    await using situation = await prepare();
    const { polls } = stats();
    const fiber = spawn(() => situation.wait(now() - 1));
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.syscall).toBe(syscall);
    expect(stats().polls).toBe(polls);
  });

  test("names the same peer when it has passed before the call", async () => {
    await using situation = await prepare();
    const [before, during] = await spawn(async () => [
      await failureOf(situation.wait(now() - 1)),
      await failureOf(situation.wait(deadline(3))),
    ]).join();
    expect([before!.address, before!.port]).toEqual([during!.address, during!.port]);
  });

  test.each([0, undefined, Number.POSITIVE_INFINITY, Number.MAX_VALUE])(
    "of %p never passes",
    async (never) => {
      await using situation = await prepare();
      await using fiber = spawn(() => situation.wait(never));
      await pollUntil("it waits", () => fiber.state === "waiting");
      await sleep(3);
      expect(fiber.state).toBe("waiting");
    },
  );

  test("must be a number that is not negative, and never throws synchronously", async () => {
    await using situation = await prepare();
    const outcome = spawn(async () => {
      const wrong = [Number.NaN, -1, "soon" as unknown as number, null as unknown as number];
      const errors: Error[] = [];
      for (const value of wrong) errors.push(await failureOf(situation.wait(value)));
      return errors.map((error) => error.constructor);
    });
    expect(await outcome.join()).toEqual([RangeError, RangeError, TypeError, TypeError]);
  });
});

describe("sleeping", () => {
  test.each([
    ["sleepUntil", (until: number) => sleepUntil(until)],
    ["sleep", (until: number) => sleep(until - now())],
  ])("%s ends not early and not late", async (_name, wait) => {
    const { least, median } = await latenessOf(wait, allowedLateness);
    // `sleep` reads the clock again. So it may end that much after the point in time, but never
    // before.
    expect(least).toBeGreaterThanOrEqual(0);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });

  test("for longer than any clock runs does not disturb earlier deadlines", async () => {
    const endless = [Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Number.POSITIVE_INFINITY];
    const fibers = endless.map((milliseconds) => spawn(() => sleep(milliseconds)));
    await sleep(2);
    expect(fibers.map((fiber) => fiber.state)).toEqual(Array(3).fill("waiting"));
    for (const fiber of fibers) fiber.cancel();
    await Promise.allSettled(fibers.map((fiber) => fiber.join()));
  });

  test("until a time that has passed, or for no time, ends after others have run", async () => {
    const order: string[] = [];
    const first = spawn(async () => {
      await sleepUntil(now() - 1000);
      order.push("late");
      await sleep(0);
      order.push("none");
    });
    order.push("other");
    await first.join();
    expect(order).toEqual(["other", "late", "none"]);
  });

  test("for NaN, a negative time or text is refused", async () => {
    expect(await failureOf(sleep(Number.NaN))).toBeInstanceOf(RangeError);
    expect(await failureOf(sleep(-1))).toBeInstanceOf(RangeError);
    expect(await failureOf(sleep("1" as unknown as number))).toBeInstanceOf(TypeError);
    expect(await failureOf(sleepUntil(-1))).toBeInstanceOf(RangeError);
  });

  test("fibers wake in the order of their deadlines, and for equal ones in the order of their calls", async () => {
    const base = deadline(5);
    const order: number[] = [];
    const steps = Array.from({ length: 300 }, (_, index) => ((index * 7919) % 100) / 20);
    const fibers = steps.map((step, index) =>
      spawn(async () => {
        await sleepUntil(base + step);
        order.push(index);
      }),
    );
    await Promise.all(fibers.map((fiber) => fiber.join()));
    const expected = steps
      .map((_, index) => index)
      .sort((left, right) => steps[left]! - steps[right]! || left - right);
    expect(order).toEqual(expected);
  });

  test("a deadline is met in time although a later one was set before it", async () => {
    await using _later = spawn(() => sleep(60_000));
    const { median } = await latenessOf((until) => sleepUntil(until), allowedLateness);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });

  test("a deadline is met in time after an earlier one was given up", async () => {
    const { median } = await latenessOf(async (until) => {
      const earlier = spawn(() => park<string>(until - 1));
      const waiting = sleepUntil(until);
      unpark(earlier, "in time");
      expect(await earlier.join()).toBe("in time");
      await waiting;
    }, allowedLateness);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });
});

describe("deadlines of calls with several waits", () => {
  test("spawn's deadline is neither early nor late", async () => {
    const { least, median } = await latenessOf(async (until) => {
      const fiber = spawn(
        async () => {
          for (;;) await sleep(0.3);
        },
        { deadline: until },
      );
      expect(await failureOf(fiber.join())).toBeInstanceOf(TimeoutError);
    }, allowedLateness);
    expect(least).toBeGreaterThanOrEqual(0);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });

  test("a listener's close cancels its handlers at its deadline, neither early nor late", async () => {
    const prepare = async () => {
      const served: Socket[] = [];
      const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
        served.push(socket);
        await socket.next();
      });
      const client = await connect({ host: "127.0.0.1", port: listener.port! });
      await pollUntil("the handler runs", () => served.length === 1);
      return { listener, client, served: served[0]! };
    };
    const { least, median } = await latenessOf(
      async (until, { listener, client, served }) => {
        await listener.close({ deadline: until });
        expect(served.closed).toBe(true);
        client.close();
      },
      allowedLateness,
      prepare,
    );
    expect(least).toBeGreaterThanOrEqual(0);
    expect(median).toBeLessThanOrEqual(allowedLateness);
  });
});

describe("a deadline that has passed prevents", () => {
  test("a read of data that is there; the next read gets it", async () => {
    await using pair = await socketPair();
    await pair.server.write("kept");
    await pair.client.read(new Uint8Array(1));
    const past = now() - 1;
    expect(await failureOf(pair.client.read(new Uint8Array(8), past))).toBeInstanceOf(TimeoutError);
    expect(await failureOf(pair.client.next(past))).toBeInstanceOf(TimeoutError);
    expect(new TextDecoder().decode((await pair.client.next()) ?? undefined)).toBe("ept");
  });

  test("a write to a socket with room; its error says that nothing was taken", async () => {
    await using pair = await socketPair();
    const error = await failureOf(pair.client.write("never", now() - 1));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.bytesWritten).toBe(0);
    expect(await failureOf(pair.client.shutdown(now() - 1))).toBeInstanceOf(TimeoutError);
    await pair.client.write("sent");
    expect(new TextDecoder().decode((await pair.server.next()) ?? undefined)).toBe("sent");
  });

  test("connect, and accept of a connection that is there", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    const target = { host: "127.0.0.1", port: listener.port! };
    expect(await failureOf(connect({ ...target, deadline: now() - 1 }))).toBeInstanceOf(
      TimeoutError,
    );
    await using client = await connect(target);
    expect(await failureOf(listener.accept(now() - 1))).toBeInstanceOf(TimeoutError);
    await using accepted = await listener.accept(deadline(1000));
    expect(accepted.remotePort).toBe(client.localPort);
  });
});

test("data that was there before the deadline wins, for however many sockets at once", async () => {
  const count = 1500;
  await using held = new AsyncDisposableStack();
  const pairs: SocketPair[] = [];
  for (let index = 0; index < count; index++) pairs.push(held.use(await socketPair()));
  const until = deadline(1000);
  const reads = pairs.map(({ client }) => client.read(new Uint8Array(8), until));
  const results = Promise.allSettled(reads);
  for (const { server } of pairs) server.writeSync("x");
  expect(now()).toBeLessThan(until);
  // The thread is busy until the deadline has passed.
  Bun.sleepSync(until - now() + 50);
  const failed = (await results).filter(({ status }) => status === "rejected");
  expect(failed).toEqual([]);
}, 30_000);

describe("the clock", () => {
  test("runs forward, with fractions, and deadline() uses it", () => {
    // The machine may stall between any two readings.
    let [least, last] = [Number.POSITIVE_INFINITY, now()];
    for (let count = 0; count < 1000; count++) {
      const next = now();
      expect(next).toBeGreaterThanOrEqual(last);
      if (next > last) least = Math.min(least, next - last);
      last = next;
    }
    expect(least).toBeLessThan(1);
    const point = deadline(100);
    expect(point).toBeGreaterThanOrEqual(last + 100);
    expect(point).toBeLessThanOrEqual(now() + 100);
    expect(deadline(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });

  test("deadline() refuses a value that is not a duration", () => {
    expect(thrownBy(() => deadline(Number.NaN))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => deadline(-1))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => deadline("1" as unknown as number))).toBeInstanceOf(TypeError);
  });
});
