/** A failure in one wake-up of a poll does not disturb the others. */

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  block,
  Channel,
  connect,
  deadline,
  dump,
  Event,
  type Handler,
  type Listener,
  listen,
  now,
  park,
  type Socket,
  sleep,
  sleepUntil,
  spawn,
  stats,
  waitFor,
  yieldNow,
} from "../../index.ts";
import { certificates } from "../support/certificates.ts";
import { hostileHandlers } from "../support/hostile_handlers.ts";
import { rejectionOf } from "../support/hostile_values.ts";
import { isInstalled } from "../support/installed_program.ts";
import { pollUntil } from "../support/poll.ts";
import { runProgram } from "../support/programs.ts";
import { type SocketPair, socketPair } from "../support/socket_pair.ts";
import { dialTls, presenting } from "../support/tls_pair.ts";

const bystanders = 20;
const soon = (): number => deadline(4000);

/** Connects repeatedly, each time together with reads that become ready in the same poll. */
async function disturb(listener: Listener, dial: () => Promise<Socket>): Promise<void> {
  const pairs: SocketPair[] = [];
  for (let count = 0; count < bystanders; count++) pairs.push(await socketPair());
  try {
    for (let round = 0; round < 3; round++) {
      const reads = pairs.map(({ server }) => spawn(() => server.read(new Uint8Array(8), soon())));
      const dialling = dial();
      for (const { client } of pairs) void client.write("x");
      for (const read of reads) expect(await read.join()).toBe(1);
      await using client = await dialling;
      expect(await client.next(soon())).toBeNull();
      await pollUntil("the handler has ended", () => listener.connections === 0);
    }
  } finally {
    for (const pair of pairs) await pair[Symbol.asyncDispose]();
  }
}

describe.each(hostileHandlers)("a handler that %s", (_name, handler) => {
  /** A function that counts its calls, with a name of its own. */
  function counted(): { handler: Handler; calls: () => number } {
    let calls = 0;
    const counting: Handler = (socket) => {
      calls++;
      return handler(socket);
    };
    const name = Object.getOwnPropertyDescriptor(handler, "name")!;
    return { handler: Object.defineProperty(counting, "name", name), calls: () => calls };
  }

  test("does not keep others from what is ready in the same poll", async () => {
    const { fibers } = stats();
    const { handler: each, calls } = counted();
    const onError = (): void => {};
    await using listener = await listen({ host: "127.0.0.1", port: 0, onError }, each);
    await disturb(listener, () => connect({ host: "127.0.0.1", port: listener.port }));
    expect(calls()).toBe(3);
    expect(stats().fibers).toBe(fibers);
  });

  test.skipIf(!isInstalled("openssl"))("does not do so over TLS either", async () => {
    const { handler: each, calls } = counted();
    const options = { host: "127.0.0.1", port: 0, onError: () => {}, tls };
    await using listener = await listen(options, each);
    await disturb(listener, () => dialTls(listener.port));
    expect(calls()).toBe(3);
  });
});

const tls = isInstalled("openssl") ? presenting(certificates().p256) : {};

test("dump calls a handler without a usable name connection", async () => {
  const [, handler] = hostileHandlers[0]!;
  const waiting = Object.defineProperty(
    (socket: Socket) => socket.next(),
    "name",
    Object.getOwnPropertyDescriptor(handler, "name")!,
  );
  await using listener = await listen({ host: "127.0.0.1", port: 0 }, waiting);
  await using _client = await connect({ host: "127.0.0.1", port: listener.port });
  await pollUntil("it is served", () => / connection 127\.0\.0\.1:\d+ waiting: read/.test(dump()));
});

