/** Cancelling fibers in each kind of wait. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  CancelledError,
  connect,
  current,
  deadline,
  Event,
  type Fiber,
  listen,
  park,
  type Socket,
  shield,
  sleep,
  spawn,
  stats,
  unpark,
  yieldNow,
} from "../../index.ts";
import { failureOf } from "../support/failure.ts";
import { openDescriptors } from "../support/open_descriptors.ts";
import { pollUntil } from "../support/poll.ts";
import { readExactly } from "../support/receiving.ts";
import { socketPair } from "../support/socket_pair.ts";
import { waitKinds } from "../support/waits.ts";

const text = (bytes: Uint8Array | null): string => new TextDecoder().decode(bytes ?? undefined);

/** More than the buffers of a connection hold. */
const bulk = new Uint8Array(16 * 1024 * 1024);

let fibersBefore = 0;
let waitersBefore = 0;
let descriptorsBefore = 0;

beforeAll(() => {
  fibersBefore = stats().fibers;
  waitersBefore = stats().waiters;
  descriptorsBefore = openDescriptors();
});

afterAll(async () => {
  await pollUntil("no fiber, waiter or descriptor is left", () => {
    const { fibers, waiters } = stats();
    return (
      fibers <= fibersBefore && waiters <= waitersBefore && openDescriptors() <= descriptorsBefore
    );
  });
});

describe.each(waitKinds)("cancelled in $name", ({ syscall, prepare }) => {
  test("a fiber's wait is rejected, its finally block runs, and it ends as cancelled", async () => {
    await using situation = await prepare();
    const reason = new Error("not needed any more");
    let ranFinally = false;
    await using fiber = spawn(async () => {
      try {
        await situation.wait();
      } finally {
        ranFinally = true;
      }
    });
    await pollUntil("it waits", () => fiber.state === "waiting");
    fiber.cancel(reason);
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.cause).toBe(reason);
    expect(error.code).toBe("ECANCELED");
    expect(error.syscall).toBe(syscall);
    expect(fiber.state).toBe("cancelled");
    expect(ranFinally).toBe(true);
  });

  test("in the turn in which it begins to wait, it ends as well", async () => {
    await using situation = await prepare();
    const fiber = spawn(() => situation.wait());
    fiber.cancel("at once");
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.cause).toBe("at once");
  });

  test("before it begins to wait, it fails at once", async () => {
    await using situation = await prepare();
    const fiber = spawn(async () => {
      await Bun.sleep(0);
      await situation.wait();
    });
    fiber.cancel("early");
    const error = await failureOf(fiber.join());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.syscall).toBe(syscall);
  });

  test("before it begins to wait, its error names the same peer", async () => {
    await using situation = await prepare();
    const early = spawn(async () => {
      await Bun.sleep(0);
      await situation.wait();
    });
    early.cancel();
    const before = await failureOf(early.join());
    const late = spawn(() => situation.wait());
    await pollUntil("it waits", () => late.state === "waiting");
    late.cancel();
    const during = await failureOf(late.join());
    expect([before.address, before.port]).toEqual([during.address, during.port]);
  });
});

