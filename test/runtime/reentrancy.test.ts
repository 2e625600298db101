/**
 * Code of the program that runs in the middle of a cancellation, and ends waits that are about to
 * be cancelled.
 */

import { describe, expect, test } from "bun:test";
import {
  block,
  CancelledError,
  Channel,
  current,
  deadline,
  Event,
  type Fiber,
  Mutex,
  park,
  Semaphore,
  scope,
  signals,
  spawn,
  stats,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { socketPair } from "../support/socket_pair.ts";

/** An object that several fibers wait for, one behind the other. */
interface Contest {
  /** Waits once. */
  take(): Promise<unknown>;
  /** Ends the wait of the fiber that has waited longest. */
  serve(): void;
}

const contests: Record<string, () => Contest> = {
  "a mutex": () => {
    const mutex = new Mutex();
    const lock = mutex.tryLock()!;
    return {
      take: async () => (await mutex.lock()).unlock(),
      serve: () => lock[Symbol.dispose](),
    };
  },
  "a semaphore": () => {
    const semaphore = new Semaphore(2);
    const permit = semaphore.tryAcquire(2)!;
    return {
      take: async () => (await semaphore.acquire(2)).release(),
      serve: () => permit[Symbol.dispose](),
    };
  },
  "a channel, to receive": () => {
    const channel = new Channel<number>();
    return {
      take: async () => {
        await channel.receive();
        channel.trySend(1);
      },
      serve: () => void channel.trySend(1),
    };
  },
  "a channel, to send": () => {
    const channel = new Channel<number>();
    return {
      take: async () => {
        await channel.send(1);
        channel.tryReceive();
      },
      serve: () => void channel.tryReceive(),
    };
  },
  "an event that is cleared at once": () => {
    const event = new Event();
    return {
      take: () => event.wait(),
      serve: () => {
        event.set();
        event.clear();
        // The queue is empty, so a fiber that comes now is not served.
        late.push(spawn(() => event.wait(deadline(2000))));
        queueMicrotask(() => event.set());
      },
    };
  },
};

/** Fibers that begin to wait in the middle of a cancellation. */
const late: Fiber[] = [];

/**
 * Waits for one object, and then in a scope as well. The cancellation of the scope comes first, and
 * does something that may end the other wait.
 */
async function waitTwice<T>(wait: () => Promise<T>, disturb: () => void): Promise<T> {
  const waiting = wait();
  await scope(async () => {
    current()!.signal.addEventListener("abort", disturb);
    await park();
  }).catch(() => {});
  return await waiting;
}

describe.each(Object.entries(contests))("%s", (_name, begin) => {
  test("that serves a fiber during its cancellation goes on to serve the others", async () => {
    const { take, serve } = begin();
    const cancelled = spawn(() => waitTwice(take, serve));
    const others = Array.from({ length: 3 }, () => spawn(take));
    cancelled.cancel();
    // It was served before it was to be cancelled.
    await cancelled.join(deadline(2000));
    for (const fiber of [...others, ...late.splice(0)]) await fiber.join(deadline(2000));
  });
});

test("a park that ends while its fiber is cancelled keeps its value", async () => {
  const fiber: Fiber<string> = spawn(() =>
    waitTwice(
      () => park<string>(),
      () => unpark(fiber, "value"),
    ),
  );
  fiber.cancel();
  expect(await fiber.join()).toBe("value");
});

test("a channel that is closed while a sender is cancelled ends all of them once", async () => {
  const channel = new Channel<number>();
  const senders = [
    spawn(() =>
      waitTwice(
        () => channel.send(1),
        () => channel.close(),
      ),
    ),
    spawn(() => channel.send(2)),
    spawn(() => channel.send(3)),
  ];
  senders[0]!.cancel();
  for (const sender of senders) {
    expect((await failureOf(sender.join(deadline(2000)))).code).toBe("ERR_CHANNEL_CLOSED");
  }
});

test("signals that are closed while the fiber that waits for them is cancelled end its wait once", async () => {
  const caught = signals("SIGWINCH");
  const before = stats();
  const fiber = spawn(() =>
    waitTwice(
      () => caught.next(),
      () => caught.close(),
    ),
  );
  fiber.cancel();
  expect(await fiber.join(deadline(2000))).toBeNull();
  expect(stats().waiters).toBe(before.waiters);
  expect(() => block(() => park())).toThrow("nothing is left");
});

test("a socket that is closed while its readers are cancelled ends each of them once", async () => {
  await using pair = await socketPair();
  const { client } = pair;
  const readers = [
    spawn(() =>
      waitTwice(
        () => client.next(),
        () => client.close(),
      ),
    ),
    spawn(() => client.next()),
    spawn(() => client.read(new Uint8Array(1))),
  ];
  await yieldNow();
  readers[0]!.cancel();
  for (const reader of readers) {
    expect((await failureOf(reader.join(deadline(2000)))).code).toBe("ERR_SOCKET_CLOSED");
  }
});

test("fibers that cancel each other in their abort listeners all end", async () => {
  const mutex = new Mutex();
  using _lock = mutex.tryLock()!;
  const fibers: Fiber[] = Array.from({ length: 10 }, (_, index) =>
    spawn(async () => {
      current()!.signal.addEventListener("abort", () => fibers[(index + 7) % 10]!.cancel());
      await Promise.all([park(), mutex.lock(), scope(() => park())]);
    }),
  );
  fibers[3]!.cancel();
  for (const fiber of fibers) {
    expect(await failureOf(fiber.join(deadline(2000)))).toBeInstanceOf(CancelledError);
  }
});

test("a scope whose fiber ends in the middle of its cancellation cancels the others as well", async () => {
  const members: Fiber[] = [];
  let cancel = (): void => {};
  const ended = scope(async (s) => {
    cancel = () => s.cancel();
    for (let count = 0; count < 5; count++) members.push(s.spawn(() => park()));
    await park();
  });
  members[1]!.signal.addEventListener("abort", () => {
    unpark(members[1]!);
    block(() => yieldNow());
    expect(members[1]!.hasEnded).toBe(true);
  });
  cancel();
  await ended.catch(() => {});
  expect(members.map(({ state }) => state)).toEqual([
    "cancelled",
    "done",
    "cancelled",
    "cancelled",
    "cancelled",
  ]);
});

test("a reason whose message getter ends the wait still cancels it", async () => {
  const mutex = new Mutex();
  const lock = mutex.tryLock()!;
  class Reason extends Error {
    override get message(): string {
      lock[Symbol.dispose]();
      return "words";
    }
  }
  const cancelled = spawn(() => mutex.lock());
  const others = Array.from({ length: 3 }, () => spawn(async () => (await mutex.lock()).unlock()));
  cancelled.cancel(Object.create(Reason.prototype));
  expect(await failureOf(cancelled.join(deadline(2000)))).toBeInstanceOf(CancelledError);
  for (const fiber of others) await fiber.join(deadline(2000));
});

test("a reason whose message getter blocks does not cancel the next read of that socket", async () => {
  await using pair = await socketPair();
  const { client, server } = pair;
  const buffer = new Uint8Array(1);
  let first: Promise<number> | undefined;
  let next: Fiber<number> | undefined;
  let hasBlocked = false;
  class Reason extends Error {
    override get message(): string {
      if (hasBlocked) return "words";
      hasBlocked = true;
      // The first read ends before it is cancelled, and another fiber reads in its place.
      block(async () => {
        await server.write("1");
        await first;
        next = spawn(() => client.read(buffer));
      });
      return "words";
    }
  }
  const cancelled = spawn(async () => {
    first = client.read(buffer);
    await Promise.allSettled([first, park()]);
  });
  cancelled.cancel(Object.create(Reason.prototype));
  await cancelled.join(deadline(2000));
  expect(await first).toBe(1);
  await server.write("2");
  expect(await next!.join(deadline(2000))).toBe(1);
});

test("scopes that are nested very deep are all cancelled", async () => {
  const depth = 20_000;
  let [begun, ended] = [0, 0];
  const nest = async (level: number): Promise<void> => {
    begun++;
    // Deep enough to exceed a stack.
    await null;
    try {
      if (level === depth) await park();
      else await scope(() => nest(level + 1));
    } finally {
      ended++;
    }
  };
  const outermost = spawn(() => nest(1));
  while (begun < depth) await null;
  await null;
  await null;
  outermost.cancel();
  await failureOf(outermost.join(deadline(20_000)));
  expect(ended).toBe(depth);
}, 30_000);