describe.each(["await run();", "block(run);"])("a wake-up that throws (%s)", (start) => {
  test("is an uncaught exception, and all other wake-ups of that poll happen", async () => {
    const folder = join(import.meta.dir, "..", "..", "src");
    const { stdout, stderr } = await runProgram(`
      import { core } from ${JSON.stringify(join(folder, "core", "native.ts"))};
      import { enlist } from ${JSON.stringify(join(folder, "runtime", "scheduler.ts"))};
      process.on("uncaughtException", ({ message }) => console.log("uncaught:", message));
      const broken = {
        wake() {
          throw new Error("broken");
        },
      };
      const run = async () => {
        const until = deadline(20);
        const sleep = () => spawn(() => sleepUntil(until));
        const fibers = Array.from({ length: 10 }, sleep);
        enlist(broken, core.sleep(until));
        fibers.push(...Array.from({ length: 10 }, sleep));
        for (const fiber of fibers) await fiber.join(deadline(1000));
        console.log("all others came");
      };
      ${start}
    `);
    expect([stdout, stderr]).toEqual(["uncaught: broken\nall others came", ""]);
  });
});

describe("code that calls block in the middle of a poll's wake-ups", () => {
  test("lets the other wake-ups go on, each of them once", async () => {
    const count = 200;
    const until = deadline(400);
    const goOn = new Event();
    let [woken, asleep, wokenAgain] = [0, 0, 0];
    // The first one to be woken. Its listener is called between two wake-ups, not by a microtask.
    const first = spawn(() => park(), { deadline: until - 1 });
    first.signal.addEventListener("abort", () => {
      block(async () => {
        while (woken < count) await sleep(1);
        // From the second poll on, waiters reuse the numbers of those that the first has woken.
        await sleep(1);
        goOn.set();
        while (asleep < count) await yieldNow();
      });
    });
    const fibers = Array.from({ length: count }, () =>
      spawn(async () => {
        await sleepUntil(until);
        woken++;
        // A wait for another fiber has no waiter, and so no number.
        await goOn.wait();
        asleep++;
        await sleep(10_000).finally(() => wokenAgain++);
      }),
    );
    Bun.sleepSync(Math.max(until - now(), 0) + 5);
    await first.join().catch(() => {});
    expect([woken, asleep]).toEqual([count, count]);
    await sleep(5);
    expect(wokenAgain).toBe(0);
    for (const fiber of fibers) fiber.cancel();
    await Promise.allSettled(fibers.map((fiber) => fiber.join()));
  });
});

/** Promises and thenables that throw, as a function may return them. */
const hostileResults = hostileHandlers.filter(([name]) => name.startsWith("returns"));

describe.each(hostileResults)("a function that %s", (_name, make) => {
  const result = (): PromiseLike<unknown> => make(undefined as never) as PromiseLike<unknown>;

  test("may be the body of a fiber, which ends", async () => {
    const { fibers } = stats();
    await spawn(() => result())
      .join(soon())
      .catch(() => {});
    expect(stats().fibers).toBe(fibers);
  });

  test("leaves no wait behind in waitFor", async () => {
    const fiber = spawn(async () => {
      await waitFor(result(), soon()).catch(() => {});
      return dump().includes("promise");
    });
    expect(await fiber.join(soon())).toBe(false);
  });

  test("can be sent through a channel, from which every item is received", async () => {
    const channel = new Channel<object>(2);
    channel.trySend(result());
    channel.trySend(["next"]);
    try {
      await channel.receive();
    } catch {
      // The receiver must handle it.
    }
    expect(await channel.receive()).toEqual(["next"]);
  });
});

test("the promise of waitFor may be rejected when the turn's budget is spent", async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    const spent = new Channel<number>(1);
    const fiber = spawn(async () => {
      const failing = Promise.withResolvers<never>();
      const waiting = rejectionOf(waitFor(failing.promise));
      const spender = spawn(async () => {
        for (;;) {
          await spent.send(1);
          await spent.receive();
        }
      });
      while (spender.state !== "waiting") await null;
      failing.reject(new Error("late"));
      const { error } = await waiting;
      spender.cancel();
      return error;
    });
    expect(String(await fiber.join(soon()))).toBe("Error: late");
    await Bun.sleep(1);
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", note);
  }
});