describe("a cancelled fiber", () => {
  test("can make calls that need no wait, and each of its later waits is rejected", async () => {
    const situations = await Promise.all(waitKinds.map((kind) => kind.prepare()));
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    await using pair = await socketPair();
    const other = spawn(() => park<string>());
    const errors: unknown[] = [];
    const fiber = spawn(async () => {
      try {
        await park();
      } finally {
        for (const { wait } of situations) errors.push(await failureOf(wait()));
        errors.push(await failureOf(sleep(0)));
        errors.push(await failureOf(yieldNow()));
        errors.push(await failureOf(pair.client.write("not sent")));
        errors.push(await failureOf(connect({ host: "127.0.0.1", port: listener.port! })));
        pair.client.close();
        unpark(other, "unparked");
      }
    });
    fiber.cancel("the end");
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    expect(errors).toHaveLength(waitKinds.length + 4);
    for (const error of errors) {
      expect(error).toBeInstanceOf(CancelledError);
      expect((error as Error).cause).toBe("the end");
    }
    expect(pair.client.closed).toBe(true);
    expect(await other.join()).toBe("unparked");
    expect(await pair.server.next()).toBeNull();
    for (const situation of situations) await situation[Symbol.asyncDispose]();
  });

  test("has all its waits cancelled when it has several at once", async () => {
    await using pair = await socketPair();
    const fiber = spawn(() =>
      Promise.allSettled([pair.client.read(new Uint8Array(1)), sleep(60_000), pair.server.next()]),
    );
    fiber.cancel();
    const results = await fiber.join();
    expect(results.map((result) => result.status)).toEqual(Array(3).fill("rejected"));
    for (const result of results) {
      expect(result.status === "rejected" && result.reason).toBeInstanceOf(CancelledError);
    }
  });

  test("may go on and return, and is then done", async () => {
    const fiber = spawn(async () => {
      await failureOf(park());
      return current()?.isCancelled;
    });
    fiber.cancel();
    expect(await fiber.join()).toBe(true);
    expect(fiber.state).toBe("done");
  });

  test("that throws another error has failed with it", async () => {
    const fiber = spawn(async () => {
      await park().catch((error: unknown) => {
        throw new Error("clean-up failed", { cause: error });
      });
    });
    fiber.cancel();
    expect((await failureOf(fiber.join())).message).toBe("clean-up failed");
    expect(fiber.state).toBe("failed");
  });

  test("keeps its first reason, and does not change after its end", async () => {
    const fiber = spawn(() => park());
    fiber.cancel("first");
    fiber.cancel("second");
    expect((await failureOf(fiber.join())).cause).toBe("first");
    const done = spawn(() => 1);
    done.cancel();
    expect(done.isCancelled).toBe(false);
    expect(done.state).toBe("done");
  });

  test("may be one that has cancelled itself", async () => {
    const fiber = spawn(async () => {
      current()?.cancel("enough");
      await sleep(60_000);
    });
    expect((await failureOf(fiber.join())).cause).toBe("enough");
    expect(fiber.state).toBe("cancelled");
  });

  test("that awaits something of Bun's fails at its next wait of plait's", async () => {
    const steps: string[] = [];
    const fiber = spawn(async () => {
      await Bun.sleep(2);
      steps.push("slept");
      await yieldNow();
      steps.push("unreached");
    });
    fiber.cancel();
    await failureOf(fiber.join());
    expect(steps).toEqual(["slept"]);
  });

  test("does not cancel the fibers that it has spawned", async () => {
    let child: Fiber<string> | undefined;
    const parent = spawn(async () => {
      child = spawn(async () => {
        await sleep(2);
        return "child";
      });
      await child.join();
    });
    parent.cancel();
    await failureOf(parent.join());
    expect(await child?.join()).toBe("child");
  });

  test("waiting for a listener to close leaves it closed and its handlers running", async () => {
    const served: Socket[] = [];
    const listener = await listen({ host: "127.0.0.1", port: 0 }, async (socket) => {
      served.push(socket);
      await socket.next();
    });
    await using client = await connect({ host: "127.0.0.1", port: listener.port! });
    await pollUntil("the handler runs", () => served.length === 1);
    const closer = spawn(() => listener.close());
    await pollUntil("it waits for the handler", () => closer.state === "waiting");
    closer.cancel();
    expect(await failureOf(closer.join())).toBeInstanceOf(CancelledError);
    expect(listener.closed).toBe(true);
    expect(served[0]?.closed).toBe(false);
    expect(listener.connections).toBe(1);
    client.close();
    await listener.close();
    expect(listener.connections).toBe(0);
  });
});

describe("a wait that is ready when its fiber is cancelled", () => {
  test("may still succeed, and the next one is rejected", async () => {
    const steps: string[] = [];
    const fiber = spawn(async () => {
      await yieldNow();
      steps.push("yielded");
      await yieldNow();
      steps.push("unreached");
    });
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    expect(fiber.state).toBe("cancelled");
    expect(steps).not.toContain("unreached");
  });

  test("does not lose the value of an unpark that has returned true", async () => {
    const received: string[] = [];
    const fiber = spawn(async () => {
      received.push(await park<string>());
      await yieldNow();
    });
    expect(unpark(fiber, "value")).toBe(true);
    fiber.cancel();
    expect(await failureOf(fiber.join())).toBeInstanceOf(CancelledError);
    expect(received).toEqual(["value"]);
  });

  test("a writer that has become the first is rejected although the peer stops reading", async () => {
    await using pair = await socketPair();
    const first = spawn(() => pair.client.write(bulk));
    const second = spawn(() => pair.client.write(bulk));
    const canceller = spawn(async () => {
      await first.join();
      second.cancel("too late");
    });
    await readExactly(pair.server, bulk.byteLength);
    await canceller.join();
    expect(await failureOf(second.join())).toBeInstanceOf(CancelledError);
    expect(second.state).toBe("cancelled");
  });
});

describe("cancelling on a shared socket", () => {
  test("a reader that is cancelled leaves the data to the next one", async () => {
    await using pair = await socketPair();
    for (let round = 0; round < 20; round++) {
      const received: string[] = [];
      const cancelled = spawn(async () => {
        received.push(text(await pair.client.next()));
      });
      const next = spawn(async () => {
        received.push(text(await pair.client.next()));
      });
      await pair.server.write(`round ${round}`);
      // Some rounds cancel before the core can have seen the data, some after.
      if (round % 2 === 1) await yieldNow();
      cancelled.cancel();
      await Promise.allSettled([cancelled.join()]);
      if (received.length > 0) next.cancel();
      await Promise.allSettled([next.join()]);
      expect(received).toEqual([`round ${round}`]);
    }
  });

  test("the readers around one that is cancelled are served in order", async () => {
    await using pair = await socketPair();
    const read = async (): Promise<string> => {
      const byte = new Uint8Array(1);
      await pair.client.read(byte);
      return text(byte);
    };
    const readers = [0, 1, 2, 3].map(() => spawn(read));
    readers[1]!.cancel();
    await failureOf(readers[1]!.join());
    await pair.server.write("abc");
    const served = [readers[0]!, readers[2]!, readers[3]!];
    expect(await Promise.all(served.map((reader) => reader.join()))).toEqual(["a", "b", "c"]);
  });

  test("a cancelled writer reports the bytes taken; the peer gets those, then the next writer's data", async () => {
    await using pair = await socketPair();
    const cancelled = spawn(() => pair.client.write(bulk));
    const next = spawn(() => pair.client.write("END"));
    await pollUntil("the buffers are full", () => cancelled.state === "waiting");
    cancelled.cancel();
    const { bytesWritten } = await failureOf(cancelled.join());
    expect(bytesWritten).toBeGreaterThan(0);
    expect(bytesWritten).toBeLessThan(bulk.byteLength);
    const received = await readExactly(pair.server, bytesWritten! + 3);
    expect(await next.join()).toBe(3);
    expect(text(received.subarray(-3))).toBe("END");
    expect(received.findIndex((byte) => byte !== 0)).toBe(bytesWritten!);
    expect(pair.client.bytesWritten).toBe(bytesWritten! + 3);
  });

  test("an accept that is cancelled leaves the connection to the next one", async () => {
    await using listener = await listen({ host: "127.0.0.1", port: 0 });
    const cancelled = spawn(() => listener.accept());
    const next = spawn(() => listener.accept());
    cancelled.cancel();
    await using client = await connect({ host: "127.0.0.1", port: listener.port! });
    await failureOf(cancelled.join());
    await using accepted = await next.join();
    expect(accepted.remotePort).toBe(client.localPort);
  });

  test("a thousand fibers end at once", async () => {
    await using pair = await socketPair();
    const fibers = Array.from({ length: 1000 }, (_, index) =>
      spawn<unknown>(() => (index % 2 === 0 ? pair.client.next() : sleep(60_000))),
    );
    for (const fiber of fibers) fiber.cancel();
    const results = await Promise.allSettled(fibers.map((fiber) => fiber.join()));
    expect(results.every((result) => result.status === "rejected")).toBe(true);
    expect(fibers.every((fiber) => fiber.state === "cancelled")).toBe(true);
    await pair.server.write("still works");
    expect(text(await pair.client.next())).toBe("still works");
  });
});

test.each([false, true])(
  "a cancellation is over when its fiber has ended (another one is cancelled: %p)",
  async (isAnotherCancelled) => {
    const gate = new Event();
    const ended = new Event();
    let leftover: Promise<string> | undefined;
    const fiber = spawn(async () => {
      leftover = (async () => {
        // A promise that is not plait's: the cancellation does not end it.
        await Promise.resolve();
        await sleep(60_000).catch(() => {});
        while (!fiber.hasEnded) await Promise.resolve();
        ended.set();
        await gate.wait(deadline(5000));
        return "went on";
      })();
      await park();
    });
    const other = spawn(async () => {
      try {
        await park();
      } finally {
        await shield(() => gate.wait(), deadline(5000));
      }
    });
    await sleep(1);
    if (isAnotherCancelled) other.cancel();
    fiber.cancel();
    await ended.wait(deadline(5000));
    expect(fiber.state).toBe("cancelled");
    gate.set();
    expect(await leftover).toBe("went on");
    other.cancel();
    await failureOf(other.join());
  },
);
